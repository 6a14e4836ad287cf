"""The environment's word on how often a schedule runs."""

from __future__ import annotations

import pytest

from schedules.environment import (
    IntervalOverrideError,
    broken_overrides,
    colliding_names,
    interval_override,
    variable_of,
)


@pytest.mark.parametrize(
    "name, variable",
    [
        ("breaking-news", "SCHEDULE_BREAKING_NEWS_INTERVAL"),
        ("Sync orders", "SCHEDULE_SYNC_ORDERS_INTERVAL"),
        ("Sync orders (EU)", "SCHEDULE_SYNC_ORDERS_EU_INTERVAL"),
        ("syncOrders", "SCHEDULE_SYNC_ORDERS_INTERVAL"),
        ("SyncHTTPOrders", "SCHEDULE_SYNC_HTTP_ORDERS_INTERVAL"),
        ("sync_orders__2", "SCHEDULE_SYNC_ORDERS_2_INTERVAL"),
        ("Übersicht é", "SCHEDULE_UBERSICHT_E_INTERVAL"),
        ("v2.report", "SCHEDULE_V2_REPORT_INTERVAL"),
        ("新聞", None),
        ("--", None),
    ],
)
def test_a_variable_is_the_name_in_upper_snake_case(name: str, variable: str | None) -> None:
    assert variable_of(name) == variable


@pytest.mark.parametrize("text, seconds", [("60", 60), (" 15 ", 15), ("0", 0), ("-1", -1), ("+5", 5)])
def test_a_whole_number_is_the_interval(text: str, seconds: int) -> None:
    assert interval_override("news", environ={"SCHEDULE_NEWS_INTERVAL": text}) == seconds


@pytest.mark.parametrize("environ", [{}, {"SCHEDULE_NEWS_INTERVAL": ""}, {"SCHEDULE_NEWS_INTERVAL": "  "}])
def test_an_empty_variable_says_nothing(environ: dict[str, str]) -> None:
    assert interval_override("news", environ=environ) is None


@pytest.mark.parametrize("text", ["soon", "1.5", "1e3", "60s", "٣", "0x10", "1_000", "9" * 11, "1\n2"])
def test_anything_else_is_an_error_that_names_variable_value_and_what_is_allowed(text: str) -> None:
    with pytest.raises(IntervalOverrideError) as caught:
        interval_override("news", environ={"SCHEDULE_NEWS_INTERVAL": text})
    assert "SCHEDULE_NEWS_INTERVAL" in str(caught.value)
    assert repr(text) in str(caught.value)
    assert "a whole number of seconds" in str(caught.value)


def test_all_broken_variables_are_found_and_no_others() -> None:
    environ = {
        "SCHEDULE_B_INTERVAL": "soon",
        "SCHEDULE_A_INTERVAL": "1.5",
        "SCHEDULE_C_INTERVAL": "60",
        "SCHEDULE_D_INTERVAL": "",
        "SCHEDULES_RECONCILE_SECONDS": "x",
        "MY_SCHEDULE_E_INTERVAL": "x",
    }
    assert [error.variable for error in broken_overrides(environ=environ)] == [
        "SCHEDULE_A_INTERVAL",
        "SCHEDULE_B_INTERVAL",
    ]


def test_names_that_listen_to_one_variable_collide() -> None:
    assert colliding_names(["news", "sync-orders", "Sync orders", "新聞", "天気"]) == {
        "SCHEDULE_SYNC_ORDERS_INTERVAL": ["Sync orders", "sync-orders"]
    }
