"""When schedules are due: pure arithmetic of time. No clock, no Django, no Redis; time is an argument."""

from __future__ import annotations

from schedules.timing.cautions import Caution, warnings
from schedules.timing.cron import check_cron, check_timezone
from schedules.timing.decisions import (
    MISFIRE_POLICIES,
    Decision,
    MisfirePolicy,
    Missed,
    Policies,
    decide,
    missed_slots,
)
from schedules.timing.errors import TimingError
from schedules.timing.intervals import check_interval, parse_interval
from schedules.timing.jitter import jitter_seconds, jitter_seconds_unix
from schedules.timing.moments import from_unix, unix_floor
from schedules.timing.slots import (
    is_slot_unix,
    next_slot,
    next_slot_unix,
    previous_slot,
    previous_slot_unix,
    slots_between,
    upcoming,
)
from schedules.timing.triggers import CronTrigger, IntervalTrigger, OnceTrigger, Trigger
from schedules.timing.wire import trigger_from_wire, trigger_to_wire
from schedules.timing.wording import describe

__all__ = [
    "MISFIRE_POLICIES",
    "Caution",
    "CronTrigger",
    "Decision",
    "IntervalTrigger",
    "MisfirePolicy",
    "Missed",
    "OnceTrigger",
    "Policies",
    "TimingError",
    "Trigger",
    "check_cron",
    "check_interval",
    "check_timezone",
    "decide",
    "describe",
    "from_unix",
    "is_slot_unix",
    "jitter_seconds",
    "jitter_seconds_unix",
    "missed_slots",
    "next_slot",
    "next_slot_unix",
    "parse_interval",
    "previous_slot",
    "previous_slot_unix",
    "slots_between",
    "trigger_from_wire",
    "trigger_to_wire",
    "unix_floor",
    "upcoming",
    "warnings",
]
