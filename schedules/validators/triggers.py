"""Rules for when a schedule is due: the trigger is complete, and there is a moment at which it fires."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.timezone import is_aware
from django.utils.translation import gettext as _

from schedules.environment import IntervalOverrideError, interval_override
from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    TimingError,
    Trigger,
    check_cron,
    check_interval,
    check_timezone,
    next_slot,
    upcoming,
)
from schedules.translating import translated

MOMENTS: Final = ("run_at", "starts_at", "ends_at")
CRON_SLOTS_TO_COMPARE: Final = 20
"""How many slots of a cron expression are looked at for the least time between two."""


def trigger_errors(schedule: Any, *, now: datetime, adding: bool) -> dict[str, list[str]]:
    """Return what is wrong with when a schedule is due, by field."""
    errors: dict[str, list[str]] = {}
    for field in MOMENTS:
        _add(errors, field, _moment_problem(getattr(schedule, field)))
    moments = [getattr(schedule, field) for field in MOMENTS]
    moments_are_sound = not errors and all(
        moment is None or isinstance(moment, datetime) for moment in moments
    )
    starts_at, ends_at = schedule.starts_at, schedule.ends_at
    if moments_are_sound and starts_at is not None and ends_at is not None and ends_at <= starts_at:
        _add(
            errors,
            "ends_at",
            _("The end, %(end)s, must be later than the start, %(start)s.")
            % {"end": ends_at.isoformat(), "start": starts_at.isoformat()},
        )
    _add(errors, "timezone", _timing_problem(check_timezone, schedule.timezone))
    zone_is_known = "timezone" not in errors
    if schedule.kind == "interval":
        _add(errors, "interval", _interval_problem(schedule))
    elif schedule.kind == "cron":
        _add(errors, "cron", _cron_problem(schedule.cron, schedule.timezone if zone_is_known else "UTC"))
    elif schedule.kind == "once":
        _add(errors, "run_at", _once_problem(schedule.run_at, now=now, adding=adding))
    _add(errors, "jitter", _jitter_problem(schedule, now))
    if moments_are_sound and errors.keys() <= {"jitter"}:
        trigger = _trigger(schedule)
        if trigger is not None:
            _check_firing(schedule, trigger, errors, now=now, adding=adding)
    return errors


def _moment_problem(moment: Any) -> str:
    if isinstance(moment, datetime) and not is_aware(moment):
        return _("%(value)s has no time zone; give an aware moment, for example 2030-01-31T09:00+00:00.") % {
            "value": moment.isoformat()
        }
    return ""


def _interval_problem(schedule: Any) -> str:
    interval = schedule.interval
    if interval is None:
        # The environment may give the interval, now or where the scheduler runs; without either it is a mistake.
        try:
            given = interval_override(schedule.name) is not None
        except IntervalOverrideError as error:
            return translated(error)
        return "" if given else _("The interval is empty; give seconds, zero or less for not scheduled.")
    # Zero or less is allowed: not scheduled.
    return _timing_problem(check_interval, interval) if isinstance(interval, int) and interval > 0 else ""


def _cron_problem(expression: Any, zone: str) -> str:
    if not expression:
        return _("The cron expression is empty; give for example 30 4 * * mon-fri.")
    return _timing_problem(check_cron, expression, zone)


def _once_problem(run_at: Any, *, now: datetime, adding: bool) -> str:
    if run_at is None:
        return _("The time to run at is empty; give a moment in the future.")
    # An old one may be edited when it is over: its name, say, or its retention.
    if adding and isinstance(run_at, datetime) and is_aware(run_at) and run_at <= now:
        return _("%(value)s is in the past; give a moment later than now, %(now)s.") % {
            "value": run_at.isoformat(),
            "now": now.isoformat(timespec="seconds"),
        }
    return ""


def _trigger(schedule: Any) -> Trigger | None:
    """Build the trigger of the values alone; None: not scheduled, or of a kind that its field has refused."""
    starts_at, ends_at = schedule.starts_at, schedule.ends_at
    if schedule.kind == "cron":
        return CronTrigger(
            expression=schedule.cron, timezone=schedule.timezone, starts_at=starts_at, ends_at=ends_at
        )
    if schedule.kind == "once":
        return OnceTrigger(at=schedule.run_at, starts_at=starts_at, ends_at=ends_at)
    if schedule.kind == "interval" and isinstance(schedule.interval, int) and schedule.interval > 0:
        anchor = starts_at or schedule.created_at
        return IntervalTrigger(every=schedule.interval, anchor=anchor, starts_at=starts_at, ends_at=ends_at)
    return None


def _check_firing(
    schedule: Any, trigger: Trigger, errors: dict[str, list[str]], *, now: datetime, adding: bool
) -> None:
    """Refuse bounds that leave no slot, and a new schedule that is over."""
    begin = schedule.starts_at or schedule.created_at
    if schedule.kind == "once":
        begin = min(begin, schedule.run_at)
    if next_slot(trigger, begin - timedelta(seconds=1)) is None:
        _add(
            errors,
            _bound_to_blame(schedule),
            _("Nothing is ever due between the start and the end; move them."),
        )
        return
    if adding and next_slot(trigger, now) is None:
        problem = _("It would never run: nothing is due after now, %(now)s.") % {
            "now": now.isoformat(timespec="seconds")
        }
        _add(errors, _bound_to_blame(schedule), problem)


def _jitter_problem(schedule: Any, now: datetime) -> str:
    """Refuse a jitter that would let slots overtake each other; it may be wrong together with anything else."""
    jitter = schedule.jitter
    if not isinstance(jitter, int) or jitter <= 0:
        return ""
    try:
        trigger = _trigger(schedule)
        gap = None if trigger is None else _least_gap(trigger, now)
    except (TimingError, TypeError):
        return ""  # told at its own field
    if gap is None or jitter < gap:
        return ""
    return _("%(jitter)d seconds is not less than the %(gap)d seconds between two slots.") % {
        "jitter": jitter,
        "gap": gap,
    }


def _least_gap(trigger: Trigger, now: datetime) -> int | None:
    if isinstance(trigger, IntervalTrigger):
        return trigger.every
    slots = upcoming(trigger, now, CRON_SLOTS_TO_COMPARE)
    gaps = [int((later - earlier).total_seconds()) for earlier, later in itertools.pairwise(slots)]
    return min(gaps, default=None)


def _bound_to_blame(schedule: Any) -> str:
    if schedule.ends_at is not None:
        return "ends_at"
    return "starts_at" if schedule.starts_at is not None else str(schedule.kind)


def _timing_problem(check: Any, *values: Any) -> str:
    try:
        check(*values)
    except TimingError as error:
        return translated(error)
    return ""


def _add(errors: dict[str, list[str]], field: str, problem: str) -> None:
    if problem:
        errors.setdefault(field, []).append(problem)
