"""A schedule as the engine sees it: the row's words made into a trigger and a spec."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.core.signals import setting_changed

from schedules.conf import conf
from schedules.environment import IntervalOverrideError, interval_override
from schedules.models.choices import Kind
from schedules.spec import OverlapPolicy as OverlapWord
from schedules.spec import Plan, ScheduleSpec, backoff_intervals
from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger, Policies, Trigger
from schedules.timing import MisfirePolicy as MisfireWord

if TYPE_CHECKING:
    from schedules.models.schedule import Schedule


class NotScheduledError(ValueError):
    """The schedule has no slots, as the row or the environment says."""


def trigger_of(schedule: Schedule) -> Trigger:
    """Return when `schedule` is due; see `Schedule.trigger`."""
    override: int | None = None
    unreadable: IntervalOverrideError | None = None
    try:
        override = interval_override(schedule.name)
    except IntervalOverrideError as error:
        unreadable = error
    problem = "" if unreadable is not None else schedule.without_slots_because(override)
    if problem:
        raise NotScheduledError(f"The schedule {schedule.name!r} has no slots. {problem}")
    if schedule.kind == Kind.CRON:
        return CronTrigger(
            expression=cast("str", schedule.cron),
            timezone=schedule.timezone,
            starts_at=schedule.starts_at,
            ends_at=schedule.ends_at,
        )
    if schedule.kind == Kind.ONCE:
        return OnceTrigger(
            at=cast("datetime", schedule.run_at), starts_at=schedule.starts_at, ends_at=schedule.ends_at
        )
    if unreadable is not None:
        raise unreadable
    return IntervalTrigger(
        every=cast("int", schedule.interval if override is None else override),
        anchor=schedule.starts_at or schedule.created_at,
        starts_at=schedule.starts_at,
        ends_at=schedule.ends_at,
    )


def spec_of(schedule: Schedule) -> ScheduleSpec:
    """Return what the engine needs to know of `schedule`; see `Schedule.to_spec`."""
    return ScheduleSpec(
        id=str(schedule.pk),
        name=schedule.name,
        func=schedule.func,
        args=tuple(schedule.args or ()),
        kwargs=dict(schedule.kwargs or {}),
        plan=Plan(
            trigger=schedule.trigger(),
            policies=_policies(str(schedule.misfire_policy), schedule.catchup_window),
            overlap_policy=cast("OverlapWord", str(schedule.overlap_policy)),
            jitter=schedule.jitter,
            max_runs=schedule.max_runs,
            queue=schedule.queue,
            paused_until=_no_slot_up_to(schedule),
        ),
        timeout=schedule.timeout,
        result_ttl=schedule.result_ttl,
        retry_max=schedule.retry_max,
        retry_intervals=backoff_intervals(
            retries=schedule.retry_max, minimum=schedule.retry_min_backoff, maximum=schedule.retry_max_backoff
        ),
        description=schedule.description,
        source="row",
    )


@lru_cache(maxsize=256)
def _policies(misfire: str, window: int | None) -> Policies:
    """Return the policies, with the limits of the settings; most schedules share a few."""
    return Policies(
        misfire_policy=cast("MisfireWord", misfire),
        catchup_window=window,
        misfire_threshold=conf.misfire_threshold,
        max_catchup=conf.max_catchup,
    )


def _forget_policies(**_signal: Any) -> None:
    """Read the settings anew: they have changed, as tests do."""
    _policies.cache_clear()


setting_changed.connect(_forget_policies)


def _no_slot_up_to(schedule: Schedule) -> datetime | None:
    """The end of the present pause, or of the last one: no slot up to it is late or missed."""
    return schedule.paused_until if schedule.paused_at is not None else schedule.resumed_at
