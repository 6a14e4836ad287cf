"""Starting a run by hand: of a schedule, or again as it was. Neither shifts nor uses up a slot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from rq.job import Job

from schedules.models import Run, Schedule
from schedules.services import SchedulerService
from schedules.spec import Plan, ScheduleSpec, backoff_intervals
from schedules.timing import OnceTrigger


def run_schedule(schedule: Schedule, *, started_by: str = "", follow: bool = False) -> Job:
    """Start one run of a schedule as its row is now, also of one that is disabled, paused or has no slots.

    Raises:
        ServiceError: Redis does not answer, or the arguments cannot be carried over.
    """
    return SchedulerService.start(_spec_of(schedule), started_by=started_by, follow=follow)


def run_again(run: Run, *, started_by: str = "", follow: bool = False) -> Job:
    """Repeat a run with the arguments that it had; the new one says in `retry_of` which it repeats.

    Raises:
        ServiceError: Redis does not answer, or the arguments were not kept.
    """
    args, kwargs = run.arguments or ([], {})
    if run.schedule is not None:
        spec = _spec_of(run.schedule)
    else:
        spec = _spec(id=str(uuid4()), name=run.schedule_name or run.func, queue=run.queue or "default")
    spec = replace(spec, func=run.func if run.payload else "", args=tuple(args), kwargs=kwargs)
    return SchedulerService.start(
        spec, trigger="retry", started_by=started_by, like=run.job_id or "", follow=follow
    )


def _spec(*, id: str, name: str, queue: str) -> ScheduleSpec:
    return ScheduleSpec(id=id, name=name, func="", plan=Plan(trigger=_NEVER_ASKED, queue=queue))


def _spec_of(schedule: Schedule) -> ScheduleSpec:
    """Return what a run needs of a row, whether or not the row has slots."""
    return ScheduleSpec(
        id=str(schedule.pk),
        name=schedule.name,
        func=schedule.func,
        args=tuple(schedule.args or ()),
        kwargs=dict(schedule.kwargs or {}),
        plan=Plan(trigger=_NEVER_ASKED, queue=schedule.queue),
        timeout=schedule.timeout,
        result_ttl=schedule.result_ttl,
        retry_max=schedule.retry_max,
        retry_intervals=backoff_intervals(
            retries=schedule.retry_max,
            minimum=schedule.retry_min_backoff,
            maximum=schedule.retry_max_backoff,
        ),
        description=schedule.description,
    )


_NEVER_ASKED = OnceTrigger(at=datetime(2000, 1, 1, tzinfo=UTC))
"""A run by hand has no plan; a spec has to have one."""
