"""What lies ahead of schedules, and what of it a pause would leave out; never counted for long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from schedules.models import Schedule
from schedules.timing import TimingError, slots_between

MOST_SLOTS: Final = 10_000
"""Slots that are counted for one page, some 30 ms of them."""
MOST_OF_ONE: Final = 1_000
"""Slots that are counted of one schedule, so that one of every second leaves some for the others."""
MOST_SCHEDULES: Final = 1_000
"""Schedules of which slots are counted."""
LISTED: Final = 20
A_DAY: Final = timedelta(days=1)


def planned(schedule: Schedule, *, since: datetime, until: datetime, limit: int) -> list[datetime]:
    """Return the slots of a schedule that are to come, as the engine finds them; none for one that is off."""
    try:
        trigger = schedule.trigger()
        if not schedule.enabled or (schedule.paused_at is not None and schedule.paused_until is None):
            return []
        if schedule.paused_at is not None and schedule.paused_until is not None:
            since = max(since, schedule.paused_until)
        left = None if schedule.max_runs is None else max(0, schedule.max_runs - schedule.runs_dispatched)
        return slots_between(trigger, since, until, limit if left is None else min(limit, left))
    except (ValueError, TimingError):
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutOfOne:
    """The slots of one schedule in the time of a pause."""

    schedule: Schedule
    count: int
    is_more: bool
    first: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The slots of some schedules in the time of a pause."""

    count: int
    is_more: bool
    """Whether there are more than were counted."""
    rows: tuple[LeftOutOfOne, ...]
    """Those with slots, the next one first; not more than a page can list."""
    others: int
    """How many with slots are not listed."""
    until: datetime
    is_open: bool
    """Whether the pause has no end: then it is counted for a day."""


def left_out(schedules: Iterable[Schedule], *, now: datetime, until: datetime | None) -> LeftOut:
    """Count the slots from `now` to `until` that a pause of these schedules leaves out; without `until`, a day's."""
    end = now + A_DAY if until is None else until
    rows: list[LeftOutOfOne] = []
    total = 0
    is_more = False
    for place, schedule in enumerate(schedules):
        budget = min(MOST_OF_ONE, MOST_SLOTS - total)
        if place >= MOST_SCHEDULES or budget <= 0:
            is_more = True
            break
        # One more than counts: to tell "a thousand" from "more than a thousand".
        slots = planned(schedule, since=now, until=end, limit=budget + 1)
        if not slots:
            continue
        counted = min(len(slots), budget)
        is_more |= len(slots) > budget
        total += counted
        rows.append(
            LeftOutOfOne(schedule=schedule, count=counted, is_more=len(slots) > budget, first=slots[0])
        )
    rows.sort(key=lambda row: (row.first, row.schedule.name))
    return LeftOut(
        count=total,
        is_more=is_more,
        rows=tuple(rows[:LISTED]),
        others=max(len(rows) - LISTED, 0),
        until=end,
        is_open=until is None,
    )
