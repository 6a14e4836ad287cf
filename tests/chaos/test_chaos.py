"""Everything that can happen to schedulers, connections and Redis, at random instants; then the books are balanced.

    CYCLES=2000 SEED=7 python -m pytest tests/chaos -m chaos -s --timeout 0

200 schedules are due each second. A cycle is one blow: a scheduler killed, ended or stopped for a while, a
connection cut before or after the reply, Redis killed or emptied, a schedule edited, cancelled or registered again.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis as redis_py

from schedules.engine import ConflictError, Entries, Progress, keys
from schedules.spec import ScheduleSpec
from schedules.timing import IntervalTrigger
from tests.chaos.books import Books
from tests.chaos.zygote import Zygote, is_alive
from tests.redis.conftest import make_spec, schedule_id
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

COUNT = 200
EDITED = range(141, 181)
"""Edited all the while, in what does not move their slots: not one may be missed."""
CANCELLED = range(181, 201)
"""Cancelled and registered again all the while: no slot twice, none after the cancel."""


class Chaos:
    """Schedulers under blows, and what they were told to do."""

    def __init__(self, server: RedisServer, zygote: Zygote, proxy: Proxy, seed: int) -> None:
        self.server, self.zygote, self.proxy = server, zygote, proxy
        self.random = random.Random(seed)
        self.books = Books()
        self.blows: Counter[str] = Counter()
        self.pids: list[int] = []
        self.started = int(time.time())
        self.anchor = datetime.fromtimestamp(self.started, UTC)
        self.cancelled: dict[str, float] = {}
        self.after_cancel: list[tuple[str, int]] = []

    def spec(self, number: int, **changes: int) -> ScheduleSpec:
        trigger = IntervalTrigger(every=1, anchor=self.anchor)
        policies = {"misfire_policy": "fire_all", "max_catchup": 100_000, "overlap_policy": "allow_all"}
        return make_spec(number, trigger=trigger, **policies, **changes)

    # --- doing, whatever Redis says meanwhile --------------------------------------------------------------------

    def insist(self, what: Callable[[redis_py.Redis], object]) -> None:
        """Do something in Redis until it is known to be done, as a client with patience does."""
        while True:
            with self.server.client() as client:
                try:
                    what(client)
                except (redis_py.RedisError, ConflictError):
                    time.sleep(0.02)
                else:
                    return

    def register(self, *numbers: int, timeout: int = 180) -> None:
        specs = [self.spec(number, timeout=timeout) for number in numbers]
        self.insist(lambda client: Entries(client).register(specs))

    def start(self) -> int:
        url = self.random.choice([self.server.url, self.proxy.url])
        skew, dawdles = self.random.choice([0, 0, 3600, -3600]), self.random.random() < 0.5
        pid = self.zygote.start(url, skew=skew, dawdles=dawdles)
        self.pids.append(pid)
        return pid

    # --- the blows -----------------------------------------------------------------------------------------------

    def kill(self) -> None:
        pid = self.pids.pop(self.random.randrange(len(self.pids)))
        os.kill(pid, signal.SIGKILL)
        self.start()

    def end(self) -> None:
        pid = self.pids.pop(self.random.randrange(len(self.pids)))
        os.kill(pid, signal.SIGTERM)
        self.start()
        wait_for(lambda: not is_alive(pid), seconds=6, what="a scheduler that ends after SIGTERM")

    def pause(self) -> None:
        pids = self.random.sample(self.pids, self.random.randint(1, len(self.pids)))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.choice([0.05, 0.3, 2.2]))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def cut_request(self) -> None:
        self.proxy.cut_request(self.random.randint(1, 5))

    def cut_reply(self) -> None:
        self.proxy.cut_reply(self.random.randint(1, 5))

    def edit(self) -> None:
        self.register(*self.random.sample(EDITED, 10), timeout=self.random.randint(1, 10_000))

    def cancel(self) -> None:
        ids = [schedule_id(number) for number in self.random.sample(CANCELLED, 5)]
        self.insist(lambda client: Entries(client).unregister(ids))
        self.cancelled |= dict.fromkeys(ids, time.time())

    def register_again(self) -> None:
        numbers = [number for number in CANCELLED if schedule_id(number) in self.cancelled]
        self.drain()
        for number in numbers:
            del self.cancelled[schedule_id(number)]
        if numbers:
            self.register(*numbers)

    def crash_redis(self) -> None:
        self.server.kill()
        time.sleep(self.random.choice([0, 0.3]))
        self.server.start()

    def empty_redis(self) -> None:
        """Lose everything, and register again from the books, as the keeper does from the ledger."""
        self.insist(lambda client: self.books.drain(client, flush=True))
        newest = self.books.last_slots()
        numbers = [n for n in range(1, COUNT + 1) if schedule_id(n) not in self.cancelled]
        progress = {
            schedule_id(n): Progress(
                after=datetime.fromtimestamp(newest.get(schedule_id(n), self.started), UTC)
            )
            for n in numbers
        }
        specs = [self.spec(number) for number in numbers]
        self.insist(lambda client: Entries(client).register(specs, progress=progress))

    # --- the whole -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        before = set(self.books.queued)
        self.insist(self.books.drain)
        self.after_cancel += [
            (known, slot)
            for known, slot in self.books.queued.keys() - before
            # A second of grace: a slot that was due just before the cancel is in the queue already.
            if known in self.cancelled and slot > self.cancelled[known] + 1
        ]

    def run(self, cycles: int, schedulers: int) -> None:
        self.register(*range(1, COUNT + 1))
        with self.server.client() as client:
            self.first_slot = int(client.zrange(keys.SCHEDULED, 0, 0, withscores=True)[0][1])
        for _ in range(schedulers):
            self.start()
        common = [
            *(self.kill, self.kill, self.end, self.pause, self.cut_request, self.cut_reply),
            *(self.edit, self.cancel, self.register_again),
        ]
        for cycle in range(cycles):
            rare = {37: self.crash_redis, 19: self.empty_redis}.get(cycle % 40)
            blow = rare or self.random.choice(common)
            self.blows[blow.__name__] += 1
            blow()
            time.sleep(self.random.uniform(0, 0.15))
            if cycle % 10 == 0:
                self.drain()

    def settle(self) -> int:
        """Let everything due be dispatched, and end the schedulers; return the last second that is complete."""
        until = int(time.time()) + 1
        self.proxy.cut_nothing()

        def is_done() -> bool:
            with self.server.client() as client, contextlib.suppress(redis_py.RedisError):
                first = client.zrange(keys.SCHEDULED, 0, 0, withscores=True)
                return bool(first) and first[0][1] > until
            return False

        wait_for(is_done, seconds=30, what="everything due to be dispatched")
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(map(is_alive, self.pids)), seconds=6, what="the schedulers to end")
        self.drain()
        return until


def balance(cycles: int, schedulers: int, tmp_path: Path, seed: int) -> None:
    """Run so many cycles, count, print, and fail if anything was lost, doubled, missed or told wrongly."""
    log = tmp_path / "schedulers.log"
    options = ("--appendfsync", "always")  # what Redis has acknowledged is on the disk: the count is strict
    with RedisServer(options=options) as server, Zygote(log) as zygote, Proxy(server.socket) as proxy:
        chaos = Chaos(server, zygote, proxy, seed)
        chaos.run(cycles, schedulers)
        until = chaos.settle()
        with server.client() as client:
            kept = {member.decode() for member in client.zrange(keys.SCHEDULED, 0, -1)}
            quarantined = client.hgetall(keys.QUARANTINE)
        books = chaos.books
        wanted = {schedule_id(n) for n in range(1, COUNT + 1)} - chaos.cancelled.keys()
        always = [schedule_id(n) for n in range(1, CANCELLED[0])]
        lost, doubled = wanted - kept, books.doubled()
        skipped = [slot for slot in books.accounted if slot[0] in always]
        missed = books.missed(always, since=chaos.first_slot, until=until)
        print(
            f"\nchaos: seed {seed}, {cycles} cycles in {until - chaos.started} s, {schedulers} schedulers, "
            f"{sum(books.queued.values())} slots; {proxy.cuts} connections cut; "
            + ", ".join(f"{count} {blow}" for blow, count in sorted(chaos.blows.items()))
            + f"\nschedules lost {len(lost)}, slots doubled {len(doubled)}, slots missed {len(missed)} "
            f"(and {len(skipped)} told as missed), "
            f"told wrongly {len(books.untrue())}, after a cancel {len(chaos.after_cancel)}, "
            f"back from the dead {len(kept - wanted)}"
        )
        text = log.read_text(errors="replace")
        assert (lost, doubled, missed, skipped, books.untrue()) == (set(), [], [], [], [])
        assert (chaos.after_cancel, kept - wanted, quarantined) == ([], set(), {})
        assert "Traceback" not in text, text[text.index("Traceback") :][:3000]


def test_a_short_storm_loses_doubles_and_misses_nothing(tmp_path: Path) -> None:
    balance(cycles=60, schedulers=3, tmp_path=tmp_path, seed=int(os.environ.get("SEED", 1)))


@pytest.mark.chaos
@pytest.mark.timeout(0)
@pytest.mark.parametrize("schedulers", [1, 2, 5])
def test_a_long_storm_loses_doubles_and_misses_nothing(tmp_path: Path, schedulers: int) -> None:
    seed = int(os.environ.get("SEED", time.time()))
    balance(cycles=int(os.environ.get("CYCLES", 400)), schedulers=schedulers, tmp_path=tmp_path, seed=seed)
