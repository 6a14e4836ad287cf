"""rq-scheduler's class with our engine in it: what `manage.py rqscheduler` and `django_rq.get_scheduler()` build.

The library's own API keeps working (`enqueue_at`, `enqueue_in`, `schedule`, `cron`, `cancel`, `get_jobs`, `in` ...).
Where stock loses, doubles or delays, this does not; each difference has a test in `tests/redis/test_stock_api.py`.
"""

from __future__ import annotations

import calendar
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

from django_rq.queues import DjangoScheduler
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus, Retry

from schedules.engine import keys, presence
from schedules.engine.clock import Clock, RedisClock, rq_time
from schedules.engine.dispatch import Dispatcher
from schedules.engine.entries import Entries, Outcome, Progress
from schedules.engine.errors import EngineError
from schedules.engine.loop import HEARTBEAT_SECONDS, Loop
from schedules.engine.state import State, new_generation
from schedules.engine.stock import local_zone
from schedules.engine.template import default_timeout, job_fields, payload
from schedules.engine.wake import Alarm
from schedules.spec import Plan, ScheduleSpec, plan_to_wire
from schedules.timing import CronTrigger, IntervalTrigger, check_cron, next_slot

logger = logging.getLogger(__name__)


class Scheduler(DjangoScheduler):
    """Registers schedules and dispatches what is due."""

    connection: Redis
    job_class: type[Job]
    redis_scheduler_namespace_prefix = keys.INSTANCES
    scheduled_jobs_key = keys.SCHEDULED

    def __init__(self, *args: Any, clock: Clock | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock: Clock = clock or RedisClock()
        self.entries = Entries(self.connection, clock=self.clock)
        self.dispatcher = Dispatcher(self.connection, default_queue=self.queue_name, clock=self.clock)
        self._change_time = self.connection.register_script(keys.script("change_time"))
        self._run_now = self.connection.register_script(keys.script("run_now"))
        self._place = self.connection.register_script(keys.script("place"))
        self._start = self.connection.register_script(keys.script("start"))
        self._push = self.connection.register_script(keys.script("push"))

    # --- our own door -----------------------------------------------------------------------------------------

    def register(
        self, specs: Iterable[ScheduleSpec], *, progress: Mapping[str, Progress] | None = None
    ) -> dict[str, Outcome]:
        """Make the engine know these schedules; see `Entries.register`."""
        return self.entries.register(specs, progress=progress)

    def unregister(self, ids: Iterable[str], *, source: str = "", keep: bool = False) -> int:
        """Make the engine forget these ids; see `Entries.unregister`."""
        return self.entries.unregister(ids, source=source, keep=keep)

    def next_due(self, schedule_id: str) -> datetime | None:
        """Return when this id is dispatched next (aware, UTC), or None if it is not scheduled."""
        score = self.connection.zscore(self.scheduled_jobs_key, schedule_id)
        return None if score is None else datetime.fromtimestamp(score, UTC)

    def template_job(self, schedule_id: str) -> Job | None:
        """Return the job that stands for a registered schedule, or None; never one that ran."""
        fields = self.connection.hgetall(keys.template(schedule_id))
        if not fields:
            return None
        job = self.job_class(id=schedule_id, connection=self.connection)
        job.restore(cast("dict[Any, Any]", fields) | {b"status": b"scheduled"})
        return job

    def run_now(self, schedule_id: str, *, started_by: str = "") -> Job | None:
        """Queue one job of a registered schedule at once, beside its plan; None if it is not registered."""
        job_id = f"{schedule_id}_now-{secrets.token_hex(6)}"
        now = time.time()
        if not self._run_now(args=[schedule_id, job_id, f"{now:.6f}", rq_time(now), json.dumps(started_by)]):
            return None
        return self.job_class.fetch(job_id, connection=self.connection)

    def start(
        self, spec: ScheduleSpec, *, trigger: str, started_by: str = "", like: str = "", follow: bool = False
    ) -> Job | None:
        """Queue one job for a spec at once, registered or not; no plan is touched.

        Args:
            spec: whose function, arguments, queue, timeout and retries it gets.
            trigger: `manual` or `retry`, for the ledger.
            started_by: who asked for it.
            like: a job that it repeats, with the payload of that one where Redis still has it.
            follow: pass its output on while it runs; see `keys.output`.

        Returns:
            The job, or None if `like` is gone and the spec has no function.
        """
        job_id = f"{spec.id}_now-{secrets.token_hex(6)}"
        now = time.time()
        event = {
            "e": "queued",
            "j": job_id,
            "t": trigger,
            "by": started_by,
            "q": spec.plan.queue,
            "f": spec.func,
        }
        if like:
            event["of"] = like
        fields = [*job_fields(spec), *(["followed", "1"] if follow else [])]
        data = payload(spec.func, spec.args, spec.kwargs) if spec.func else b""
        started = self._start(
            args=[
                *(spec.id, job_id, f"{now:.6f}", rq_time(now), json.dumps(event), spec.plan.queue),
                *(json.dumps(fields), data, like),
            ]
        )
        return self.job_class.fetch(job_id, connection=self.connection) if started else None

    def enqueue_once(
        self,
        moment: datetime,
        func: str,
        *,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        queue: str,
        timeout: int | None,
        result_ttl: int | None,
        retry: Retry | None,
    ) -> Job:
        """Run a function once, at a time; unlike `enqueue_at`, no name of a keyword argument is reserved."""
        return self._placed(self._new_job(func, args, kwargs, queue, timeout, result_ttl, retry), moment)

    def enqueue_now(
        self,
        func: str,
        *,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        queue: str,
        timeout: int | None,
        result_ttl: int | None,
        retry: Retry | None,
    ) -> Job:
        """Put a job at the end of its queue, once, also when the reply is lost and the call is sent again.

        Raises:
            EngineError: the queue is not a list in Redis.
        """
        job = self._new_job(func, args, kwargs, queue, timeout, result_ttl, retry)
        job.timeout = job.timeout or default_timeout(queue)
        job.enqueued_at = datetime.now(UTC)
        job._status = JobStatus.QUEUED
        told = json.dumps({"e": "queued", "j": job.id, "t": "manual", "q": queue, "f": func})
        at = f"{job.enqueued_at.timestamp():.6f}"
        if not self._push(args=[job.id, queue, secrets.token_hex(8), at, told, *_flat(job)]):
            raise EngineError(f"Queue {queue!r} is not a list in Redis, so nothing can be put into it.")
        return job

    def _new_job(
        self,
        func: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        queue: str,
        timeout: int | None,
        result_ttl: int | None,
        retry: Retry | None,
    ) -> Job:
        job = cast(
            Job,
            self._create_job(  # type: ignore[no-untyped-call]
                func,
                args=args,
                kwargs=kwargs,
                commit=False,
                queue_name=queue,
                timeout=timeout,
                result_ttl=result_ttl,
            ),
        )
        if retry is not None:
            job.retries_left, job.retry_intervals = retry.max, retry.intervals
        return job

    # --- running ----------------------------------------------------------------------------------------------

    def run(self, burst: bool = False) -> None:
        """Dispatch until SIGTERM or SIGINT; with `burst`, until nothing is due."""
        loop = Loop(
            self.dispatcher,
            Alarm(self.connection),
            interval=float(self._interval),
            heartbeat=self.heartbeat,
            # Inside the loop, whose patience is bounded: a Redis that hangs must not hold the stop.
            farewell=self.register_death,
        )
        if burst:
            loop.work_off()
            return
        loop.install_signals()
        logger.info(
            "Dispatching to RQ's queues as %s (pid %d).",
            self.name,
            os.getpid(),
            extra={"action": "scheduler.started"},
        )
        loop.run()
        logger.info("Stopped.", extra={"action": "scheduler.stopped"})

    def heartbeat(self) -> None:
        """Say that this process lives, and for how long to believe it."""
        with self.connection.pipeline() as pipe:
            pipe.hset(
                self.key,
                mapping={"heartbeat": time.time(), "hostname": socket.gethostname(), "pid": os.getpid()},
            )
            pipe.expire(self.key, HEARTBEAT_SECONDS * 3)
            pipe.execute()
        presence.sign(self.connection, self.name)

    def register_birth(self) -> None:
        """Say that this process lives. Any number may run; none keeps another from starting."""
        self.heartbeat()

    def register_death(self) -> None:
        """Take the sign of life away, if Redis is there to be told."""
        try:
            self.connection.delete(self.key)
            presence.leave(self.connection, self.name)
        except Exception as error:  # noqa: BLE001 - the process is ending: the key expires by itself
            logger.info("Redis could not be told of the stop: %s", error)

    def acquire_lock(self) -> bool:
        """Answer True: the move compares what it read, so no lock is needed."""
        return True

    def remove_lock(self) -> None:
        """Do nothing: there is no lock, so that nobody can delete another's."""

    def enqueue_jobs(self) -> list[Job]:
        """Dispatch everything that is due; return the jobs that were due as they stood before."""
        jobs = list(self.get_jobs_to_queue())
        self.run(burst=True)
        return jobs

    def enqueue_job(self, job: Job) -> None:
        """Dispatch one scheduled job now; a periodic one goes on with its own times after."""
        self.change_execution_time(job, datetime.now(UTC))
        self.run(burst=True)

    # --- rq-scheduler's own API -------------------------------------------------------------------------------

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
            ValueError: the interval is not a number of seconds of 1 or more, or `repeat` has no interval.
        """
        if interval is not None and int(interval) < 1:
            raise ValueError(
                f"interval is {interval!r}: allowed is a number of seconds of 1 or more. "
                "To stop a periodic job, cancel it."
            )
        if repeat and interval is None:
            raise ValueError("Can't repeat a job without interval argument")
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
                max_runs=job.meta.get("repeat"),
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
        """
        zone = local_zone() if use_local_timezone else "UTC"
        check_cron(cron_string, zone)
        plan = Plan(
            is_kept_when_over=False,
            trigger=CronTrigger(expression=cron_string, timezone=zone),
            max_runs=repeat,
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
            self.unregister([job_id])
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
        self._place(args=[job.id, score, secrets.token_hex(8), wire, state, *_flat(job)])
        return job


def _flat(job: Job) -> list[Any]:
    return [part for name, value in job.to_dict().items() for part in (name, value)]


def _as_score(until: datetime | timedelta | float | None) -> float | str:
    if until is None:
        return "+inf"
    if isinstance(until, timedelta):
        return (datetime.now(UTC) + until).timestamp()
    if isinstance(until, datetime):
        return calendar.timegm(until.utctimetuple())
    return until
