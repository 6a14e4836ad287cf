"""The dispatch loop: passes while something is due, sleeps otherwise, outlives Redis, stops cleanly."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Final

from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from schedules.engine.dispatch import Dispatcher
from schedules.engine.wake import Alarm

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15
FIRST_BACKOFF: Final = 0.05
LAST_BACKOFF: Final = 2.0
LEAD: Final = 0.03
"""Seconds before a slot at which it is read and decided."""
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
        farewell: Callable[[], None] = lambda: None,
    ) -> None:
        self.dispatcher = dispatcher
        self.alarm = alarm
        self.interval = interval
        """Upper bound of one sleep, seconds."""
        self.heartbeat = heartbeat
        self.farewell = farewell
        self.is_stopping = False
        self._next_heartbeat = 0.0

    def stop(self) -> None:
        """Finish the batch under way and return from `run`."""
        self.is_stopping = True

    def install_signals(self) -> None:
        """Stop on SIGTERM and SIGINT, at the latest when a blocked read has been waited for long enough."""

        def on_stop(_signum: int, _frame: object) -> None:
            # A second one changes nothing: raising here, at whatever line, could tear an answer in two, and Ctrl-C
            # often comes twice, from the terminal and from whoever started this.
            if not self.is_stopping:
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
                    seconds, due_at = self.work_off()
                    if backoff:
                        logger.info("Redis is back.", extra={"action": "redis.back"})
                        backoff = 0.0
                    self._rest(seconds, due_at)
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
                    if not isinstance(error, RedisConnectionError):
                        # After a failover the old connection may lead to what is a replica now.
                        self.dispatcher.connection.connection_pool.disconnect()
            self.farewell()
        signal.alarm(0)

    def work_off(self) -> tuple[float, float | None]:
        """Dispatch until nothing is due.

        Returns how long (seconds) there is nothing to do, and, if that ends with a slot, when that is due (unix
        seconds by the engine's clock).
        """
        while True:
            _, next_retry = self.dispatcher.promote_retries()
            batch = self.dispatcher.run_batch()
            if batch.due >= self.dispatcher.batch:
                for batch in self.dispatcher.run_backlog(self._is_to_pause):  # noqa: B007 - the last one counts
                    pass
            read_at = time.monotonic()
            if self.is_stopping:
                return 0.0, None
            self._beat()
            if not batch.due:
                break
            if batch.contended == batch.due:
                self._pause(CONTENTION_PAUSE)
        spent = time.monotonic() - read_at
        other = self.interval
        if next_retry is not None:
            other = min(other, next_retry - batch.now - spent)
        slot = float("inf") if batch.next_due is None else batch.next_due - batch.now - spent
        return max(0.0, min(slot, other)), (batch.next_due if slot <= other else None)

    def _rest(self, seconds: float, due_at: float | None) -> None:
        """Sleep until there is something to do, or until the alarm rings.

        What is due at the end of the sleep is read and decided shortly before, so that at its moment only the move
        is left to do.
        """
        until = time.monotonic() + seconds
        if due_at is None or seconds <= LEAD:
            self._wait(until)
            return
        if self._wait(until - LEAD):
            return
        prepared = self.dispatcher.prepare(until=due_at)
        if not self._wait(until) and not self.is_stopping:
            self.dispatcher.send(prepared)

    def _wait(self, until: float) -> bool:
        """Wait until a moment of `time.monotonic`; return whether the alarm rang, or the process is to stop.

        Signs of life are given meanwhile; what is due is read again only at the end.
        """
        while not self.is_stopping:
            left = min(until, self._next_heartbeat) - time.monotonic()
            if self.alarm.wait(seconds=max(0.0, left), is_stopping=lambda: self.is_stopping):
                return True
            if time.monotonic() >= until:
                break
            self._beat()
        return self.is_stopping

    def _is_to_pause(self) -> bool:
        """Tell whether a backlog is to be left for a moment: to stop, or for the heartbeat and the retries."""
        return self.is_stopping or time.monotonic() >= self._next_heartbeat

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
    if isinstance(
        error, ReadOnlyError | MasterDownError | OutOfMemoryError | ClusterDownError | NoScriptError
    ):
        return True  # redis-py takes the word off the text of these
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
