"""Schedulers with their keepers, workers, work horses and Redis are killed: every slot is in the ledger, exactly once.

python -m pytest tests/acceptance/test_ledger_chaos.py -m chaos -s --timeout 0      the long form, 60 s
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from schedules.engine import keys
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_endings import add, rows
from tests.support.waiting import wait_for

COUNT = 200
SLOW = 10
"""So many of them are at work for a while, so that blows meet somebody at work."""
SCHEDULERS = ("rqscheduler", "rqscheduler 2")
WORKERS = ("rqworker", "rqworker 2")
BLOWS = ("scheduler killed", "worker killed", "work horse killed", "redis hung", "redis killed")
LONGEST = 35 + 10 + 20
"""Seconds after which what nobody ends is closed, at the latest (docs/ledger.md)."""


class Chaos:
    """Two schedulers and two workers on one Redis, and somebody who breaks them."""

    def __init__(self, product: Product, seed: int) -> None:
        self.product = product
        self.rng = random.Random(seed)
        self.seed = seed
        self.blows: Counter[str] = Counter()
        product.start("redis", *SCHEDULERS, *WORKERS)
        add(
            product,
            **{
                f"each second {n}": {
                    "func": f"tests.support.ending_jobs.{'nap' if n < SLOW else 'succeed'}",
                    "interval": 1,
                }
                for n in range(COUNT)
            },
        )

    def break_for(self, seconds: float, *, first: tuple[str, ...] = ()) -> None:
        """Break something again and again, every kind as often as the others, in an order of chance."""
        kinds = self._kinds(first)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or len(self.blows) < len(BLOWS):
            time.sleep(self.rng.uniform(0.1, 1.0))
            kind = next(kinds)
            self._blow(kind)
            self.blows[kind] += 1
            # Not waited for: the next blow may meet somebody who is just starting.
            self.product.ensure("redis", *SCHEDULERS, *WORKERS, wait=False)

    def _kinds(self, first: tuple[str, ...]) -> Iterator[str]:
        yield from first
        while True:
            yield from self.rng.sample(BLOWS, len(BLOWS))

    def _blow(self, kind: str) -> None:
        server = self.product.redis_server
        if kind == "scheduler killed":
            self.product.end(self.rng.choice(SCHEDULERS), signal.SIGKILL)
        elif kind == "worker killed":
            self.product.end(self.rng.choice(WORKERS), signal.SIGKILL)
        elif kind == "work horse killed":
            os.kill(wait_for(self._horse, what="a worker is at work"), signal.SIGKILL)
        elif kind == "redis hung":
            server.sigstop()
            time.sleep(self.rng.uniform(0.2, 2.0))
            server.sigcont()
        else:
            server.kill()
            time.sleep(self.rng.uniform(0.0, 1.0))
            server.start()

    def _horse(self) -> int | None:
        """Return the process in which some worker runs a job."""
        for name in WORKERS:
            if self.product.is_running(name) and self.product.is_ready(name):
                pid = self.product.processes[name].pid
                try:
                    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                except FileNotFoundError:  # it has just ended
                    continue
                if children:
                    return int(children[0])
        return None

    def settle(self) -> None:
        """Start who is dead, end all schedules, and wait until the ledger has all that happened."""
        self.product.ensure("redis", *SCHEDULERS, *WORKERS)
        stopped = self.product.client(
            "from schedules.models import Schedule\nSchedule.objects.update(enabled=False)\n"
            "from schedules.sync import Synchronizer\nSynchronizer().reconcile()"
        )
        assert stopped.returncode == 0, stopped.stderr
        # A killed keeper's lease has to lapse first.
        wait_for(
            lambda: self.product.redis.xlen(keys.EVENTS) == 0, seconds=40, what="the ledger has all events"
        )

    def statuses(self, *, at_least: float) -> Counter[str]:
        """Return the slots by status; fail if one is missing, or there twice."""
        noted = self.product.client(
            "import json\nfrom schedules.models import Schedule\n"
            "print(json.dumps(list(Schedule.objects.values_list('name', 'starts_at', 'updated_at',"
            "'last_slot_at')), default=str))"
        )
        found: Counter[str] = Counter()
        slots: dict[str, list[int]] = {}
        for row in rows(self.product):
            slots.setdefault(row["schedule_name"], []).append(unix(row["scheduled_for"]))
            found[row["status"]] += 1
        schedules = json.loads(noted.stdout.splitlines()[-1])
        assert len(schedules) == COUNT
        for name, starts_at, saved_at, last_slot_at in schedules:
            # Of slots before the row was there, nothing is owed.
            first, last = max(unix(starts_at), unix(saved_at) + 1), unix(last_slot_at)
            assert sorted(slots[name]) == list(range(first, last + 1)), (
                f"{name}: slots are missing or doubled"
            )
            assert last - first >= at_least
        print(f"\nseed {self.seed}, blows: {dict(self.blows)}")
        print(f"{sum(found.values())} slots of {COUNT} schedules: {dict(found)}")
        return found

    def open_runs(self) -> list[dict[str, object]]:
        """Return the runs that have not ended."""
        return [row for row in rows(self.product) if row["status"] in {"queued", "running"}]


def unix(text: str) -> int:
    moment = datetime.fromisoformat(text if "+" in text else f"{text}+00:00")
    return int(moment.timestamp())


@pytest.fixture
def chaos_product(make_product: Callable[..., Product]) -> Product:
    return make_product(SCHEDULES_ALLOWED_TARGETS="tests.support", SCHEDULES_KEEP_RUNS="1000000")


@pytest.mark.timeout(180)
def test_every_slot_is_in_the_ledger_exactly_once(chaos_product: Product) -> None:
    chaos = Chaos(chaos_product, random.randrange(10_000))
    # The keepers first: by the end, the lease of the one that kept has lapsed.
    chaos.break_for(
        5, first=("scheduler killed", "work horse killed", "worker killed", "redis killed", "redis hung")
    )
    chaos.settle()
    assert set(chaos.blows) == set(BLOWS)
    assert chaos.statuses(at_least=5)["succeeded"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_every_slot_is_in_the_ledger_exactly_once_and_none_hangs_after_a_minute(
    chaos_product: Product,
) -> None:
    seconds = float(os.environ.get("SECONDS_OF_CHAOS", "60"))
    chaos = Chaos(chaos_product, int(os.environ.get("SEED", random.randrange(10_000))))
    chaos.break_for(seconds)
    ended = time.monotonic()
    chaos.settle()
    chaos.statuses(at_least=seconds)
    queue = len(chaos.open_runs())
    # What waits in the queues has to be worked off as well.
    wait_for(
        lambda: not chaos.open_runs(),
        seconds=ended + LONGEST + queue * 0.1 - time.monotonic(),
        what="every run has ended",
    )
    print(f"all have ended {time.monotonic() - ended:.0f} s after the last blow")
    found = chaos.statuses(at_least=seconds)
    assert set(found) <= {"succeeded", "skipped", "missed", "abandoned", "failed", "canceled"}
    assert found["abandoned"] > 0
