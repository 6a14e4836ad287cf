"""The dispatch loop: passes while something is due, sleeps otherwise, outlives Redis, stops cleanly."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from schedules.engine.dispatch import Dispatcher
from schedules.engine.wake import Alarm

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15
FIRST_BACKOFF: Final = 0.05
LAST_BACKOFF: Final = 2.0
CONTENTION_PAUSE: Final = 0.002
"""Seconds to let another dispatcher finish with a batch that it took from under our hands."""
STOP_SECONDS: Final = 3
"""How long a stop waits for a reply of Redis that does not come. A move is atomic: cutting the wait is safe."""


class _StopNow(BaseException):
    """Raised out of a blocked read of the socket when stopping takes too long."""


class Loop:
    """Runs a dispatcher until it is told to stop."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        alarm: Alarm,
        *,
        interval: float,
        heartbeat: Callable[[], None],
    ) -> None:
        self.dispatcher = dispatcher
        self.alarm = alarm
        self.interval = interval
        """Upper bound of one sleep, seconds."""
        self.heartbeat = heartbeat
        self.is_stopping = False
        self._next_heartbeat = 0.0

    def stop(self) -> None:
        """Finish the batch under way and return from `run`."""
        self.is_stopping = True

    def install_signals(self) -> None:
        """Stop on SIGTERM and SIGINT, at the latest when a blocked read has been waited for long enough."""

        def on_stop(_signum: int, _frame: object) -> None:
            if self.is_stopping:
                raise _StopNow
            self.is_stopping = True
            signal.alarm(STOP_SECONDS)

        def on_alarm(_signum: int, _frame: object) -> None:
            raise _StopNow

        signal.signal(signal.SIGTERM, on_stop)
        signal.signal(signal.SIGINT, on_stop)
        signal.signal(signal.SIGALRM, on_alarm)

    def run(self) -> None:
        """Dispatch until stopped. Redis away is waited out, however long it takes, and said once."""
        backoff = 0.0
        with contextlib.suppress(_StopNow):
            while not self.is_stopping:
                try:
                    self._beat()
                    self.alarm.arm()
                    seconds = self.work_off()
                    if backoff:
                        logger.info("Redis is back.", extra={"action": "redis.back"})
                        backoff = 0.0
                    self.alarm.wait(seconds=seconds, is_stopping=lambda: self.is_stopping)
                except RedisError as error:
                    if not _is_passing(error):
                        raise
                    if not backoff:
                        logger.warning(
                            "Redis does not answer (%s). Waiting for it; nothing is lost.",
                            error,
                            extra={"action": "redis.away"},
                        )
                    backoff = min(max(backoff * 2, FIRST_BACKOFF), LAST_BACKOFF)
                    self._pause(backoff)
                    with contextlib.suppress(RedisError, OSError):
                        self.alarm.disarm()
        signal.alarm(0)

    def work_off(self) -> float:
        """Dispatch until nothing is due; return how long (seconds) there is nothing to do."""
        _, next_retry = self.dispatcher.promote_retries()
        while True:
            batch = self.dispatcher.run_batch()
            read_at = time.monotonic()
            if self.is_stopping:
                return 0.0
            if batch.due:
                if batch.contended == batch.due:
                    self._pause(CONTENTION_PAUSE)
                continue
            upcoming = [moment for moment in (batch.next_due, next_retry) if moment is not None]
            wait = min(upcoming) - batch.now if upcoming else self.interval
            wait -= time.monotonic() - read_at
            # Never before the heartbeat is due, and never a busy loop over a retry that the limit left behind.
            return max(0.0, min(wait, self.interval, self._next_heartbeat - time.monotonic()))

    def _beat(self) -> None:
        if time.monotonic() >= self._next_heartbeat:
            self.heartbeat()
            self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


def _is_passing(error: RedisError) -> bool:
    """Tell a state of Redis that ends by itself or by its operator from a fault of ours.

    `LOADING`, `READONLY` (a failover), `MASTERDOWN`, `MISCONF`, `OOM`, `BUSY` are answers, not broken connections.
    """
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        return True
    if isinstance(error, ResponseError):
        words = str(error)
        return any(
            word in words
            for word in (
                "LOADING",
                "READONLY",
                "MASTERDOWN",
                "MISCONF",
                "OOM",
                "BUSY",
                "CLUSTERDOWN",
                "NOREPLICAS",
                "NOSCRIPT",
            )
        )
    return "No master found" in str(error)
