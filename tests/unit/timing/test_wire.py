"""The wire form of triggers: there and back, stable, and suspicious of what comes in."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    TimingError,
    Trigger,
    trigger_from_wire,
    trigger_to_wire,
)
from tests.unit.timing import strategies

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@settings(deadline=None)
@given(strategies.triggers)
def test_a_trigger_comes_back_as_it_went_through_json(trigger: Trigger) -> None:
    assert trigger_from_wire(json.loads(json.dumps(trigger_to_wire(trigger)))) == trigger


@pytest.mark.parametrize(
    "trigger,wire",
    [
        (IntervalTrigger(every=90, anchor=START), {"k": "interval", "e": 90, "a": 1772366400}),
        (
            CronTrigger(expression="0 7 * * 1-5", timezone="Europe/Paris", starts_at=START),
            {"k": "cron", "x": "0 7 * * 1-5", "z": "Europe/Paris", "s": 1772366400},
        ),
        (OnceTrigger(at=START, ends_at=START), {"k": "once", "t": 1772366400, "u": 1772366400}),
    ],
)
def test_the_wire_form_does_not_change_between_versions(trigger: Trigger, wire: dict[str, Any]) -> None:
    assert trigger_to_wire(trigger) == wire
    assert trigger_from_wire({**wire, "new": "ignored"}) == trigger


@pytest.mark.parametrize(
    "wire",
    [
        {}, {"k": "weekly"}, {"k": []}, {"k": "interval"}, {"k": "interval", "e": "90", "a": 0},
        {"k": "interval", "e": 0, "a": 0}, {"k": "interval", "e": 90, "a": 1.5},
        {"k": "interval", "e": True, "a": 0},
        {"k": "interval", "e": 90, "a": 10**30}, {"k": "cron", "x": 5, "z": "UTC"},
        {"k": "cron", "x": "* * * * *"},
        {"k": "once", "t": None}, {"k": "once", "t": 0, "s": "x"}, [], None, "cron", 5,
    ],
)  # fmt: skip
def test_what_was_never_written_is_refused(wire: Any) -> None:
    with pytest.raises(TimingError):
        trigger_from_wire(wire)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("keaxztsu") | st.text(), inner),
)


@given(st.dictionaries(st.sampled_from("keaxztsu"), _json | st.sampled_from(["interval", "cron", "once"])))
def test_any_json_is_a_trigger_or_our_error(wire: dict[str, Any]) -> None:
    with suppress(TimingError):
        assert isinstance(trigger_from_wire(wire), (IntervalTrigger, CronTrigger, OnceTrigger))
