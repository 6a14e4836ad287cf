"""Counting: what was planned, what the queue got, what the event stream says; and what differs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import redis as redis_py

from schedules.engine import keys
from schedules.engine.events import each_of

QUEUE = "rq:queue:default"


@dataclass
class Books:
    """Everything that was ever dispatched, taken out of Redis bit by bit so that it does not fill up."""

    queued: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: Counter[tuple[str, int]] = field(default_factory=Counter)
    accounted: set[tuple[str, int]] = field(default_factory=set)
    """Slots that the stream tells as skipped or missed."""

    def drain(self, connection: redis_py.Redis, *, flush: bool = False) -> None:
        """Take what is there into the books, in one step; with `flush`, lose everything else in the same step."""
        with connection.pipeline(transaction=True) as pipe:
            pipe.lrange(QUEUE, 0, -1)
            pipe.xrange(keys.EVENTS)
            if flush:
                pipe.flushall()
            else:
                pipe.delete(QUEUE, keys.EVENTS)
            jobs, records, *_ = pipe.execute()
        for job in jobs:
            self.queued[_slot_of(job.decode())] += 1
        if jobs and not flush:
            connection.unlink(*(f"rq:job:{job.decode()}" for job in jobs))
        for _, fields in records:
            for event in each_of(json.loads(fields[b"events"])):
                if event["e"] == "queued":
                    self.told[_slot_of(event["j"])] += 1
                elif event["e"] == "skipped":
                    self.accounted.add((event["i"], event["s"]))
                elif event["e"] == "missed":
                    self.accounted |= {(event["i"], slot) for slot in range(event["a"], event["b"] + 1)}

    def last_slot(self, schedule_id: str) -> int | None:
        return max((slot for known, slot in self.queued if known == schedule_id), default=None)

    def last_slots(self) -> dict[str, int]:
        """Return the newest slot of each schedule."""
        newest: dict[str, int] = {}
        for known, slot in self.queued:
            newest[known] = max(slot, newest.get(known, 0))
        return newest

    def doubled(self) -> list[tuple[str, int]]:
        return [slot for slot, count in self.queued.items() if count > 1]

    def untrue(self) -> list[tuple[str, int]]:
        """Return the slots of which the stream tells another story than the queue."""
        return [slot for slot in self.queued | self.told if self.queued[slot] != self.told[slot]]

    def missed(self, schedule_ids: list[str], *, since: int, until: int) -> list[tuple[str, int]]:
        """Return the slots of schedules of one second, from `since` to `until`, of which nobody knows anything."""
        return [
            (known, slot)
            for known in schedule_ids
            for slot in range(since, until + 1)
            if not self.queued[known, slot] and (known, slot) not in self.accounted
        ]


def _slot_of(job_id: str) -> tuple[str, int]:
    head, _, tail = job_id.rpartition("_")
    return head, int(tail)
