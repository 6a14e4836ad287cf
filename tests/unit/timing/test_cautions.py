# ruff: noqa: E501 (rows of tables)
"""What an operator is told before saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings

from schedules import timing
from schedules.timing import Caution, CronTrigger, IntervalTrigger, OnceTrigger, Trigger, is_slot_unix
from tests.unit.timing import strategies

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PARIS = "Europe/Paris"


def cautions(expression: str, zone: str = "UTC", after: datetime = NOW) -> list[Caution]:
    return timing.warnings(CronTrigger(expression=expression, timezone=zone), after)


def codes(expression: str, zone: str = "UTC") -> list[str]:
    return [caution.code for caution in cautions(expression, zone)]


def test_a_skipped_time_is_told_with_its_date_and_when_it_runs() -> None:
    overlap, gap = cautions("30 2 * * *", PARIS)

    assert gap == Caution(
        "gap",
        "02:30 does not exist on 2027-03-28 in Europe/Paris, when clocks go forward: "
        "it runs right after, at 03:00 (2027-03-28 01:00 UTC).",
        datetime(2027, 3, 28, 1, tzinfo=UTC),
    )
    assert overlap == Caution(
        "overlap",
        "02:30 comes twice on 2026-10-25 in Europe/Paris, when clocks go back: "
        "it runs once, the first time (2026-10-25 00:30 UTC).",
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    )


def test_a_wildcard_that_loses_or_repeats_runs_is_told() -> None:
    overlap, gap = cautions("*/15 2 * * *", PARIS)

    assert gap.text == (
        "02:00 does not exist on 2027-03-28 in Europe/Paris, when clocks go forward: "
        "nothing runs for it, the next run is at 2027-03-29 00:00 UTC."
    )
    assert gap.at == datetime(2027, 3, 29, tzinfo=UTC)
    assert overlap.text == (
        "02:00 comes twice on 2026-10-25 in Europe/Paris, when clocks go back: "
        "it runs both times (2026-10-25 00:00 UTC and 2026-10-25 01:00 UTC)."
    )
    assert overlap.at == datetime(2026, 10, 25, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/Santiago", "Asia/Beirut", "Africa/Cairo"])
def test_a_midnight_that_vanishes_is_told(zone: str) -> None:
    assert "gap" in codes("0 0 * * *", zone)


@pytest.mark.parametrize(
    "expression,zone",
    [("30 4 * * *", PARIS), ("0 * * * *", PARIS), ("*/15 * * * *", PARIS), ("30 2 * * *", "Asia/Kolkata"),
     ("30 2 * * *", "UTC"), ("30 2 1 * *", PARIS), ("30 7 * * 1-5", "America/New_York")],
)  # fmt: skip
def test_nothing_is_told_where_clock_changes_do_no_harm(expression: str, zone: str) -> None:
    assert codes(expression, zone) == []


def test_a_clock_change_outside_the_bounds_is_not_told() -> None:
    trigger = CronTrigger(expression="30 2 * * *", timezone=PARIS, ends_at=NOW + timedelta(days=30))

    assert timing.warnings(trigger, NOW) == []


@pytest.mark.parametrize("every,told", [(1, True), (59, True), (60, False), (3600, False)])
def test_intervals_under_a_minute_are_told(every: int, told: bool) -> None:
    found = timing.warnings(IntervalTrigger(every=every, anchor=NOW), NOW)

    assert [caution.code for caution in found] == ["too_frequent"] * told


def test_more_than_one_run_a_minute_is_told_with_its_number() -> None:
    assert codes("30 * * * * *") == []
    (caution,) = cautions("*/10 * * * * *")
    assert caution == Caution("too_frequent", "This fires more than once a minute: up to 8,640 runs a day.")


@pytest.mark.parametrize(
    "trigger",
    [
        OnceTrigger(at=NOW),
        CronTrigger(expression="* * * * *", ends_at=NOW),
        IntervalTrigger(every=60, anchor=NOW, ends_at=NOW),
        CronTrigger(expression="0 0 1 1 *", starts_at=NOW, ends_at=NOW + timedelta(days=9)),
    ],
)
def test_a_trigger_with_no_slot_ahead_is_told(trigger: Trigger) -> None:
    assert [caution.code for caution in timing.warnings(trigger, NOW)] == ["never_again"]


@pytest.mark.parametrize(
    "expression,texts",
    [
        ("0 0 31 * *", ["The 31st does not exist in February, April, June, September or November: no run for it there."]),
        ("0 0 30 * *", ["The 30th does not exist in February: no run for it there."]),
        ("0 0 29 * *", ["The 29th exists in February in leap years only."]),
        ("0 0 29 2 *", ["The 29th exists in February in leap years only."]),
        ("0 0 15,31 4-6 *", ["The 31st does not exist in April or June: no run for it there."]),
        ("0 0 31 1,3 *", []), ("0 0 28 * *", []), ("0 0 L * *", []), ("0 0 * * *", []), ("0 0 1-31 * *", []), ("0 0 */2 * *", []),
        ("0 0 28-31 * *", []),
    ],
)  # fmt: skip
def test_days_that_some_months_lack_are_told(expression: str, texts: list[str]) -> None:
    assert [caution.text for caution in cautions(expression)] == texts


@pytest.mark.parametrize(
    "expression,told",
    [("0 0 13 * 5", True), ("0 0 */2 * 5", False), ("0 0 13 * *", False), ("0 0 1-31 * 5", False)],
)
def test_two_day_fields_that_mean_or_are_told(expression: str, told: bool) -> None:
    assert codes(expression) == ["day_or"] * told


@settings(deadline=None, max_examples=200)
@given(strategies.triggers, strategies.moments)
def test_every_clock_change_told_names_a_slot_of_the_coming_year(trigger: Trigger, after: datetime) -> None:
    for caution in timing.warnings(trigger, after):
        assert caution.text.endswith(".")
        if caution.code in ("gap", "overlap"):
            assert caution.at is not None
            assert after < caution.at <= after + timedelta(days=366)
            assert is_slot_unix(trigger, int(caution.at.timestamp()))
