"""Schedulers, keepers and workers are killed, Redis stands still: every slot is in the ledger, exactly once.

python -m pytest tests/acceptance/test_ledger_chaos.py -m chaos -s --timeout 0      the long form, 60 s
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest

from schedules.engine import keys
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_endings import add, rows
from tests.support.waiting import wait_for

COUNT = 200
PROCESSES = ("rqscheduler", "rqscheduler 2", "rqworker", "rqworker 2")


def blow(product: Product, rng: random.Random) -> str:
    """Do something terrible, and mend what somebody has to mend."""
    victim = rng.choice([*PROCESSES, "redis"])
    if victim == "redis":
        product.redis_server.sigstop()
        time.sleep(rng.uniform(0.2, 2.0))
        product.redis_server.sigcont()
        return "redis stopped and continued"
    if product.is_running(victim):
        product.end(victim, signal.SIGKILL)
    product.ensure(*PROCESSES)
    return f"{victim.split()[0]} killed"


def run_chaos(product: Product, seconds: float, seed: int) -> Counter[str]:
    """Return the statuses of all slots after so many seconds of blows; fail if a slot is missing."""
    rng = random.Random(seed)
    product.start("redis", *PROCESSES)
    add(
        product,
        **{
            f"each second {n}": {"func": "tests.support.ending_jobs.succeed", "interval": 1}
            for n in range(COUNT)
        },
    )
    blows: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(rng.uniform(0.1, 1.0))
        blows[blow(product, rng)] += 1
    product.ensure(*PROCESSES)
    time.sleep(3)
    stopped = product.client(
        "from schedules.models import Schedule\nSchedule.objects.update(enabled=False)\n"
        "from schedules.sync import Synchronizer\nSynchronizer().reconcile()"
    )
    assert stopped.returncode == 0, stopped.stderr
    # A killed keeper's lease has to lapse first.
    wait_for(lambda: product.redis.xlen(keys.EVENTS) == 0, seconds=40, what="the ledger has all events")
    noted = product.client(
        "import json\nfrom schedules.models import Schedule\n"
        "print(json.dumps(list(Schedule.objects.values_list('name', 'starts_at', 'last_slot_at')), default=str))"
    )
    print(f"\nseed {seed}, blows: {dict(blows)}")
    statuses: Counter[str] = Counter()
    slots: dict[str, list[int]] = {}
    for row in rows(product):
        slots.setdefault(row["schedule_name"], []).append(unix(row["scheduled_for"]))
        statuses[row["status"]] += 1
    for name, starts_at, last_slot_at in json.loads(noted.stdout.splitlines()[-1]):
        first, last = unix(starts_at), unix(last_slot_at)
        assert sorted(slots[name]) == list(range(first, last + 1)), f"{name}: slots are missing or doubled"
        assert last - first >= seconds
    print(f"{sum(statuses.values())} slots of {COUNT} schedules: {dict(statuses)}")
    return statuses


def unix(text: str) -> int:
    moment = datetime.fromisoformat(text if "+" in text else f"{text}+00:00")
    return int(moment.timestamp())


@pytest.mark.timeout(180)
def test_every_slot_is_in_the_ledger_exactly_once(make_product: Callable[..., Product]) -> None:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support", SCHEDULES_KEEP_RUNS="1000000")
    statuses = run_chaos(product, 12, seed=random.randrange(10_000))
    assert statuses["succeeded"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_every_slot_is_in_the_ledger_exactly_once_after_a_minute(
    make_product: Callable[..., Product],
) -> None:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support", SCHEDULES_KEEP_RUNS="1000000")
    seconds = float(os.environ.get("SECONDS_OF_CHAOS", "60"))
    run_chaos(product, seconds, seed=int(os.environ.get("SEED", random.randrange(10_000))))
    wait_for(
        lambda: not [row for row in rows(product) if row["status"] in {"queued", "running"}],
        seconds=120,
        what="every run has ended",
    )
    print(f"in the end: {dict(Counter(row['status'] for row in rows(product)))}")
