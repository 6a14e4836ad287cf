"""Triggers as small JSON objects, for Redis: short keys, whole unix seconds, stable over versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from schedules.timing.errors import TimingError, shown
from schedules.timing.moments import FIRST, LAST, from_unix, unix_floor
from schedules.timing.triggers import CronTrigger, IntervalTrigger, OnceTrigger, Trigger


def trigger_to_wire(trigger: Trigger) -> dict[str, Any]:
    """Give a trigger as a JSON-able dict.

    Keys: `k` the kind; `e` interval in seconds and `a` its anchor; `x` expression and `z` zone; `t` the only
    slot; `s` starts_at and `u` ends_at where set. Moments are unix seconds.
    """
    wire: dict[str, Any]
    if isinstance(trigger, IntervalTrigger):
        wire = {"k": "interval", "e": trigger.every, "a": trigger.anchor_unix}
    elif isinstance(trigger, CronTrigger):
        wire = {"k": "cron", "x": trigger.expression, "z": trigger.timezone}
    elif isinstance(trigger, OnceTrigger):
        wire = {"k": "once", "t": trigger.at_unix}
    else:
        raise TimingError(f"{shown(trigger)} is not a trigger.")
    if trigger.starts_at is not None:
        wire["s"] = unix_floor(trigger.starts_at)
    if trigger.ends_at is not None:
        wire["u"] = unix_floor(trigger.ends_at)
    return wire


def trigger_from_wire(wire: Mapping[str, Any]) -> Trigger:
    """Read what `trigger_to_wire` wrote. A cron expression is kept as it is, and read with the first slot.

    Raises `TimingError` for anything that it cannot have written. Keys that it does not know are ignored, so
    that an older reader copes with a newer writer.
    """
    if not isinstance(wire, Mapping):
        raise TimingError(f"The stored trigger {shown(type(wire).__name__)} is not an object.")
    kind = wire.get("k")
    starts_at = _moment(wire, "s") if wire.get("s") is not None else None
    ends_at = _moment(wire, "u") if wire.get("u") is not None else None
    if kind == "interval":
        return IntervalTrigger(
            every=_of(wire, "e"), anchor=_moment(wire, "a"), starts_at=starts_at, ends_at=ends_at
        )
    if kind == "cron":
        return CronTrigger(
            expression=_of(wire, "x"), timezone=_of(wire, "z"), starts_at=starts_at, ends_at=ends_at
        )
    if kind == "once":
        return OnceTrigger(at=_moment(wire, "t"), starts_at=starts_at, ends_at=ends_at)
    raise TimingError(f"The stored trigger is of kind {shown(kind)}: allowed are interval, cron and once.")


def _of(wire: Mapping[str, Any], key: str) -> Any:
    if key not in wire:
        raise TimingError(f"The stored trigger lacks {key!r}.")
    return wire[key]


def _moment(wire: Mapping[str, Any], key: str) -> datetime:
    value = _of(wire, key)
    if not isinstance(value, int) or isinstance(value, bool) or not FIRST <= value <= LAST:
        raise TimingError(f"The stored trigger's {key!r} is not a unix time in whole seconds.")
    return from_unix(value)
