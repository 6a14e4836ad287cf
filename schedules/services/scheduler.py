"""`SchedulerService`: the one public door to rq-scheduler, for code and for `sync`.

It takes plain calls or specs, and knows no rows: no database is needed. Every call works on the class and on an
instance alike; there is no state in either.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from django_rq.queues import get_result_ttl
from rq.job import Job, Retry

from schedules.engine import EngineError, PayloadError, Progress
from schedules.engine.entries import EntryState, Outcome
from schedules.engine.template import payload
from schedules.services import calls
from schedules.services.calls import Function
from schedules.services.connection import redis_errors_as_ours, scheduler_for
from schedules.services.errors import InvalidCallError, ServiceError, UnknownScheduleError
from schedules.spec import Plan, ScheduleSpec
from schedules.texts import gettext as _
from schedules.texts import text_of
from schedules.timing import CronTrigger, IntervalTrigger, TimingError, Trigger, check_cron

logger = logging.getLogger(__name__)


class SchedulerService:
    """Schedules functions: periodically, by cron, at a time, at once.

    All calls take `args`, `kwargs`, `queue`, `timeout` (seconds), `result_ttl` (seconds) and `retry` (an `rq.Retry`
    or a number), and return the RQ job. All raise `InvalidCallError` for what cannot be scheduled and
    `SchedulerUnavailableError` when Redis does not answer.
    """

    @classmethod
    def schedule_periodic(
        cls,
        *,
        id: UUID | str,
        func: Function,
        interval: float | None = None,
        every_seconds: float | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str = "default",
        timeout: int | None = None,
        result_ttl: int | None = None,
        retry: Retry | int | None = None,
        name: str = "",
    ) -> Job | None:
        """Run a function every so many whole seconds, for as long as it is not cancelled.

        The id makes it unique: calling again, as every restart of a client does, updates it in place and never
        pushes the next run later. The first run is one interval from the first call. An interval of zero or less
        means "not scheduled": what is there under the id is taken out, and None is returned.
        """
        schedule_id = calls.checked_id(id)
        seconds = calls.checked_interval(interval, every_seconds)
        if seconds <= 0:
            removed = cls.cancel(schedule_id)
            logger.info(
                "Schedule %s has the interval %d and is not scheduled%s.",
                schedule_id,
                seconds,
                "; it was taken out" if removed else "",
                extra={"action": "schedule.not_scheduled", "schedule_id": schedule_id},
            )
            return None
        return cls._periodic(
            schedule_id,
            # The moment of the first registering; the engine keeps the phase of an entry that is there.
            IntervalTrigger(every=seconds, anchor=datetime.now(UTC)),
            func,
            args,
            kwargs,
            queue,
            timeout,
            result_ttl,
            retry,
            name,
        )

    @classmethod
    def schedule_cron(
        cls,
        *,
        id: UUID | str,
        cron: str,
        func: Function,
        timezone: str = "UTC",
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str = "default",
        timeout: int | None = None,
        result_ttl: int | None = None,
        retry: Retry | int | None = None,
        name: str = "",
    ) -> Job | None:
        """Run a function whenever a cron expression says so, in an IANA time zone; unique by its id."""
        schedule_id = calls.checked_id(id)
        try:
            check_cron(cron, timezone)
        except TimingError as error:
            raise InvalidCallError(f"cron is {cron!r}, timezone {timezone!r}: {error}") from error
        trigger = CronTrigger(expression=cron, timezone=timezone)
        return cls._periodic(
            schedule_id, trigger, func, args, kwargs, queue, timeout, result_ttl, retry, name
        )

    @classmethod
    def schedule_at(
        cls,
        *,
        execution_time: datetime,
        func: Function,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str = "default",
        timeout: int | None = None,
        result_ttl: int | None = None,
        retry: Retry | int | None = None,
    ) -> Job:
        """Run a function once, at a time in any zone (naive: UTC, with a `RuntimeWarning`); in the past: at once."""
        moment = calls.checked_moment("execution_time", execution_time)
        path, call_args, call_kwargs = cls._checked_call(func, args, kwargs)
        scheduler = scheduler_for(calls.checked_queue(queue))
        with redis_errors_as_ours(scheduler.connection):
            return scheduler.enqueue_once(
                moment,
                path,
                args=call_args,
                kwargs=call_kwargs,
                queue=queue,
                timeout=calls.checked_timeout(timeout),
                result_ttl=calls.checked_result_ttl(result_ttl),
                retry=calls.checked_retry(retry),
            )

    @classmethod
    def schedule_job(
        cls,
        *,
        func: Function,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str = "default",
        timeout: int | None = None,
        result_ttl: int | None = None,
        retry: Retry | int | None = None,
    ) -> Job:
        """Run a function once, as soon as a worker is free."""
        path, call_args, call_kwargs = cls._checked_call(func, args, kwargs)
        scheduler = scheduler_for(calls.checked_queue(queue))
        kept = calls.checked_result_ttl(result_ttl)
        with redis_errors_as_ours(scheduler.connection):
            try:
                return scheduler.enqueue_now(
                    path,
                    args=call_args,
                    kwargs=call_kwargs,
                    queue=queue,
                    timeout=calls.checked_timeout(timeout),
                    result_ttl=get_result_ttl(queue) if kept is None else kept,
                    retry=calls.checked_retry(retry),
                )
            except EngineError as error:
                raise ServiceError(text_of(error)) from error

    @classmethod
    def cancel(cls, id: UUID | str) -> bool:
        """Take a schedule out; return whether it was there. A job that is queued already still runs."""
        return cls.unregister([calls.checked_id(id)]) > 0

    @classmethod
    def next_run(cls, id: UUID | str) -> datetime | None:
        """Return when a schedule is dispatched next (aware, UTC), or None if it is not scheduled."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            return scheduler.next_due(calls.checked_id(id))

    @classmethod
    def run_now(cls, id: UUID | str, *, started_by: str = "") -> Job:
        """Start one run of a registered schedule at once, beside its plan: no slot is shifted or used up.

        Raises:
            UnknownScheduleError: nothing is registered under the id.
        """
        schedule_id = calls.checked_id(id)
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            job = scheduler.run_now(schedule_id, started_by=started_by)
        if job is None:
            raise UnknownScheduleError(
                _(
                    "No schedule %(id)s is registered, so there is nothing to run. "
                    "Is it enabled, and has sync_schedules run?"
                )
                % {"id": schedule_id}
            )
        return job

    @classmethod
    def start(
        cls,
        spec: ScheduleSpec,
        *,
        trigger: Literal["manual", "retry"] = "manual",
        started_by: str = "",
        like: str = "",
        follow: bool = False,
    ) -> Job:
        """Start one run of a spec at once, registered or not: no slot is shifted or used up.

        With `like`, the id of an earlier job, it repeats that one with the arguments that it had. With `follow`,
        what it prints can be read while it runs.

        Raises:
            InvalidCallError: there is nothing to run: the earlier job is gone, and the spec names no function.
        """
        scheduler = scheduler_for(spec.plan.queue)
        with redis_errors_as_ours(scheduler.connection):
            try:
                job = scheduler.start(spec, trigger=trigger, started_by=started_by, like=like, follow=follow)
            except PayloadError as error:
                raise InvalidCallError(text_of(error)) from error
        if job is None:
            raise InvalidCallError(
                _("Job %(job)s cannot be repeated: Redis has dropped it, and its arguments were not kept.")
                % {"job": like}
            )
        return job

    # --- for sync and the keeper: specs instead of calls ------------------------------------------------------

    @classmethod
    def register(
        cls, specs: Iterable[ScheduleSpec], *, progress: Mapping[str, Progress] | None = None
    ) -> dict[str, Outcome]:
        """Make the engine know these schedules; return `added`, `changed` or `kept` for each id."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            return scheduler.register(specs, progress=progress)

    @classmethod
    def unregister(cls, ids: Iterable[str], *, source: str = "", keep: bool = False) -> int:
        """Make the engine forget these ids; return how many it knew."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            return scheduler.unregister(ids, source=source, keep=keep)

    @classmethod
    def registered(cls) -> Iterator[tuple[str, str, str]]:
        """Yield (id, source, digest) of everything registered."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            yield from scheduler.entries.registered()

    @classmethod
    def doubtful(cls, ids: Sequence[str]) -> list[str]:
        """Return those of registered ids of which a part may be missing in Redis, or that are over."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            return scheduler.entries.doubtful(ids)

    @classmethod
    def states(cls, ids: Iterable[str]) -> Iterator[EntryState]:
        """Yield what Redis holds for each id, in order."""
        scheduler = scheduler_for()
        with redis_errors_as_ours(scheduler.connection):
            yield from scheduler.entries.read_all(ids)

    # ----------------------------------------------------------------------------------------------------------

    @classmethod
    def _periodic(
        cls,
        schedule_id: str,
        trigger: Trigger,
        func: Function,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        queue: str,
        timeout: int | None,
        result_ttl: int | None,
        retry: Retry | int | None,
        name: str,
    ) -> Job | None:
        path, call_args, call_kwargs = cls._checked_call(func, args, kwargs)
        rule = calls.checked_retry(retry)
        spec = ScheduleSpec(
            id=schedule_id,
            name=name or path,
            func=path,
            args=call_args,
            kwargs=call_kwargs,
            plan=Plan(trigger=trigger, queue=calls.checked_queue(queue), is_kept_when_over=False),
            timeout=calls.checked_timeout(timeout),
            result_ttl=calls.checked_result_ttl(result_ttl),
            source="code",
        )
        if rule is not None:
            intervals = tuple(interval for interval in (rule.intervals or ()) if interval)
            spec = replace(spec, retry_max=rule.max, retry_intervals=intervals)
        scheduler = scheduler_for(queue)
        with redis_errors_as_ours(scheduler.connection):
            try:
                outcome = scheduler.register([spec])[schedule_id]
            except EngineError as error:
                raise ServiceError(text_of(error)) from error
            job = scheduler.template_job(schedule_id)
        logger.info(
            "Schedule %s (%s) is %s.",
            schedule_id,
            path,
            outcome,
            extra={"action": f"schedule.{outcome}", "schedule_id": schedule_id},
        )
        return job

    @classmethod
    def _checked_call(
        cls, func: Function, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        call_args, call_kwargs = calls.checked_arguments(args, kwargs)
        path = calls.checked_function(func, call_args, call_kwargs)
        try:
            payload(path, call_args, call_kwargs)
        except PayloadError as error:
            raise InvalidCallError(text_of(error)) from error
        return path, call_args, call_kwargs
