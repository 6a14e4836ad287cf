"""Slots of intervals and single moments, bounds, and moments that are not whole seconds."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    TimingError,
    Trigger,
    is_slot_unix,
    next_slot,
    next_slot_unix,
    previous_slot,
    slots_between,
    upcoming,
)

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EARLIEST, LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
DAILY = CronTrigger(expression="0 12 * * *")


def test_the_anchor_is_the_first_slot_of_an_interval() -> None:
    trigger = IntervalTrigger(every=90, anchor=START)

    assert next_slot(trigger, START - timedelta(days=9)) == START
    assert next_slot(trigger, START) == START + timedelta(seconds=90)
    assert previous_slot(trigger, START + SECOND) == START
    assert previous_slot(trigger, START) is None


def test_an_interval_stays_on_its_grid_however_late_it_is_asked() -> None:
    trigger = IntervalTrigger(every=3600, anchor=START)

    assert next_slot(trigger, START + timedelta(days=400, minutes=7)) == START + timedelta(days=400, hours=1)


def test_an_interval_stays_on_its_grid_for_a_million_steps() -> None:
    every = 97
    trigger = IntervalTrigger(every=every, anchor=START)
    slot = expected = int(START.timestamp())
    for _ in range(1_000_000):
        found = next_slot_unix(trigger, slot)
        expected += every
        assert found == expected
        slot = expected
    assert slot == int(START.timestamp()) + 1_000_000 * every


def test_a_single_moment_is_one_slot() -> None:
    trigger = OnceTrigger(at=START)

    assert next_slot(trigger, START - SECOND) == START
    assert next_slot(trigger, START) is None
    assert previous_slot(trigger, START) is None
    assert previous_slot(trigger, START + SECOND) == START


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(every=86_400, anchor=START, starts_at=START, ends_at=START + timedelta(days=2)),
        CronTrigger(expression="0 12 * * *", starts_at=START, ends_at=START + timedelta(days=2)),
    ],
)
def test_the_start_is_included_and_the_end_is_not(trigger: Trigger) -> None:
    days = [START, START + timedelta(days=1)]

    assert upcoming(trigger, START - timedelta(days=30), 9) == days
    assert next_slot(trigger, days[-1]) is None
    assert previous_slot(trigger, START + timedelta(days=30)) == days[-1]
    assert previous_slot(trigger, START) is None


def test_a_single_moment_obeys_its_bounds() -> None:
    for outside in ({"starts_at": START + SECOND}, {"ends_at": START}):
        trigger = OnceTrigger(at=START, **outside)
        assert next_slot(trigger, START - timedelta(days=1)) is None
        assert previous_slot(trigger, START + timedelta(days=1)) is None
    inside = OnceTrigger(at=START, starts_at=START, ends_at=START + SECOND)
    assert next_slot(inside, START - timedelta(days=1)) == START


def test_the_moments_of_a_trigger_are_rounded_down_to_whole_seconds() -> None:
    odd = START + timedelta(microseconds=999_999)

    assert IntervalTrigger(every=60, anchor=odd) == IntervalTrigger(every=60, anchor=START)
    assert OnceTrigger(at=odd).at == START
    # the anchor of a schedule is its start: rounding both leaves the first slot in
    assert next_slot(IntervalTrigger(every=60, anchor=odd, starts_at=odd), START - SECOND) == START


@pytest.mark.parametrize(
    "trigger", [DAILY, IntervalTrigger(every=86_400, anchor=START), OnceTrigger(at=START)]
)
def test_moments_asked_about_are_compared_to_the_microsecond(trigger: Trigger) -> None:
    tick = timedelta(microseconds=1)

    assert next_slot(trigger, START - tick) == START
    assert next_slot(trigger, START) != START
    assert next_slot(trigger, START + tick) != START
    assert previous_slot(trigger, START + tick) == START
    assert previous_slot(trigger, START) != START
    assert slots_between(trigger, START - tick, START, 5) == [START]
    assert slots_between(trigger, START, START + tick, 5) == []


def test_microseconds_far_from_today_are_not_lost_in_a_float() -> None:
    far = datetime(9000, 1, 1, 11, 59, 59, 999_999, tzinfo=UTC)

    assert next_slot(DAILY, far) == datetime(9000, 1, 1, 12, tzinfo=UTC)


def test_slots_between_are_bounded_by_the_limit() -> None:
    trigger = IntervalTrigger(every=1, anchor=START)

    assert slots_between(trigger, START, START + timedelta(days=9), 3) == [
        START + n * SECOND for n in (1, 2, 3)
    ]
    assert slots_between(trigger, START, START + timedelta(days=9), 0) == []
    assert upcoming(trigger, START, 0) == []


@pytest.mark.parametrize(
    "trigger", [DAILY, CronTrigger(expression="*/7 * * * *", timezone="Australia/Lord_Howe"),
                CronTrigger(expression="0 0 29 2 *", timezone="Pacific/Apia"),
                IntervalTrigger(every=5, anchor=START), OnceTrigger(at=START)],
)  # fmt: skip
@pytest.mark.parametrize("moment", [EARLIEST, LATEST])
def test_the_ends_of_time_are_ends_and_not_errors(trigger: Trigger, moment: datetime) -> None:
    assert (next_slot(trigger, moment) is None) == (moment == LATEST)
    previous = previous_slot(trigger, moment)
    assert previous is None or moment == LATEST
    for answer in (next_slot(trigger, moment), previous):
        assert answer is None or EARLIEST <= answer <= LATEST


def test_slots_are_utc_whatever_zone_is_asked_in() -> None:
    there = START.astimezone(timezone(timedelta(hours=-9, minutes=-30)))

    slot = next_slot(DAILY, there)

    assert slot == START + timedelta(days=1)
    assert slot is not None
    assert slot.tzinfo is UTC


def test_asking_whether_a_second_is_a_slot() -> None:
    unix = int(START.timestamp())

    assert is_slot_unix(DAILY, unix)
    assert not is_slot_unix(DAILY, unix + 1)


def test_triggers_are_values() -> None:
    for make in (
        lambda: IntervalTrigger(every=60, anchor=START, ends_at=START + SECOND),
        lambda: CronTrigger(expression="0 12 * * *", timezone="Europe/Paris"),
        lambda: OnceTrigger(at=START),
    ):
        trigger = make()
        assert trigger == make()
        assert hash(trigger) == hash(make())
        again = pickle.loads(pickle.dumps(trigger))
        assert again == trigger
        assert next_slot(again, START - SECOND) == next_slot(trigger, START - SECOND)
        with pytest.raises(AttributeError):
            trigger.starts_at = START  # type: ignore[misc]


def test_a_moment_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 1, 1)
    for ask in (
        lambda: next_slot(DAILY, naive),
        lambda: previous_slot(DAILY, naive),
        lambda: OnceTrigger(at=naive),
        lambda: IntervalTrigger(every=1, anchor=naive),
        lambda: CronTrigger(expression="* * * * *", starts_at=naive),
    ):
        with pytest.raises(TimingError, match="is not a datetime with a time zone"):
            ask()
