"""PostgreSQL is stopped or its disk is full, under load: no slot is late by it, and the ledger is complete after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from schedules.engine import keys
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_endings import add
from tests.support.postgres_server import PostgresServer, binaries
from tests.support.waiting import wait_for

COUNT = 50
SMALL = 16 * 2**20
"""Bytes of a small disk."""
SECONDS = float(os.environ.get("SECONDS_WITHOUT_DATABASE", "6"))

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(binaries() is None, reason="needs PostgreSQL's server: there is no initdb here"),
]


def ledger(product: Product) -> list[dict[str, Any]]:
    """Return the rows of the ledger."""
    done = product.manage("runs", "--json", "--limit", "1000000", LOG_LEVEL="ERROR")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def overdue(product: Product) -> float:
    """Return by how many seconds the oldest slot that is due is late at this moment."""
    with product.redis.pipeline() as pipe:
        pipe.time()
        pipe.zrange(keys.SCHEDULED, 0, 0, withscores=True)
        (seconds, microseconds), first = pipe.execute()
    return max(0.0, seconds + microseconds / 1_000_000 - first[0][1])


def run_through(product: Product, trouble: Callable[[], AbstractContextManager[None]]) -> None:
    """Run schedules before, during and after the trouble; fail if a slot is late by it, missing or doubled."""
    product.start("redis", "rqscheduler", "rqworker")
    add(
        product,
        **{
            f"each second {n}": {"func": "tests.support.ending_jobs.succeed", "interval": 1}
            for n in range(COUNT)
        },
    )
    time.sleep(4)
    began_at = time.time()
    late: list[float] = []
    with trouble():
        while time.time() < began_at + SECONDS:
            late.append(overdue(product))
            time.sleep(0.02)
    over_at = time.time()
    wait_for(lambda: product.redis.xlen(keys.EVENTS) < 500, seconds=60, what="the ledger catches up")
    time.sleep(2)
    product.end("rqscheduler")
    product.start("rqscheduler 2")
    wait_for(lambda: product.redis.xlen(keys.EVENTS) < 500, seconds=40)
    slots: dict[str, list[int]] = {}
    for row in ledger(product):
        slots.setdefault(row["schedule_name"], []).append(int(unix(row["scheduled_for"])))
    assert len(slots) == COUNT
    for name, found in slots.items():
        assert sorted(found) == list(range(min(found), max(found) + 1)), name
        assert min(found) < began_at < over_at <= max(found) + 1, name
    late.sort()
    print(
        f"\n{sum(map(len, slots.values()))} slots; without the database the oldest that was due was late by "
        f"{late[len(late) // 2] * 1000:.1f} ms (median), {late[-1] * 1000:.1f} ms (most)"
    )
    assert late[len(late) * 99 // 100] < 0.5


def product_on(database: PostgresServer, make_product: Callable[..., Product]) -> Product:
    """Return a product whose ledger is on that server."""
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support")
    product.environment["DATABASE_URL"] = database.url
    assert product.manage("migrate").returncode == 0
    return product


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of a few megabytes for PostgreSQL, or skip the test where that is not allowed."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a small disk: {done.stderr.strip()}")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # the server has its files open


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte on a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        while os.statvfs(folder).f_bfree:
            file.write(b"x" * 4096)
    yield
    filler.unlink()


def test_no_slot_is_late_by_a_stop_and_the_ledger_is_complete_after(
    make_product: Callable[..., Product],
) -> None:
    @contextmanager
    def stopped() -> Iterator[None]:
        database.stop()
        yield
        database.start()

    with PostgresServer() as database:
        run_through(product_on(database, make_product), stopped)


def test_no_slot_is_late_by_a_full_disk_and_the_ledger_is_complete_after(
    make_product: Callable[..., Product],
) -> None:
    with PostgresServer() as database, small_disk(database.folder / "small"):
        product = product_on(database, make_product)
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{database.folder}/small'")
            connection.execute("ALTER TABLE schedules_run SET TABLESPACE small")
        run_through(product, lambda: full(database.folder / "small"))
        assert "No space left on device" in product.text("rqscheduler")
