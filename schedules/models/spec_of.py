"""A schedule as the engine sees it: the row's words made into a trigger and a spec."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from schedules.conf import conf
from schedules.models.choices import Kind
from schedules.spec import OverlapPolicy as OverlapWord
from schedules.spec import Plan, ScheduleSpec, backoff_intervals
from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger, Policies, Trigger
from schedules.timing import MisfirePolicy as MisfireWord

if TYPE_CHECKING:
    from schedules.models.schedule import Schedule


def trigger_of(schedule: Schedule) -> Trigger:
    """Return when `schedule` is due; see `Schedule.trigger`."""
    problem = schedule.not_scheduled_because
    if problem:
        raise ValueError(f"The schedule {schedule.name!r} has no slots. {problem}")
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
    return IntervalTrigger(
        every=cast("int", schedule.interval_in_force),
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
            policies=_policies(
                str(schedule.misfire_policy),
                schedule.catchup_window,
                conf.misfire_threshold,
                conf.max_catchup,
            ),
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
def _policies(misfire: str, window: int | None, threshold: int, most: int) -> Policies:
    """Return the policies; most schedules share a few."""
    return Policies(
        misfire_policy=cast("MisfireWord", misfire),
        catchup_window=window,
        misfire_threshold=threshold,
        max_catchup=most,
    )


def _no_slot_up_to(schedule: Schedule) -> datetime | None:
    """The end of the present pause, or of the last one: no slot up to it is late or missed."""
    return schedule.paused_until if schedule.paused_at is not None else schedule.resumed_at
