"""RQ's job, knowing its schedule and its slot, and telling the ledger when it starts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from rq.job import Job as RQJob

from schedules import targets
from schedules.engine import events, keys
from schedules.engine.identity import identity_of
from schedules.worker.output import Follower, Tail, kept_output

if TYPE_CHECKING:
    from redis.client import Pipeline
    from rq.executions import Execution
    from rq.queue import Queue


DONE_BY_ANOTHER: Final = ("started", "finished", "failed", "stopped", "canceled", "scheduled")
"""Statuses of a job that was put back on its queue while its worker stood still, and was taken by another one."""


class NotAllowedError(Exception):
    """The function of a schedule is not one that may be scheduled."""

    retryable = False


class Job(RQJob):
    """One run of a function. `schedule_id`, `scheduled_for` and `attempt` say what it runs for."""

    schedule_name: str = ""
    schedule_source: str = ""
    retry_max: int = 0
    tail: Tail | None = None
    ending: dict[str, Any] | None = None
    """The event that tells how the attempt under way ended, until it is on the stream."""
    is_followed: bool = False
    """Whether somebody waits for its output."""
    put_back: str = ""
    """When (unix seconds) the keeper put it back on its queue, after a worker had taken it and died; else empty."""
    _interval: int | None = None

    @property
    def schedule_id(self) -> str | None:
        """The schedule that made this job, or None."""
        return identity_of(self.id).schedule_id

    @property
    def scheduled_for(self) -> datetime | None:
        """The slot this job is for (aware, UTC), or None if it has none."""
        return identity_of(self.id).scheduled_for

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        if self.retry_max and self.retries_left is not None:
            return 1 + self.retry_max - self.retries_left
        return 1 + (self.number_of_retries or 0)

    def restore(self, raw_data: Any) -> None:
        """Read the job hash, with what the engine's template adds to RQ's fields."""
        super().restore(raw_data)
        added = {_text(name): value for name, value in raw_data.items()}
        self.schedule_name = _text(added.get("schedule_name", b""))
        self.schedule_source = _text(added.get("schedule_source", b""))
        self.is_followed = b"followed" in raw_data
        self.put_back = _text(added.get("put_back", b""))
        retry_max = _text(added.get("retry_max", b""))
        self.retry_max = int(retry_max) if retry_max.isdigit() else 0

    def is_ours_to_start(self) -> bool:
        """Tell whether nobody has put it back, started or ended it since it was taken off its queue."""
        status, put_back = cast("list[bytes | None]", self.connection.hmget(self.key, ["status", "put_back"]))
        # Read from its hash after it was put back, it does not know by itself that another has run it since.
        # Other statuses are none of the keeper's doing: stock runs them as well.
        return _text(put_back or b"") == self.put_back and _text(status or b"") not in DONE_BY_ANOTHER

    def is_ours_to_end(self, execution: Execution) -> bool:
        """Tell whether the keeper has not given this attempt up, and the job to another one."""
        given_up = cast("bytes | None", self.connection.hget(self.key, "given_up"))
        return execution.id not in _text(given_up or b"").split()

    def prepare_for_execution(self, worker_name: str, pipeline: Pipeline) -> None:
        """Say that it starts, in the transaction that makes it started."""
        super().prepare_for_execution(worker_name, pipeline)
        events.append(
            pipeline,
            at=datetime.now(UTC).timestamp(),
            event={
                "e": "started",
                "j": self.id,
                "q": self.origin,
                "w": worker_name,
                "n": self.attempt,
                "f": self._readable_function_name(),
                "name": self.schedule_name,
            },
        )

    def perform(self) -> Any:
        """Run the function, if it may be run, keeping what it prints and logs."""
        follower = Follower(self.connection, keys.output(self.id)) if self.is_followed else None
        with kept_output(follower) as tail:
            self.tail = tail
            try:
                if self.schedule_source == "row":
                    self._check_allowed()
                return super().perform()
            finally:
                if follower is not None:
                    follower.flush()

    def _check_allowed(self) -> None:
        try:
            targets.resolve(self.func_name or "")
        except targets.TargetError as error:
            raise NotAllowedError(str(error)) from error

    def _handle_success(self, *args: Any, **kwargs: Any) -> None:
        """Save the result. RQ keeps a note in place of one that its serializer refuses; the ledger says so."""
        serializer = self.serializer
        self.serializer = watched = _WatchedSerializer(serializer)
        try:
            super()._handle_success(*args, **kwargs)
        finally:
            self.serializer = serializer
        if watched.refusal is not None and self.ending is not None:
            name, said = type(watched.refusal).__qualname__, str(watched.refusal)
            self.ending["r"] = f"It succeeded, but its result cannot be stored: {name}: {said[:300]}"

    def retry(self, queue: Queue, pipeline: Pipeline) -> None:
        """Go on to the next attempt, telling the ledger, and wake the dispatcher, which queues it when it is due."""
        self._interval = self._next_interval()
        if not self.retry_max and self.retries_left:
            # A job that no template made: how many retries it began with is known for the last time.
            self.retry_max = self.retries_left
            pipeline.hset(self.key, "retry_max", str(self.retry_max))
        attempt = self.attempt
        super().retry(queue, pipeline)
        now = datetime.now(UTC)
        next_attempt_at = now + timedelta(seconds=self._interval)
        if self._interval:
            pipeline.publish(keys.WAKE, self.id)
        if self.ending is not None:
            self.ending |= {"st": "retry", "n": attempt, "next": next_attempt_at.timestamp()}
            events.append(pipeline, at=now.timestamp(), event=self.ending)

    def get_retry_interval(self) -> int:
        """Return the seconds to wait before the next attempt, as `retry` has chosen them."""
        return self._interval if self._interval is not None else self._next_interval()

    def _next_interval(self) -> int:
        """Choose the seconds to wait before the next attempt.

        What the failed attempt asked for (`retry_after`, an HTTP server's `Retry-After`) comes first; else the
        schedule's backoff, spread by up to a tenth, so that what failed together does not come back together.
        """
        asked = getattr(self.failure, "retry_after", None)
        if isinstance(asked, int | float) and asked > 0:
            return max(1, round(asked))
        interval = int(super().get_retry_interval())
        return interval + random.randint(0, interval // 10)  # noqa: S311 - not a secret

    failure: BaseException | None = None
    """What the attempt under way ended with, set by the worker."""

    @property
    def should_retry(self) -> bool:
        """Tell whether another attempt follows; an error that says `retryable = False` is final."""
        if getattr(self.failure, "retryable", True) is False:
            return False
        return bool(super().should_retry)

    def refresh_rate_limit(self) -> None:
        """Read the rate limit again: a later slot may have put this run under it while it was running."""
        key, concurrency = cast(
            "list[bytes | None]",
            self.connection.hmget(self.key, ["rate_limit_key", "rate_limit_concurrency"]),
        )
        if key and concurrency:
            self.rate_limit_key, self.rate_limit_concurrency = key.decode(), int(concurrency)

    def _readable_function_name(self) -> str:
        try:
            return self.func_name or ""
        except Exception:  # noqa: BLE001 - an unreadable payload fails in the attempt itself, with its traceback
            return ""


class _WatchedSerializer:
    """Serializes as another does, and remembers what that would not take."""

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer
        self.loads = serializer.loads
        self.refusal: BaseException | None = None

    def dumps(self, value: Any) -> bytes:
        try:
            return cast(bytes, self._serializer.dumps(value))
        except BaseException as error:
            self.refusal = error
            raise


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
