"""Listing the slots of a missed range: the newest one by one, what is older as one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    TimingError,
    Trigger,
    next_slot_unix,
    previous_slot_unix,
    trigger_from_wire,
)

MOST_ROWS: Final = 1000
"""Rows that one outage of one schedule becomes at most, whatever is kept."""
MOST_COUNTED: Final = 50_000
"""Slots of a cron expression that are counted one by one; half a second's work."""


@dataclass(frozen=True, slots=True)
class MissedSlots:
    """Slots in unix seconds: `single` ascending, and before them, if there are more, those from `first` to `last`."""

    single: tuple[int, ...]
    first: int | None = None
    last: int | None = None
    count: int = 0
    """How many slots `first` to `last` are."""
    is_exact: bool = True


def missed_slots_of(event: Mapping[str, Any], *, keep: int) -> MissedSlots:
    """List the slots of a `missed` event, at most `keep` of them one by one.

    Raises:
        KeyError, TypeError, ValueError: the event cannot be read.
    """
    first, last = int(event["a"]), int(event["b"])
    if first >= last or "w" not in event:
        return MissedSlots((first,)) if first >= last else MissedSlots((), first, last, 1, is_exact=False)
    try:
        trigger = trigger_from_wire(event["w"])
        return _listed(trigger, first, last, max(1, min(keep, MOST_ROWS)))
    except TimingError:
        # An expression that this release cannot read any more must not cost the row.
        return MissedSlots((), first, last, 1, is_exact=False)


def _listed(trigger: Trigger, first: int, last: int, keep: int) -> MissedSlots:
    single: list[int] = []
    slot = previous_slot_unix(trigger, last + 1)
    while slot is not None and slot >= first and len(single) < keep:
        single.append(slot)
        slot = previous_slot_unix(trigger, slot)
    single.reverse()
    if slot is None or slot < first:
        return MissedSlots(tuple(single) or (first,))
    begin = next_slot_unix(trigger, first - 1)
    count, is_exact = _count(trigger, first if begin is None else begin, slot)
    return MissedSlots(tuple(single), first if begin is None else begin, slot, count, is_exact)


def _count(trigger: Trigger, first: int, last: int) -> tuple[int, bool]:
    if isinstance(trigger, IntervalTrigger):
        return (last - first) // trigger.every + 1, True
    if not isinstance(trigger, CronTrigger):
        return 1, True
    count, slot = 1, next_slot_unix(trigger, first)
    while slot is not None and slot <= last:
        count += 1
        if count >= MOST_COUNTED:
            return count, False
        slot = next_slot_unix(trigger, slot)
    return count, True
