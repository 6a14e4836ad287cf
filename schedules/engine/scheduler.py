"""rq-scheduler's class with our engine in it: what `manage.py rqscheduler` and `django_rq.get_scheduler()` build.

The library's own API is in `library.py`; here are our own door, and the running.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from rq.job import Job, JobStatus, Retry

from schedules.engine import keys, presence
from schedules.engine.clock import rq_time
from schedules.engine.dispatch import Dispatcher
from schedules.engine.entries import Outcome, Progress
from schedules.engine.errors import EngineError
from schedules.engine.library import LibraryScheduler, fields_of
from schedules.engine.loop import HEARTBEAT_SECONDS, Loop
from schedules.engine.sentinel import make_dependable
from schedules.engine.template import default_timeout, own_fields, payload, shared_fields
from schedules.engine.wake import Alarm
from schedules.spec import ScheduleSpec

logger = logging.getLogger(__name__)


class Scheduler(LibraryScheduler):
    """Registers schedules and dispatches what is due."""

    redis_scheduler_namespace_prefix = keys.INSTANCES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dispatcher = Dispatcher(self.connection, default_queue=self.queue_name, clock=self.clock)
        self._has_signed = False
        self._run_now = self.connection.register_script(keys.script("run_now"))
        self._push = self.connection.register_script(keys.script("push"))
        self._start = self.connection.register_script(keys.script("start"))

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
        fields = [*shared_fields(spec), *own_fields(spec), *(["followed", "1"] if follow else [])]
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
        if not self._push(args=[job.id, queue, secrets.token_hex(8), at, told, *fields_of(job)]):
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
        make_dependable(self.connection)
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
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hset(
                self.key,
                mapping={"heartbeat": time.time(), "hostname": socket.gethostname(), "pid": os.getpid()},
            )
            pipe.expire(self.key, HEARTBEAT_SECONDS * 3)
            pipe.execute()
        presence.sign(self.connection, self.name, is_first=not self._has_signed)
        self._has_signed = True

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
