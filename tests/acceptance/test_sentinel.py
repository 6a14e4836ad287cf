"""Two schedulers and a worker find Redis through three sentinels; its master dies, or hangs, under load.

What is acknowledged is what a WAIT has confirmed: the replica has it. Nothing of that may be lost, and nothing of it
dispatched or run a second time. What the replica had not heard of is Redis' to lose: those slots are dispatched
again, and may run twice if a worker was quick; that is counted and printed.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from tests.acceptance.product import Product
from tests.acceptance.test_ledger_chaos import unix
from tests.acceptance.test_ledger_endings import rows
from tests.support.sentinel import Pair
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(180)

COUNT = 100
"""Schedules each second that are only dispatched: on a queue on which nobody works."""
WORKED = 5
"""Schedules each second whose jobs a worker runs."""

ROWS = f"""
from datetime import timedelta
from django.utils import timezone
from schedules.models import Schedule
from schedules.sync import Synchronizer
common = {{"interval": 1, "overlap_policy": "allow_all", "starts_at": timezone.now() + timedelta(seconds=1),
          "func": "tests.acceptance.newsroom.jobs.record"}}
Schedule.objects.bulk_create(
    [Schedule(name=f"dispatched {{n}}", queue="archive", **common) for n in range({COUNT})]
    + [Schedule(name=f"worked {{n}}", args=["worked"], **common) for n in range({WORKED})]
)
Synchronizer().reconcile()
print(Schedule.objects.count())
"""


def test_a_fail_over_under_load_loses_and_doubles_nothing_that_was_acknowledged(
    make_product: Callable[..., Product], tmp_path: Path
) -> None:
    with Pair(tmp_path) as pair, ExitStack() as stack:
        product = make_product(SENTINEL_PORTS=",".join(map(str, pair.ports)))
        product.environment |= {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.sentinel_settings",
            "REDIS_URL": pair.servers[0].tcp_url,  # what the Procfile waits for at the start
        }
        stack.callback(end_all, product)  # while there is a Redis
        product.start("rqscheduler", "rqscheduler 2", "rqworker")
        added = product.client(ROWS)
        assert added.stdout.strip() == str(COUNT + WORKED), added.stderr
        connection = pair.client()
        queue = "rq:queue:archive"
        wait_for(
            lambda: connection.llen(queue) > 3 * COUNT and len(product.ran("worked")) > WORKED, seconds=30
        )

        dispatched, ran = acknowledged(pair, product)
        killed_at = time.time()
        pair.servers[0].kill()
        wait_for(lambda: pair.has_master(1), seconds=30, what="a new master")
        failed_over = time.time() - killed_at
        until = int(time.time()) + 2

        def goes_on() -> bool:
            try:
                return slot_of(connection.lrange(queue, -1, -1)[0]) > until
            except redis_py.RedisError:
                return False

        wait_for(goes_on, seconds=30, what=product.last_words())
        try:
            wait_for(lambda: any(run.slot > until for run in product.ran("worked")), seconds=60)
        except AssertionError:
            pytest.fail(f"the worker does not go on:\n{product.text('rqworker')[-5000:]}")
        queued = connection.lrange(queue, 0, -1)
        for name in ("rqscheduler", "rqscheduler 2", "rqworker"):
            assert product.is_running(name)
            assert "Traceback" not in product.text(name), product.text(name)

        slots = Counter(queued)
        missing = gaps(queued, until)
        twice = [job for job, count in Counter(run.job for run in product.ran("worked")).items() if count > 1]
        print(
            f"\nfail-over after {failed_over:.1f} s; {len(queued)} slots dispatched, {len(dispatched)} of them "
            f"acknowledged before; lost {len(dispatched - set(queued))}, twice in the queue "
            f"{len(queued) - len(slots)}, missed {len(missing)}; {len(product.ran('worked'))} jobs run, twice "
            f"{len(twice)}, of those acknowledged {len(ran & set(twice))}"
        )
        assert dispatched <= set(queued)
        assert len(queued) == len(slots)
        assert not missing
        assert not ran & set(twice)
        # What ran twice was started in the last moment before the kill.
        assert all(slot_of(job.encode()) >= killed_at - 2 for job in twice)

        def ledger() -> list[dict[str, Any]]:
            return [row for row in rows(product) if unix(row["scheduled_for"]) <= until]

        wait_for(lambda: len(ledger()) >= len([job for job in queued if slot_of(job) <= until]), seconds=30)
        found = Counter((row["schedule_name"], row["scheduled_for"]) for row in ledger())
        assert max(found.values()) == 1
        for name in {row["schedule_name"] for row in ledger()}:
            seconds = sorted(unix(at) for known, at in found if known == name)
            assert seconds == list(range(seconds[0], until + 1)), name


def end_all(product: Product) -> None:
    """End everything in an orderly way: also a worker that waits for a job, through Sentinel."""
    for name in list(product.processes):
        began = time.monotonic()
        try:
            product.end(name)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{name} does not end:\n{product.text(name)[-3000:]}")
        assert time.monotonic() - began < 8


def acknowledged(pair: Pair, product: Product) -> tuple[set[bytes], set[str]]:
    """Return the jobs in the queue, and those that have run, of which the replica has confirmed that it knows."""
    with pair.servers[0].client(
        single_connection_client=True
    ) as client:  # WAIT is about what its connection wrote
        ran = {run.job for run in product.ran("worked")}
        with client.pipeline() as pipe:
            pipe.lrange("rq:queue:archive", 0, -1)
            for job in ran:
                pipe.hget(f"rq:job:{job}", "status")
            pipe.set("acknowledged", 1)
            queued, *statuses, _ = pipe.execute()
        assert client.wait(1, 5000) == 1
    return set(queued), {job for job, status in zip(ran, statuses, strict=True) if status == b"finished"}


def gaps(queued: list[bytes], until: int) -> list[tuple[str, int]]:
    """Return the slots of schedules of one second that are not there, from the first to `until`."""
    slots: dict[str, set[int]] = {}
    for job in queued:
        slots.setdefault(job.decode().rpartition("_")[0], set()).add(slot_of(job))
    assert len(slots) == COUNT
    return [
        (known, slot)
        for known, found in slots.items()
        for slot in range(min(found), until + 1)
        if slot not in found
    ]


def slot_of(job_id: bytes) -> int:
    return int(job_id.rpartition(b"_")[2])
