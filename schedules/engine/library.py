"""rq-scheduler's own API (`enqueue_at`, `enqueue_in`, `schedule`, `cron`, `cancel`, `get_jobs`, `in` ...), mended.

Where stock loses, doubles or delays, this does not; each difference has a test in `tests/redis/test_stock_api.py`;
what is the same is compared with the library itself, option by option, in `test_stock_options.py`.
"""

from __future__ import annotations

import calendar
import logging
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

from django_rq.queues import DjangoScheduler
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job

from schedules.engine import keys
from schedules.engine.clock import Clock, RedisClock
from schedules.engine.entries import Entries
from schedules.engine.state import State, new_generation
from schedules.engine.stock import local_zone
from schedules.engine.template import default_timeout
from schedules.spec import Plan, plan_to_wire
from schedules.timing import CronTrigger, IntervalTrigger, check_cron, next_slot

logger = logging.getLogger(__name__)


class LibraryScheduler(DjangoScheduler):
    """What users of rq-scheduler call."""

    connection: Redis
    job_class: type[Job]
    scheduled_jobs_key = keys.SCHEDULED

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock: Clock = clock or RedisClock()
        self.entries = Entries(self.connection, clock=self.clock)
        self._change_time = self.connection.register_script(keys.script("change_time"))
        self._place = self.connection.register_script(keys.script("place"))

    def enqueue_at(self, scheduled_time: datetime, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Run a function once, at a time (naive: UTC, as in rq-scheduler)."""
        at_front = bool(kwargs.pop("at_front", None))
        names = {
            "id": "job_id",
            "result_ttl": "job_result_ttl",
            "ttl": "job_ttl",
            "description": "job_description",
        } | {
            name: name for name in ("timeout", "depends_on", "meta", "queue_name", "on_success", "on_failure")
        }
        options = {name: kwargs.pop(given, None) for name, given in names.items()}
        job = cast(
            Job,
            self._create_job(  # type: ignore[no-untyped-call]
                func, args=args, kwargs=kwargs, commit=False, **options
            ),
        )
        return self._placed(job, scheduled_time, at_front=at_front)

    def enqueue_in(self, time_delta: timedelta, func: Any, *args: Any, **kwargs: Any) -> Job:
        """Run a function once, this long from now."""
        return self.enqueue_at(datetime.now(UTC) + time_delta, func, *args, **kwargs)

    def schedule(
        self,
        scheduled_time: datetime,
        func: Any,
        args: Any = None,
        kwargs: Any = None,
        interval: int | None = None,
        repeat: int | None = None,
        result_ttl: int | None = None,
        ttl: int | None = None,
        timeout: int | None = None,
        id: str | None = None,
        description: str | None = None,
        queue_name: str | None = None,
        meta: dict[str, Any] | None = None,
        depends_on: Any = None,
        on_success: Any = None,
        on_failure: Any = None,
        at_front: bool | None = None,
    ) -> Job:
        """Run a function at a time and, with `interval`, every so many seconds from then on.

        Raises:
            ValueError: the interval is not a number of seconds of 1 or more, or `repeat` is below 0 or has no interval.
        """
        if interval is not None and int(interval) < 1:
            raise ValueError(
                f"interval is {interval!r}: allowed is a number of seconds of 1 or more. "
                "To stop a periodic job, cancel it."
            )
        if repeat and interval is None:
            raise ValueError("Can't repeat a job without interval argument")
        max_runs = _max_runs_of(repeat)
        job = cast(
            Job,
            self._create_job(  # type: ignore[no-untyped-call]
                func,
                args=args,
                kwargs=kwargs,
                commit=False,
                result_ttl=result_ttl,
                ttl=ttl,
                id=id,
                queue_name=queue_name,
                description=description,
                timeout=timeout,
                meta=meta,
                depends_on=depends_on,
                on_success=on_success,
                on_failure=on_failure,
            ),
        )
        if repeat is not None:
            job.meta["repeat"] = int(repeat)
        plan = None
        if interval is not None:
            job.meta["interval"] = int(interval)
            slot = datetime.fromtimestamp(calendar.timegm(scheduled_time.utctimetuple()), UTC)
            plan = Plan(
                is_kept_when_over=False,
                trigger=IntervalTrigger(every=int(interval), anchor=slot),
                max_runs=max_runs,
                queue=job.origin,
            )
        return self._placed(job, scheduled_time, at_front=bool(at_front), plan=plan)

    def cron(
        self,
        cron_string: str,
        func: Any,
        args: Any = None,
        kwargs: Any = None,
        repeat: int | None = None,
        queue_name: str | None = None,
        result_ttl: int | None = None,
        ttl: int | None = None,
        id: str | None = None,
        timeout: int | None = None,
        description: str | None = None,
        meta: dict[str, Any] | None = None,
        use_local_timezone: bool = False,
        depends_on: Any = None,
        on_success: Any = None,
        on_failure: Any = None,
        at_front: bool = False,
    ) -> Job:
        """Run a function whenever a cron expression says so: in UTC, or in Django's `TIME_ZONE`.

        Raises:
            TimingError: the expression cannot be read or can never fire.
            ValueError: `repeat` is below 0.
        """
        zone = local_zone() if use_local_timezone else "UTC"
        check_cron(cron_string, zone)
        plan = Plan(
            is_kept_when_over=False,
            trigger=CronTrigger(expression=cron_string, timezone=zone),
            max_runs=_max_runs_of(repeat),
            queue=queue_name or self.queue_name,
        )
        first = next_slot(plan.trigger, datetime.now(UTC))
        assert first is not None
        job = cast(
            Job,
            self._create_job(  # type: ignore[no-untyped-call]
                func,
                args=args,
                kwargs=kwargs,
                commit=False,
                result_ttl=result_ttl,
                ttl=ttl,
                id=id,
                queue_name=queue_name,
                description=description,
                timeout=timeout,
                meta=meta,
                depends_on=depends_on,
                on_success=on_success,
                on_failure=on_failure,
            ),
        )
        job.meta |= {"cron_string": cron_string, "use_local_timezone": use_local_timezone}
        if repeat is not None:
            job.meta["repeat"] = int(repeat)
        return self._placed(job, first, at_front=at_front, plan=plan)

    def cancel(self, job: Job | str) -> None:
        """Take a job off the schedule, by its id or itself. What is queued already is not touched."""
        job_id = job if isinstance(job, str) else job.id
        if self.connection.hexists(keys.INDEX, job_id):
            self.entries.unregister([job_id])
        else:
            self.connection.zrem(self.scheduled_jobs_key, job_id)

    def __contains__(self, item: Job | str) -> bool:
        """Tell whether a job, by its id or itself, of whatever class of RQ's, is scheduled."""
        job_id = item if isinstance(item, str) else item.id
        return self.connection.zscore(self.scheduled_jobs_key, job_id) is not None

    def change_execution_time(self, job: Job, date_time: datetime) -> None:
        """Move a scheduled job to another time; a periodic one goes on with its own times after.

        Raises:
            ValueError: it is not scheduled.
        """
        unix = calendar.timegm(date_time.utctimetuple())
        if not self._change_time(args=[job.id, unix, unix, secrets.token_hex(8)]):
            raise ValueError("Job not in scheduled jobs queue")

    def count(self, until: datetime | timedelta | int | None = None) -> int:
        """Return how many are scheduled, up to a time if one is given."""
        return int(self.connection.zcount(self.scheduled_jobs_key, "-inf", _as_score(until)))

    def get_jobs(
        self,
        until: datetime | timedelta | float | None = None,
        with_times: bool = False,
        offset: int | None = None,
        length: int | None = None,
    ) -> Iterator[Any]:
        """Yield the scheduled jobs, earliest first; with times (naive UTC, as in rq-scheduler) if asked.

        Unlike stock it changes nothing: a member whose job hash is gone is shown from its template, and one that
        has none is left out, not deleted.
        """
        members = self.connection.zrangebyscore(
            self.scheduled_jobs_key, "-inf", _as_score(until), withscores=True, start=offset, num=length
        )
        iterator = iter(cast("list[tuple[bytes, float]]", members))
        while chunk := list(islice(iterator, 200)):
            ids = [member.decode("utf-8", "replace") for member, _ in chunk]
            for job_id, (_, score) in zip(ids, chunk, strict=True):
                job = self._readable_job(job_id)
                if job is not None:
                    moment = datetime.fromtimestamp(score, UTC).replace(tzinfo=None)
                    yield (job, moment) if with_times else job

    def get_jobs_to_queue(self, with_times: bool = False) -> Iterator[Any]:
        """Yield the jobs that are due."""
        return self.get_jobs(until=time.time(), with_times=with_times)

    def template_job(self, schedule_id: str) -> Job | None:
        """Return the job that stands for a registered schedule, or None; never one that ran."""
        fields = self.connection.hgetall(keys.template(schedule_id))
        if not fields:
            return None
        job = self.job_class(id=schedule_id, connection=self.connection)
        job.restore(cast("dict[Any, Any]", fields) | {b"status": b"scheduled"})
        return job

    def _readable_job(self, job_id: str) -> Job | None:
        try:
            return self.job_class.fetch(job_id, connection=self.connection)
        except NoSuchJobError:
            return self.template_job(job_id)
        except Exception as error:  # noqa: BLE001 - one unreadable job must not take the page with it
            logger.warning("Job %r cannot be shown: %s", job_id, error, extra={"action": "entry.unreadable"})
            return None

    def _placed(self, job: Job, moment: datetime, *, at_front: bool = False, plan: Plan | None = None) -> Job:
        """Put a job on the schedule at a moment (naive: UTC), with its plan if it is periodic."""
        if at_front:
            job.enqueue_at_front = True
        if job.timeout is None:
            job.timeout = default_timeout(job.origin)
        score: float = calendar.timegm(moment.utctimetuple())
        state = State(new_generation(), int(score), None, 0).to_text() if plan is not None else ""
        wire = plan_to_wire(plan) if plan is not None else ""
        if plan is None:
            score += moment.microsecond / 1_000_000
        self._place(args=[job.id, score, secrets.token_hex(8), wire, state, *fields_of(job)])
        return job


def _max_runs_of(repeat: int | None) -> int | None:
    """Return how many runs a repeat count allows: 0 is one, for the library counts down after the first."""
    if repeat is None:
        return None
    if int(repeat) < 0:
        raise ValueError(
            f"repeat is {repeat!r}: allowed is a number of runs of 0 or more, or None for no end."
        )
    return max(int(repeat), 1)


def fields_of(job: Job) -> list[Any]:
    """Return the job hash as name, value, name, value ..."""
    return [part for name, value in job.to_dict().items() for part in (name, value)]


def _as_score(until: datetime | timedelta | float | None) -> float | str:
    if until is None:
        return "+inf"
    if isinstance(until, timedelta):
        return (datetime.now(UTC) + until).timestamp()
    if isinstance(until, datetime):
        return calendar.timegm(until.utctimetuple())
    return until
