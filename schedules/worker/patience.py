"""A worker that outlasts Redis, and stops between two jobs.

Stock RQ ends when Redis goes away at any moment but that of waiting for a job. Told to stop, it may crash, hang, or
lose the job that it was about to get (see `waiting`).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Worker as RQWorker
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus

from schedules.engine.sentinel import make_dependable
from schedules.worker.waiting import cut_off, hurry, leavable

if TYPE_CHECKING:
    from redis.client import Pipeline
    from rq.job import Job as RQJob
    from rq.queue import Queue

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 2.0
PATIENCE: Final = 3.0
"""Seconds that a worker that is to stop waits for an answer of Redis."""
AWAY: Final = (RedisConnectionError, RedisTimeoutError)


class PatientWorker(RQWorker):
    """Waits for Redis between two jobs, and when one has ended."""

    max_connection_wait_time = LONGEST_WAIT
    """Seconds between two attempts to reach Redis, at most. RQ's own minute would be added to every long outage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        make_dependable(self.connection)
        self.queue_class = leavable(self.queue_class, lambda: self._stop_requested)
        self._stops: SimpleQueue[bool] = SimpleQueue()
        self._is_leaving = threading.Event()

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work until it is told to stop. Takes and returns what RQ's does."""
        self._is_leaving.clear()
        helper = threading.Thread(target=self._see_to_stop, name="stop", daemon=True)
        helper.start()
        # RQ does it when it has announced itself; until then a signal would kill it, and its announcement would stay.
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        try:
            return bool(super().work(*args, **kwargs))
        finally:
            self._is_leaving.set()
            self._stops.put(False)
            helper.join(1.0)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Handle the first signal to stop: note it, and no more. What the worker is at goes on to its end.

        A handler runs between any two lines, so it neither raises, nor logs, nor speaks to Redis.
        """
        self._shutdown_requested_date = datetime.now(UTC)
        signal.signal(signal.SIGINT, self.request_force_stop)
        signal.signal(signal.SIGTERM, self.request_force_stop)
        self._stop_requested = True
        self._stops.put(True)

    def _see_to_stop(self) -> None:
        """Say that it is going to stop, and see to it that a Redis that hangs does not keep it. Runs in a thread."""
        if not self._stops.get():
            return
        self.handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.get_state() == WorkerStatus.BUSY:
            logger.info("It stops when its job has ended. A second signal ends the job at once.")
            with suppress(RedisError):
                self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        while not self._is_leaving.wait(PATIENCE):
            if self.get_state() != WorkerStatus.BUSY:
                # Its connections wait for as long as a job may take to come.
                with suppress(RedisError, OSError, RuntimeError):  # it may be at work on the pool after all
                    cut_off(self.connection)

    def teardown(self) -> None:
        """Take leave of Redis. If that does not answer, what it holds of this worker lapses by itself."""
        self._is_leaving.set()
        if self._stop_requested:
            hurry(self.connection)
        if self.pubsub_thread is not None:
            # RQ stops it after it has unsubscribed: a thread that was faster listens on, and is waited for.
            self.pubsub_thread.stop()
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except AWAY as error:
            logger.warning("Redis does not answer (%s).", error, extra={"action": "redis.away"})

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Give a sign of life; with Redis away, a worker that is to stop does not wait for it."""
        try:
            super().heartbeat(timeout, pipeline)
        except AWAY:
            if self._stop_requested and pipeline is None:
                raise StopRequested from None
            raise

    def check_for_suspension(self, burst: bool) -> None:
        """Stand still while work is suspended; with Redis away, ask again when it is back."""
        while True:
            try:
                super().check_for_suspension(burst)
            except AWAY as error:
                self._wait_for_redis(error)
            else:
                return

    def run_maintenance_tasks(self) -> None:
        """Tidy RQ's registries; with Redis away it is left to the next time."""
        try:
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        except AWAY as error:
            self._wait_for_redis(error)

    def execute_job(self, job: RQJob, queue: Queue) -> None:
        """Have a job executed. If Redis went away meanwhile, the keeper finds out what became of it."""
        try:
            super().execute_job(job, queue)
        except AWAY as error:
            self._wait_for_redis(error)

    def _wait_for_redis(self, error: RedisError) -> None:
        """Return when Redis answers; raise StopRequested when the worker is told to stop before."""
        logger.warning("Redis does not answer (%s). Waiting for it.", error, extra={"action": "redis.away"})
        pause = 0.05
        while not self._stop_requested:
            time.sleep(pause)
            try:
                self.connection.ping()
            except RedisError:
                pause = min(pause * 2, LONGEST_WAIT)
            else:
                logger.info("Redis is back.", extra={"action": "redis.back"})
                return
        raise StopRequested
