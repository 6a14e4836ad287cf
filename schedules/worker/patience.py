"""A worker that outlasts Redis: stock RQ ends when Redis goes away at any moment but that of waiting for a job."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Worker as RQWorker
from rq.exceptions import StopRequested

from schedules.engine.sentinel import make_dependable

if TYPE_CHECKING:
    from rq.job import Job as RQJob
    from rq.queue import Queue

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 2.0
AWAY: Final = (RedisConnectionError, RedisTimeoutError)


class PatientWorker(RQWorker):
    """Waits for Redis between two jobs, and when one has ended."""

    max_connection_wait_time = LONGEST_WAIT
    """Seconds between two attempts to reach Redis, at most. RQ's own minute would be added to every long outage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        make_dependable(self.connection)

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
