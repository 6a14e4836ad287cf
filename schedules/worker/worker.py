"""RQ's worker, telling the ledger how each attempt ended, in the transaction that ends it."""

from __future__ import annotations

import ctypes
import logging
import os
import reprlib
import signal
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq.defaults import DEFAULT_JOB_MONITORING_INTERVAL, DEFAULT_WORKER_TTL
from rq.timeouts import JobTimeoutException

from schedules.engine import events
from schedules.worker.job import Job
from schedules.worker.patience import PatientWorker

if TYPE_CHECKING:
    from redis.client import Pipeline
    from rq.executions import Execution
    from rq.job import Job as RQJob
    from rq.queue import Queue

logger = logging.getLogger(__name__)

RESULT_LIMIT: Final = 1000
"""Characters of a result that the ledger shows."""
TRACEBACK_LIMIT: Final = 64 * 1024
SIGN_SECONDS: Final = 10
"""How often a busy worker gives a sign of life. RQ's own default is 30 s."""
SIGN_LASTS: Final = 35
"""Seconds after which a job whose worker gives none is taken for abandoned. RQ's own are 90."""
IDLE_TTL: Final = 90
"""Seconds for which RQ waits for a job before it gives a sign, and 15 more. Its own are 420."""
PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class Worker(PatientWorker):
    """Executes jobs as RQ does."""

    job_class = Job

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.job_monitoring_interval == DEFAULT_JOB_MONITORING_INTERVAL:
            self.job_monitoring_interval = SIGN_SECONDS
        if self.worker_ttl == DEFAULT_WORKER_TTL:
            self.worker_ttl = IDLE_TTL

    def get_heartbeat_ttl(self, job: RQJob, working_time: float = 0.0) -> int:
        """Return for how long (seconds) a sign of life for a job is believed."""
        return int(self.job_monitoring_interval) + SIGN_LASTS - SIGN_SECONDS

    def maintain_heartbeats(self, job: RQJob, execution: Execution) -> None:
        """Give a sign of life for the job; with Redis away the job goes on, and the next sign is tried."""
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisConnectionError, RedisTimeoutError) as error:
            # Stock gives up here: the worker ends and leaves the job's process alone.
            logger.warning(
                "Redis does not answer (%s); job %s goes on.", error, job.id, extra={"action": "redis.away"}
            )

    def main_work_horse(self, job: RQJob, queue: Queue) -> None:
        """Run the job in its process; should the worker be killed, the job ends with it.

        Without that it would run on, unknown to everybody, beside the run that takes its place.
        """
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        super().main_work_horse(job, queue)

    def perform_job(self, job: RQJob, queue: Queue, execution: Execution) -> bool:
        """Run the job, unless it was given to somebody else while this worker stood still."""
        if isinstance(job, Job) and not job.is_ours_to_start():
            logger.warning(
                "Job %s was put back and taken by another worker meanwhile; it is not run here.",
                job.id,
                extra={"action": "run.not_ours", "job_id": job.id},
            )
            self._leave(job, execution)
            return False
        return super().perform_job(job, queue, execution)

    def _is_to_leave(self, job: RQJob, execution: Execution | None) -> bool:
        """Tell whether this attempt was given up while this worker stood still; if so, take its traces away.

        Another attempt has begun since, and maybe ended: nothing of it may be undone or told otherwise.
        """
        if execution is None or not isinstance(job, Job) or job.is_ours_to_end(execution):
            return False
        logger.warning(
            "Job %s was given to another attempt meanwhile; how this one ended is not told.",
            job.id,
            extra={"action": "run.not_ours", "job_id": job.id},
        )
        self._leave(job, execution)
        return True

    def _leave(self, job: RQJob, execution: Execution) -> None:
        with self.connection.pipeline() as pipeline:
            super().cleanup_execution(job, pipeline, execution)
            pipeline.execute()

    def handle_job_success(
        self, job: RQJob, queue: Queue, started_job_registry: Any, execution: Execution
    ) -> None:
        """Say that it succeeded, with a short text of its result."""
        if self._is_to_leave(job, execution):
            return
        self._note(job, {"st": "succeeded", "res": short_text(job._result)})
        super().handle_job_success(job, queue, started_job_registry, execution)

    def handle_job_retry(
        self, job: RQJob, queue: Queue, retry: Any, started_job_registry: Any, execution: Execution
    ) -> None:
        """Say that the job asked for another attempt by returning `rq.Retry`, or that it had its last."""
        if self._is_to_leave(job, execution):
            return
        exhausted = bool(job.number_of_retries and job.number_of_retries >= retry.max)
        reason = (
            f"It asked for another attempt, but had its {retry.max} already."
            if exhausted
            else "It asked for another attempt."
        )
        self._note(job, {"st": "failed" if exhausted else "retry", "r": reason})
        super().handle_job_retry(job, queue, retry, started_job_registry, execution)

    def handle_job_failure(
        self,
        job: RQJob,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Say that it failed, was stopped, or that its process died."""
        if self._is_to_leave(job, execution):
            return
        if self._stopped_job_id == job.id:
            ending = {"st": "canceled", "r": _why_stopped(job)}
        elif isinstance(job, Job) and job.failure is not None:
            ending = _failure_event(job, job.failure, exc_string)
        elif isinstance(job, Job) and job.ending is not None:
            ending = job.ending  # the horse died: handle_work_horse_killed has said how
        else:
            ending = {"st": "abandoned", "r": exc_string[:500]}
        self._note(job, ending)
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)

    def handle_work_horse_killed(self, job: RQJob, retpid: Any, ret_val: Any, rusage: Any) -> None:
        """Note how the process of the job ended, for an operator."""
        if isinstance(job, Job):
            job.ending = {"st": "abandoned", "r": death_of(ret_val)}
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def cleanup_execution(self, job: RQJob, pipeline: Pipeline, execution: Execution | None = None) -> None:
        """Put the ending on the stream, in the transaction that ends the attempt."""
        super().cleanup_execution(job, pipeline, execution)
        if not isinstance(job, Job) or job.ending is None:
            return
        # That another attempt follows is told by Job.retry, which knows when it comes.
        if job.ending["st"] not in {"failed", "abandoned"} or not job.should_retry:
            events.append(pipeline, at=datetime.now(UTC).timestamp(), event=job.ending)

    def _finalize_failure(
        self,
        job: RQJob,
        queue: Queue,
        execution: Execution,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None],
    ) -> None:
        if isinstance(job, Job):
            job.failure = exc_info[1]
        super()._finalize_failure(job, queue, execution, exc_info)

    def _note(self, job: RQJob, ending: dict[str, Any]) -> None:
        if not isinstance(job, Job):
            return
        output = job.tail.text() if job.tail is not None else ""
        job.ending = {"e": "ended", "j": job.id, "n": job.attempt, "w": self.name, "out": output, **ending}
        if job.schedule_id is not None:
            job.refresh_rate_limit()


def _why_stopped(job: RQJob) -> str:
    """Say who stopped a run: the move script leaves a word when it was the overlap policy."""
    slot = cast("bytes | None", job.connection.hget(job.key, "stopped_for"))
    if slot is None:
        return "Stopped by an operator."
    return f"Stopped by the next slot ({slot.decode()}) (overlap policy terminate_other)."


def _failure_event(job: Job, failure: BaseException, exc_string: str) -> dict[str, Any]:
    if isinstance(failure, JobTimeoutException):
        reason = f"It ran longer than its timeout of {job.timeout} s."
    else:
        reason = exception_line(failure)
    text = exc_string or "".join(traceback.format_exception(failure))
    return {"st": "failed", "r": reason, "x": exception_line(failure), "tb": text[-TRACEBACK_LIMIT:]}


def exception_line(failure: BaseException) -> str:
    """Return class and message of an exception in one short line."""
    try:
        message = str(failure)
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        message = "(its message cannot be shown)"
    name = type(failure).__qualname__
    return f"{name}: {message}"[:RESULT_LIMIT] if message else name


def short_text(result: Any) -> str:
    """Return a result as a short text, at a cost that does not grow with it; '' for None."""
    if result is None:
        return ""
    if isinstance(result, str | bytes):
        return str(result[:RESULT_LIMIT]) if isinstance(result, str) else repr(result[:RESULT_LIMIT])
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = RESULT_LIMIT
    shortener.maxdict = shortener.maxlist = shortener.maxtuple = 50
    try:
        return shortener.repr(result)[:RESULT_LIMIT]
    except Exception as error:  # noqa: BLE001 - a result's own __repr__ may raise anything
        return f"({type(result).__qualname__}, which cannot be shown: {type(error).__qualname__})"


def death_of(wait_status: int | None) -> str:
    """Say in a sentence how a process ended, from what `wait` returned."""
    if wait_status is None:
        return "Its process vanished."
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        name = signal.Signals(number).name if number in {s.value for s in signal.Signals} else str(number)
        cause = ": out of memory, or killed from outside" if number == signal.SIGKILL else ""
        return f"Its process was killed by signal {number} ({name}){cause}."
    code = os.waitstatus_to_exitcode(wait_status)
    return f"Its process ended itself with exit code {code} before it was finished."
