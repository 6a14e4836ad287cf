"""Spread the slots of many schedules, by the same amount on every host."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from schedules.timing.moments import unix_floor


def jitter_seconds(schedule_id: str, slot: datetime, jitter: int) -> float:
    """Give the delay of one slot: between 0 and `jitter` seconds, both included, in steps of a millisecond.

    A hash of the schedule and the slot, not a random number: hosts agree, and asking again changes nothing.
    """
    return jitter_seconds_unix(schedule_id, unix_floor(slot), jitter)


def jitter_seconds_unix(schedule_id: str, slot: int, jitter: int) -> float:
    """Give the same for a slot in unix seconds."""
    if jitter <= 0:
        return 0.0
    key = b"%s:%d" % (schedule_id.encode("utf-8", "surrogatepass"), slot)
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big") % (jitter * 1_000 + 1) / 1_000
