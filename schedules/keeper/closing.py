"""Finding runs that nobody will end any more: their worker died, or their job vanished.

Each is looked at twice, some seconds apart, before anything is done: between a queue and a worker's hands a job is in
neither for a moment. What is done is done in Redis by one script, which looks a third time and tells the ledger by an
event, so that there is one way into the ledger.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from django.db import router
from redis import Redis
from rq.rate_limit import RateLimitRegistry

from schedules.engine import keys
from schedules.engine.clock import rq_time
from schedules.engine.template import FAILURE_TTL
from schedules.keeper.stream import order_of
from schedules.models import Run, RunStatus

logger = logging.getLogger(__name__)

SECOND_LOOK: Final = 10.0
"""Seconds between the two looks, at the least."""
CHUNK: Final = 2000
LOOKED_AT: Final = 50
"""Jobs per script call: each may have to be searched for in a long queue."""
PAGE: Final = 5000
ENDINGS: Final = {
    "finished": "succeeded",
    "failed": "abandoned",
    "stopped": "canceled",
    "canceled": "canceled",
}
"""What the ledger calls an end that it was not told of."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended, as far as the ledger knows."""

    job_id: str
    queue: str
    schedule_id: Any
    status: str
    scheduled_for: datetime
    waiting_since: datetime
    is_first_attempt: bool
    """Whether it is still waiting for its first start."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a first look found."""

    verdict: str
    status: str
    at: float
    """When (monotonic seconds)."""
    stream_at: tuple[int, int]
    """Where the event stream ended then: what it holds up to here may explain the finding."""


@dataclass(slots=True)
class Pass:
    """What one pass over the open runs came to."""

    open: int = 0
    done: Counter[str] = field(default_factory=Counter)
    """`closed`, `retried`, `requeued`, `released`."""
    waiting: list[OpenRun] = field(default_factory=list)
    """Runs that wait in a queue for their first start, for the alarms; the oldest, at most `CHUNK`."""
    waiting_in: Counter[str] = field(default_factory=Counter)
    """How many wait in each queue."""


