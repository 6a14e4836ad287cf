"""Rows in a database, edited all the while, under blows to schedulers and Redis; then ledger and queue are compared.

    SECONDS_OF_CHAOS=300 SEED=7 python -m pytest tests/chaos/test_sync_chaos.py -m chaos -s --timeout 0

100 rows are due each second; two `rqscheduler` dispatch, and one of them keeps the ledger and makes Redis equal to the
database. A blow is a scheduler killed or stopped for longer than the keeper's lease, Redis killed, hung or emptied;
or a row saved, updated past the signals, disabled, enabled, deleted with and without signals, or made anew.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis as redis_py

from schedules.engine import keys
from schedules.keeper.lease import LEASE_SECONDS
from tests.acceptance.conftest import empty_database, make_product
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_chaos import unix
from tests.acceptance.test_ledger_endings import rows
from tests.chaos.editor import Editor
from tests.support.waiting import wait_for

__all__ = ["empty_database", "make_product"]

STEADY = [f"steady {n}" for n in range(60)]
EDITED = [f"edited {n}" for n in range(20)]
"""Updated past the signals in what does not move their slots: not one may be missing."""
SWITCHED = [f"switched {n}" for n in range(20)]
"""Saved, disabled, enabled, deleted, made anew: no slot twice, none while they are off for longer than a comparison."""
QUEUE = "rq:queue:default"
SCHEDULERS = ("rqscheduler", "rqscheduler 2")
HEALED_WITHIN = LEASE_SECONDS + 3.0
"""Seconds after which what was written past the signals is known to Redis: a comparison each second, and some; and
before that, should the keeper have been killed, another one has to follow it."""


class Storm:
    """The product under blows, and what became of every slot."""

    def __init__(self, product: Product, editor: Editor, seed: int) -> None:
        self.product, self.editor = product, editor
        self.random = random.Random(seed)
        self.blows: Counter[str] = Counter()
        self.queued: Counter[str] = Counter()
        """Every job that was ever seen in the queue."""
        self.known: set[str] = set()
        """The jobs of which the ledger knew when Redis was emptied last."""
        self.doubled: list[str] = []
        self.off: dict[str, float] = {}
        """Since when those are off that are."""
        self.made = 0
        self.diary: list[str] = []
        self.started = int(time.time()) + 2

    def columns(self) -> dict[str, Any]:
        return {
            "func": "tests.support.ending_jobs.succeed",
            "interval": 1,
            "starts_at": datetime.fromtimestamp(self.started, UTC).isoformat(),
            "misfire_policy": "fire_all",
            "overlap_policy": "allow_all",
        }

    def begin(self) -> None:
        for name in [*STEADY, *EDITED, *SWITCHED]:
            self.editor.do("create", name, **self.columns())
        self.first_slot = max(self.started, int(time.time()) + 1)

    # --- the blows -----------------------------------------------------------------------------------------------

    def kill(self) -> None:
        self.product.end(self.random.choice(SCHEDULERS), signal.SIGKILL)
        self.product.ensure(*SCHEDULERS)

    def pause(self) -> None:
        process = self.product.processes[self.random.choice(SCHEDULERS)]
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.choice([0.3, 2.0]))
        process.send_signal(signal.SIGCONT)

    def crash_redis(self) -> None:
        self.product.end("redis", signal.SIGKILL)
        time.sleep(self.random.choice([0, 0.5]))
        self.product.redis_server.start()

    def hang_redis(self) -> None:
        self.product.redis_server.sigstop()
        time.sleep(self.random.uniform(0.2, 1.5))
        self.product.redis_server.sigcont()

    def empty_redis(self) -> None:
        self.collect(flush=True)

    def edit(self) -> None:
        for name in self.random.sample(EDITED, 5):
            self.editor.do("update", name, timeout=self.random.randint(1, 10_000))

    def save(self) -> None:
        for name in self.random.sample([name for name in SWITCHED if name not in self.off], 2):
            self.editor.do("save", name, timeout=self.random.randint(1, 10_000))

    def switch(self) -> None:
        how = self.random.choice(["save", "update"])
        for name in self.random.sample(SWITCHED[:10], 3):
            self.editor.do(how, name, enabled=name in self.off)
            if name in self.off:
                del self.off[name]
            else:
                self.off[name] = time.time()

    def replace(self) -> None:
        for name in self.random.sample(SWITCHED[10:], 2):
            self.editor.do(self.random.choice(["delete", "raw delete"]), name)
            self.editor.do("create", name, **self.columns() | {"starts_at": datetime.now(UTC).isoformat()})
            self.made += 1

    # --- the books -----------------------------------------------------------------------------------------------

    def collect(self, *, flush: bool = False) -> None:
        """Take what is queued into the books, in one step; with `flush`, lose everything else in the same step.

        Called at every flush and in the end: what is in the queue was dispatched since the last call.
        """
        known = {row["job_id"] for row in rows(self.product)}
        while True:
            try:
                with self.product.redis.pipeline(transaction=True) as pipe:
                    pipe.lrange(QUEUE, 0, -1)
                    if flush:
                        pipe.flushall()
                    jobs, *_ = pipe.execute()
                break
            except redis_py.RedisError:
                time.sleep(0.02)
        seen = Counter(job.decode() for job in jobs)
        self.doubled += [job for job, count in seen.items() if count > 1 or job in self.known]
        self.queued.update(seen)
        self.known = known

    def run(self, seconds: float) -> None:
        self.begin()
        common = [
            *(self.kill, self.pause, self.hang_redis, self.edit, self.edit, self.save, self.switch),
            *(self.switch, self.replace),
        ]
        deadline = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < deadline:
            rare = {5: self.empty_redis, 9: self.crash_redis}.get(turn % 12)
            blow = rare or self.random.choice(common)
            self.blows[blow.__name__] += 1
            began = time.time()
            blow()
            self.diary.append(f"{began:.3f} to {time.time():.3f}: {blow.__name__}")
            time.sleep(self.random.uniform(0.05, 0.4))
            turn += 1
        self.product.ensure("redis", *SCHEDULERS)

    def settle(self) -> int:
        """Let everything due be dispatched and told; return the last second that is complete."""
        until = int(time.time()) + 1

        def is_done() -> bool:
            first = self.product.redis.zrange(keys.SCHEDULED, 0, 0, withscores=True)
            complete = self.product.redis.zcard(keys.SCHEDULED) == 100 - len(self.off)
            return complete and first[0][1] > until and self.product.redis.xlen(keys.EVENTS) == 0

        wait_for(is_done, seconds=60, what=f"everything due to be dispatched\n{self.product.last_words()}")
        for name in SCHEDULERS:
            assert self.product.end(name) == 0, self.product.text(name)
        self.collect()
        return until


def balance(product: Product, seconds: float, seed: int) -> None:
    """Blow for so many seconds, count, print, and fail if a slot is lost, doubled or not accounted for."""
    product.start("redis", *SCHEDULERS)
    with Editor(product.environment) as editor:
        storm = Storm(product, editor, seed)
        storm.run(seconds)
        until = storm.settle()
    ledger: dict[str, list[int]] = {}
    told: Counter[str] = Counter()
    for row in rows(product):
        ledger.setdefault(row["schedule_name"], []).append(unix(row["scheduled_for"]))
        told[row["job_id"]] += 1
    always = [*STEADY, *EDITED]
    missed = [
        (name, slot)
        for name in always
        for slot in range(storm.first_slot, until + 1)
        if slot not in set(ledger.get(name, []))
    ]
    # What a flush takes with it before the ledger has heard of it is dispatched again: nobody remembers it.
    forgotten = sum(count > 1 for count in storm.queued.values()) - len(storm.doubled)
    doubled = storm.doubled
    twice_told = [job for job, count in told.items() if count > 1]
    # Of a row that was saved, switched or deleted before it was healed, nothing is owed of what a flush has taken.
    untold = [job for job in storm.queued if job not in told and int(job.rpartition("_")[2]) <= until]
    owed = {job.rpartition("_")[0] for name in always for job in jobs_of(product, name)}
    gone = len(untold)
    untold = [job for job in untold if job.rpartition("_")[0] in owed]
    after_off = [
        job
        for job in storm.queued
        for name, since in storm.off.items()
        if name in ledger
        and int(job.rpartition("_")[2]) > since + HEALED_WITHIN
        and job in jobs_of(product, name)
    ]
    print(
        f"\nsync chaos: seed {seed}, {seconds:.0f} s, {len(storm.queued)} slots, {storm.made} rows made anew, "
        + ", ".join(f"{count} {blow}" for blow, count in sorted(storm.blows.items()))
        + f"\nmissed {len(missed)}, doubled {len(doubled)} (and {forgotten} untold before a flush), "
        f"twice in the ledger {len(twice_told)}, not in the ledger {len(untold)} "
        f"(and {gone - len(untold)} of edited rows), after switched off {len(after_off)}"
    )
    wrong = (missed, doubled, twice_told, untold, after_off)
    assert wrong == ([], [], [], [], []), "\n".join([*storm.diary, product.last_words()])
    for name in SCHEDULERS:
        assert "Traceback" not in product.text(name), product.text(name)[-4000:]


def jobs_of(product: Product, name: str) -> set[str]:
    return {row["job_id"] for row in rows(product, name)}


@pytest.mark.timeout(180)
def test_rows_that_are_edited_under_a_short_storm_lose_and_double_nothing(
    make_product: Callable[..., Product],
) -> None:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support", SCHEDULES_KEEP_RUNS="1000000")
    balance(product, 6, int(os.environ.get("SEED", 1)))


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_rows_that_are_edited_under_a_long_storm_lose_and_double_nothing(
    make_product: Callable[..., Product],
) -> None:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support", SCHEDULES_KEEP_RUNS="1000000")
    balance(product, float(os.environ.get("SECONDS_OF_CHAOS", 120)), int(os.environ.get("SEED", time.time())))
