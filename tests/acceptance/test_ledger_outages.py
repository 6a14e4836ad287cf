"""Redis is flushed, the process that keeps is killed: the ledger keeps what it had, and goes on."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from schedules.engine import keys
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_chaos import unix
from tests.acceptance.test_ledger_endings import add, rows
from tests.support.waiting import wait_for

COUNT = 10
SCHEDULERS = ("rqscheduler", "rqscheduler 2")
WORKERS = ("rqworker", "rqworker 2")
FLUSH_WHEN_ALL_IS_WRITTEN = (
    "if redis.call('xlen', KEYS[1]) == 0 then redis.call('flushall') return 1 end return 0"
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def running(make_product: Callable[..., Product]) -> Product:
    product = make_product()
    product.start("redis", *SCHEDULERS, *WORKERS)
    add(
        product,
        **{
            f"each second {n}": {
                "func": "tests.acceptance.newsroom.jobs.record",
                "args": [f"each second {n}"],
                "interval": 1,
            }
            for n in range(COUNT)
        },
    )
    wait_for(lambda: len(of_each_second(product)) == COUNT, seconds=20)
    return product


def of_each_second(product: Product) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the schedules that run each second, by name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(product):
        if row["schedule_name"].startswith("each second"):
            found.setdefault(row["schedule_name"], []).append(row)
    return found


def newest(product: Product) -> int:
    """Return the newest slot that the ledger has of every schedule."""
    return min(unix(found[-1]["scheduled_for"]) for found in of_each_second(product).values())


def assert_each_slot_once(product: Product) -> None:
    for name, found in of_each_second(product).items():
        slots = [unix(row["scheduled_for"]) for row in found]
        assert slots == list(range(slots[0], slots[-1] + 1)), name


def test_the_keeper_that_is_killed_is_followed_within_fifteen_seconds(running: Product) -> None:
    for name in SCHEDULERS:
        running.end(name)
    keeps, waits = SCHEDULERS
    running.start(keeps)
    wait_for(lambda: "Keeping the ledger" in running.text(keeps))
    running.start(waits)
    running.end(keeps, signal.SIGKILL)
    killed_at = time.time()
    wait_for(lambda: "Keeping the ledger" in running.text(waits), seconds=20)
    wait_for(lambda: newest(running) > killed_at, seconds=20)
    took = time.time() - killed_at
    print(f"\nthe ledger went on {took:.1f} s after its keeper was killed")
    assert took < 15
    assert_each_slot_once(running)
    running.ensure(*SCHEDULERS)


def test_redis_is_flushed_and_nothing_is_run_again_or_hangs(running: Product) -> None:
    job = "tests.acceptance.newsroom.jobs.work_until_told"
    add(running, long={"func": job, "args": ["long", "/never"], "interval": 3600})
    wait_for(lambda: [row["status"] for row in rows(running, "long")] == ["running"], seconds=20)
    before = {row["job_id"] for found in of_each_second(running).values() for row in found}
    # All that happened is in the ledger then, which is all that can be kept.
    flush = running.redis.register_script(FLUSH_WHEN_ALL_IS_WRITTEN)
    wait_for(lambda: flush(keys=[keys.EVENTS]), seconds=20)
    flushed_at = time.time()
    for name in WORKERS:
        running.end(name, signal.SIGKILL)
    running.ensure(*WORKERS)
    wait_for(lambda: newest(running) > flushed_at + 3, seconds=20)

    def hanging() -> list[dict[str, Any]]:
        return [
            row
            for row in rows(running)
            if row["status"] in {"queued", "running"} and unix(row["scheduled_for"]) < flushed_at
        ]

    wait_for(lambda: not hanging(), seconds=65, what="no run of before the flush is open")
    print(f"\nnothing was open {time.time() - flushed_at:.1f} s after the flush")
    (long,) = rows(running, "long")
    assert long["status"] == "abandoned"
    assert "vanished from Redis" in long["reason"]
    assert before <= {row["job_id"] for row in rows(running)}
    assert_each_slot_once(running)
    ran = Counter(json.loads(line)["job"] for line in running.ran_file.read_text().splitlines())
    assert max(ran.values()) == 1, "no slot ran again"
