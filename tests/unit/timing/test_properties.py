"""What holds for every trigger and every moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    Trigger,
    next_slot,
    previous_slot,
    slots_between,
    upcoming,
)
from schedules.timing.fields import read_fields
from schedules.timing.wall import WallTimes
from tests.unit.timing import strategies

MINUTE = timedelta(minutes=1)
_lots = settings(max_examples=300, deadline=None)
_some = settings(max_examples=100, deadline=None)


@_lots
@given(strategies.triggers, strategies.moments)
def test_slots_are_later_than_asked_strictly_increasing_and_whole_utc_seconds(
    trigger: Trigger, moment: datetime
) -> None:
    slots = upcoming(trigger, moment, 30)

    assert all(earlier < later for earlier, later in zip([moment, *slots], slots, strict=False))
    assert all(slot.tzinfo is UTC and slot.microsecond == 0 for slot in slots)
    for slot in slots:
        assert trigger.starts_at is None or slot >= trigger.starts_at
        assert trigger.ends_at is None or slot < trigger.ends_at


@_some
@given(strategies.triggers, strategies.moments, st.integers(0, 12))
def test_upcoming_is_next_slot_so_many_times(trigger: Trigger, moment: datetime, count: int) -> None:
    stepped, slot = [], next_slot(trigger, moment)
    while slot is not None and len(stepped) < count:
        stepped.append(slot)
        slot = next_slot(trigger, slot)

    assert upcoming(trigger, moment, count) == stepped


@_some
@given(
    strategies.triggers,
    strategies.moments,
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.integers(0, 50),
)
def test_slots_between_is_what_stepping_gives(
    trigger: Trigger, since: datetime, span: timedelta, limit: int
) -> None:
    stepped = [slot for slot in upcoming(trigger, since, limit) if slot <= since + span]

    assert slots_between(trigger, since, since + span, limit) == stepped


@_lots
@given(strategies.triggers, strategies.moments)
def test_previous_and_next_are_inverse(trigger: Trigger, moment: datetime) -> None:
    slots = upcoming(trigger, moment, 20)
    for earlier, later in pairwise(slots):
        assert previous_slot(trigger, later) == earlier
    earlier_slot = previous_slot(trigger, moment)
    if slots:
        assert previous_slot(trigger, slots[0]) in (earlier_slot, moment)
    if earlier_slot is not None:
        following = next_slot(trigger, earlier_slot)
        assert following == (slots[0] if slots else None) or following == moment


@_lots
@given(strategies.open_cron_triggers, strategies.moments, st.sampled_from(["", "gap", "overlap"]))
def test_every_slot_matches_the_expression_in_its_zone_or_is_shifted_out_of_a_gap(
    trigger: CronTrigger, moment: datetime, near: str
) -> None:
    if near:
        moment = _before_a_change(trigger.timezone, moment)
    zone, fields = ZoneInfo(trigger.timezone), read_fields(trigger.expression)
    walls = WallTimes(fields)
    for slot in upcoming(trigger, moment, 20):
        local = slot.astimezone(zone)
        wall = int(local.replace(tzinfo=UTC).timestamp())
        if walls.next(wall) == wall:
            # A fixed time runs the first time that the clock shows it, a wildcard both times.
            assert not (fields.fixed and local.fold)
            continue
        assert fields.fixed
        before = slot - timedelta(seconds=1)
        skipped_from = int(before.astimezone(zone).replace(tzinfo=UTC).timestamp()) + 1
        assert skipped_from < wall, "not a gap"
        in_gap = walls.next(skipped_from)
        assert in_gap is not None
        assert in_gap < wall


def _before_a_change(zone: str, moment: datetime) -> datetime:
    info = ZoneInfo(zone)
    for _ in range(400):
        following = moment + timedelta(days=1)
        if following.astimezone(info).utcoffset() != moment.astimezone(info).utcoffset():
            return moment
        moment = following
    return moment


@_some
@given(strategies.open_cron_triggers, strategies.moments)
def test_a_fixed_time_never_runs_twice_at_the_same_time_on_the_wall(
    trigger: CronTrigger, moment: datetime
) -> None:
    fields = read_fields(trigger.expression)
    assume(fields.fixed and len(fields.seconds) == 1)
    moment = _before_a_change(trigger.timezone, moment)
    zone = ZoneInfo(trigger.timezone)
    slots = slots_between(trigger, moment - timedelta(days=2), moment + timedelta(days=3), 10_000)
    shown = [slot.astimezone(zone).replace(tzinfo=None) for slot in slots]

    assert len(set(shown)) == len(shown)


@_some
@given(
    st.integers(1, 100_000),
    strategies.moments,
    st.integers(0, 10**6),
    st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_a_slot_of_an_interval_is_a_whole_number_of_intervals_from_the_anchor(
    every: int, anchor: datetime, steps: int, extra: timedelta
) -> None:
    trigger = IntervalTrigger(every=every, anchor=anchor)
    slot = next_slot(trigger, trigger.anchor + timedelta(seconds=every * steps) + extra)

    assert slot is not None
    number, rest = divmod(slot - trigger.anchor, timedelta(seconds=every))
    assert rest == timedelta(0)
    assert number > steps


@_some
@given(strategies.open_cron_triggers)
def test_what_is_accepted_fires_within_fifty_years(trigger: CronTrigger) -> None:
    slot = next_slot(trigger, datetime(2026, 1, 1, tzinfo=UTC))

    assert slot is not None
    assert slot.year < 2076
