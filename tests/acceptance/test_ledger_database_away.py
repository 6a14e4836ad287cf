"""PostgreSQL is stopped under load: no slot is late by it, and the ledger is complete when it is back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from schedules.engine import keys
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_endings import add
from tests.support.postgres_server import PostgresServer, binaries
from tests.support.waiting import wait_for

COUNT = 50
SECONDS = float(os.environ.get("SECONDS_WITHOUT_DATABASE", "8"))

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(binaries() is None, reason="needs PostgreSQL's server: there is no initdb here"),
]


def ledger(product: Product) -> list[dict[str, Any]]:
    """Return the rows of the ledger."""
    done = product.manage("runs", "--json", "--limit", "1000000", LOG_LEVEL="ERROR")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_slot_is_late_by_it_and_the_ledger_is_complete_after(make_product: Callable[..., Product]) -> None:
    with PostgresServer() as database:
        product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support")
        product.environment["DATABASE_URL"] = database.url
        assert product.manage("migrate").returncode == 0
        product.start("redis", "rqscheduler", "rqworker")
        add(
            product,
            **{
                f"each second {n}": {"func": "tests.support.ending_jobs.succeed", "interval": 1}
                for n in range(COUNT)
            },
        )
        time.sleep(4)
        stopped_at = time.time()
        database.stop()
        time.sleep(SECONDS)
        database.start()
        back_at = time.time()
        wait_for(lambda: product.redis.xlen(keys.EVENTS) < 500, seconds=60, what="the ledger catches up")
        time.sleep(2)
        product.end("rqscheduler")
        product.start("rqscheduler 2")
        wait_for(lambda: product.redis.xlen(keys.EVENTS) < 500, seconds=40)
        rows = ledger(product)
    slots: dict[str, list[int]] = {}
    late: list[float] = []
    for row in rows:
        slot = unix(row["scheduled_for"])
        slots.setdefault(row["schedule_name"], []).append(int(slot))
        if row["enqueued_at"] and stopped_at < slot < back_at:
            late.append(unix(row["enqueued_at"]) - slot)
    assert len(slots) == COUNT
    for name, found in slots.items():
        assert sorted(found) == list(range(min(found), max(found) + 1)), name
        assert min(found) < stopped_at < back_at <= max(found) + 1, name
    late.sort()
    print(
        f"\n{len(rows)} slots; of {len(late)} jobs without the database "
        f"p50 {late[len(late) // 2] * 1000:.1f} ms, most {late[-1] * 1000:.1f} ms late"
    )
    assert late[len(late) * 99 // 100] < 0.5


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