class Closing:
    """Looks at the open runs of the ledger."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._look = connection.register_script(keys.script("look"))
        self._close = connection.register_script(keys.script("close"))
        self._suspects: dict[str, Suspicion] = {}
        self.using = router.db_for_read(Run)

    def forget(self) -> None:
        """Begin anew: what was seen before an interruption proves nothing."""
        self._suspects.clear()

    def look(self, *, position: str, now: float | None = None) -> Pass:
        """Look at all open runs once; act on those that were found so before.

        Args:
            position: the last record of the stream that is in the ledger.
            now: monotonic seconds; tests hand it in.
        """
        moment = time.monotonic() if now is None else now
        result = Pass()
        # In this order: what is open by the ledger is looked for in Redis after, and the stream is read before both.
        stream_at = self._end_of_stream()
        written = order_of(position)
        listed = self._listed()
        still: dict[str, Suspicion] = {}
        for runs in self._open_runs():
            result.open += len(runs)
            for run in runs:
                if run.is_first_attempt:
                    result.waiting_in[run.queue] += 1
                    if len(result.waiting) < CHUNK:
                        result.waiting.append(run)
            absent = [run for run in runs if run.job_id not in listed]
            for run, (verdict, status, worker, limit) in self._looked_at(absent):
                if verdict == "fine":
                    continue
                before = self._suspects.get(run.job_id)
                if before is None or (before.verdict, before.status) != (verdict, status):
                    still[run.job_id] = Suspicion(verdict, status, moment, stream_at)
                elif moment - before.at < SECOND_LOOK or before.stream_at > written:
                    still[run.job_id] = before
                else:
                    done = self._act(run, verdict, status, worker, limit)
                    if done:
                        result.done[done] += 1
        self._suspects = still
        return result

    def _act(self, run: OpenRun, verdict: str, status: str, worker: str, limit: str) -> str:
        if verdict == "stuck":
            RateLimitRegistry(limit, self._connection).cleanup()
            return "released"
        now = time.time()
        reason = _reason(run, verdict, status, worker)
        ending = ENDINGS.get(status, "abandoned")
        done = self._close(
            args=[
                *(run.job_id, verdict, status, reason, f"{now:.6f}", rq_time(now)),
                *(worker, FAILURE_TTL, ending),
            ]
        ).decode()
        if done:
            logger.warning(
                "Job %s was %s: %s",
                run.job_id,
                {"closed": "closed", "retried": "queued for its next attempt", "requeued": "put back"}[done],
                reason,
                extra={"action": f"run.{done}", "job_id": run.job_id},
            )
        return str(done)

    def _end_of_stream(self) -> tuple[int, int]:
        newest: Any = self._connection.xrevrange(keys.EVENTS, count=1)
        return order_of(newest[0][0].decode()) if newest else (0, 0)

    def _listed(self) -> set[str]:
        """Return the ids of all jobs that wait in queues, read in pages."""
        queues = list(self._connection.smembers(keys.QUEUES))
        found: set[str] = set()
        if not queues:
            return found
        with self._connection.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.llen(queue)
            lengths = pipe.execute(raise_on_error=False)
        for queue, length in zip(queues, lengths, strict=True):
            for start in range(0, length if isinstance(length, int) else 0, PAGE):
                page = self._connection.lrange(queue, start, start + PAGE - 1)
                found.update(cast(bytes, job_id).decode("utf-8", "replace") for job_id in page)
        return found

    def _open_runs(self) -> Iterator[list[OpenRun]]:
        """Yield the open runs in chunks, oldest first, each chunk by one read of a small index."""
        columns = (
            *("scheduled_for", "id", "job_id", "queue", "schedule_id", "status"),
            *("enqueued_at", "started_at", "next_attempt_at"),
        )
        last: tuple[datetime, int] | None = None
        while True:
            rows = Run.objects.using(self.using).open()
            if last is not None:
                rows = rows.filter(scheduled_for__gte=last[0]).exclude(scheduled_for=last[0], id__lte=last[1])
            found = list(rows.values_list(*columns)[:CHUNK])
            if found:
                last = (found[-1][0], found[-1][1])
                yield [
                    OpenRun(
                        job_id=row[2],
                        queue=row[3],
                        schedule_id=row[4],
                        status=row[5],
                        scheduled_for=row[0],
                        waiting_since=max(row[0], row[6] or row[0]),
                        is_first_attempt=row[5] == RunStatus.QUEUED and row[7] is None and row[8] is None,
                    )
                    for row in found
                    if row[2]
                ]
            if len(found) < CHUNK:
                return

    def _looked_at(self, runs: Sequence[OpenRun]) -> Iterator[tuple[OpenRun, tuple[str, str, str, str]]]:
        for start in range(0, len(runs), LOOKED_AT):
            chunk = runs[start : start + LOOKED_AT]
            answers = self._look(args=[run.job_id for run in chunk])
            for run, answer in zip(chunk, answers, strict=True):
                verdict, status, worker, _, limit = (part.decode("utf-8", "replace") for part in answer)
                yield run, (verdict, status, worker, limit)


def _reason(run: OpenRun, verdict: str, status: str, worker: str) -> str:
    """Say what happened, for an operator."""
    if verdict == "dead":
        who = f"Worker {worker}" if worker else "Its worker"
        return f"{who} gave no sign of life any more while the job was running: it was killed, or its host is gone."
    if verdict == "gone":
        if run.status == RunStatus.RUNNING:
            return "Its job vanished from Redis while it was running: flushed, evicted or deleted by hand."
        return "Its job vanished from Redis before it started: flushed, evicted or deleted by hand."
    if verdict == "lost":
        return "A worker took it off its queue and died before it started, and again after it was put back."
    if status == "failed":
        return "RQ ended it as failed, without a worker that told how: its worker is gone."
    if status in {"canceled", "stopped"}:
        return "Canceled outside of the scheduler, for example in the pages of django-rq."
    if status == "finished":
        return ""
    return f"RQ says that it is {status}; its worker did not tell the ledger."
