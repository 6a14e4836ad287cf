"""The slots of a trigger: the next, the previous, those between two moments.

The work is done on unix seconds; `next_slot_unix` and `previous_slot_unix` are that door, for callers that
hold scores instead of datetimes. A moment that is asked about may have microseconds; slots never have.
"""

from __future__ import annotations

from datetime import datetime

from schedules.timing.cron import cron_times
from schedules.timing.errors import TimingError, shown
from schedules.timing.moments import LAST, from_unix, unix_ceil, unix_floor
from schedules.timing.triggers import CronTrigger, IntervalTrigger, OnceTrigger, Trigger


def next_slot(trigger: Trigger, after: datetime) -> datetime | None:
    """Give the first slot strictly later than `after` (aware), in UTC; None for never.

    Raises `TimingError` for an expression or a zone that cannot be read.
    """
    found = next_slot_unix(trigger, unix_floor(after))
    return None if found is None else from_unix(found)


def previous_slot(trigger: Trigger, before: datetime) -> datetime | None:
    """Give the last slot strictly earlier than `before` (aware), in UTC; None when there is none."""
    found = previous_slot_unix(trigger, unix_ceil(before))
    return None if found is None else from_unix(found)


def slots_between(trigger: Trigger, since: datetime, until: datetime, limit: int) -> list[datetime]:
    """List the slots with since < slot <= until, ascending, the first `limit` of them."""
    found: list[datetime] = []
    last = unix_floor(until)
    slot = next_slot_unix(trigger, unix_floor(since))
    while slot is not None and slot <= last and len(found) < limit:
        found.append(from_unix(slot))
        slot = next_slot_unix(trigger, slot)
    return found


def upcoming(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """List the first `count` slots strictly later than `after`; fewer when the trigger ends."""
    found: list[datetime] = []
    slot = next_slot_unix(trigger, unix_floor(after)) if count > 0 else None
    while slot is not None:
        found.append(from_unix(slot))
        slot = next_slot_unix(trigger, slot) if len(found) < count else None
    return found


def next_slot_unix(trigger: Trigger, after: int) -> int | None:
    """Give the first slot strictly later than the unix second `after`; None for never."""
    if after < trigger.first_unix:
        after = trigger.first_unix - 1
    if isinstance(trigger, IntervalTrigger):
        anchor = trigger.anchor_unix
        found = anchor if after < anchor else after + trigger.every - (after - anchor) % trigger.every
        return found if found <= trigger.last_unix else None
    if isinstance(trigger, CronTrigger):
        slot = cron_times(trigger.expression, trigger.timezone).next(after)
        return slot if slot is not None and slot <= trigger.last_unix else None
    if isinstance(trigger, OnceTrigger):
        return trigger.at_unix if after < trigger.at_unix <= trigger.last_unix else None
    raise TimingError(f"{shown(trigger)} is not a trigger.")


def previous_slot_unix(trigger: Trigger, before: int) -> int | None:
    """Give the last slot strictly earlier than the unix second `before`; None when there is none."""
    if before > trigger.last_unix:
        before = trigger.last_unix + 1
    if isinstance(trigger, IntervalTrigger):
        anchor = trigger.anchor_unix
        found = before - 1 - (before - 1 - anchor) % trigger.every
        return found if found >= anchor and found >= trigger.first_unix else None
    if isinstance(trigger, CronTrigger):
        slot = cron_times(trigger.expression, trigger.timezone).previous(before)
        return slot if slot is not None and slot >= trigger.first_unix else None
    if isinstance(trigger, OnceTrigger):
        return trigger.at_unix if trigger.first_unix <= trigger.at_unix < before else None
    raise TimingError(f"{shown(trigger)} is not a trigger.")


def is_slot_unix(trigger: Trigger, unix: int) -> bool:
    """Tell whether a unix second is a slot of the trigger."""
    return unix <= LAST and next_slot_unix(trigger, unix - 1) == unix
