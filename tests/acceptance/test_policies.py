"""One schedule for each policy, while everything is killed and started again: what the ledger says in the end.

With the manual clock, and in every combination, the policies are tested in `tests/unit/timing` and `tests/redis`;
here they meet real processes, a real clock, and a Redis that comes back from its append-only file.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from schedules.timing import jitter_seconds
from tests.acceptance.product import Product
from tests.acceptance.test_ledger_chaos import unix
from tests.acceptance.test_ledger_endings import rows
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(180)

THRESHOLD = 2
OUTAGE = 6.0
"""Seconds in which nothing runs at all; longer than the threshold and the catch-up window."""
WORKERS = ("rqworker", "rqworker 2", "rqworker 3")
ALL = {"overlap_policy": "allow_all"}
EACH = {"misfire_policy": "fire_all"}


def schedules(start: float) -> dict[str, dict[str, Any]]:
    """Return the columns of each, by name; `start`: when the first slots are due, unix seconds."""

    def at(seconds: float) -> str:
        return datetime.fromtimestamp(start + seconds, UTC).isoformat()

    slow = {"func": "work_for", "args": ["slow", 1.3]}
    return {
        "late: one": {"kind": "once", "run_at": at(6), "misfire_policy": "fire_once"},
        "late: none": {"kind": "once", "run_at": at(6), "misfire_policy": "skip"},
        "late: newest": {**ALL, "misfire_policy": "fire_once"},
        "late: all": {**ALL, **EACH},
        "late: window": {**ALL, **EACH, "catchup_window": 4},
        "at most 6": {**ALL, **EACH, "max_runs": 6},
        "ends in the outage": {**ALL, **EACH, "ends_at": at(6)},
        "starts in the outage": {**ALL, **EACH, "starts_at": at(6)},
        "jitter": {**ALL, **EACH, "interval": 3, "jitter": 2},
        "overlap: skip": {**slow, "overlap_policy": "skip", "misfire_policy": "skip"},
        "overlap: one": {**slow, "overlap_policy": "buffer_one", "misfire_policy": "skip"},
        "overlap: in order": {**slow, "overlap_policy": "buffer_all", "max_runs": 4, **EACH},
        "overlap: replace": {
            "func": "work_for",
            "args": ["replaced", 3],
            "interval": 2,
            "overlap_policy": "terminate_other",
            "misfire_policy": "skip",
            "ends_at": at(20),
        },
        "tried again": {
            "kind": "once",
            "run_at": at(3),
            "func": "fail_until",
            "args": ["tried again", 3],
            "retry_max": 3,
            "retry_min_backoff": 2,
            "retry_max_backoff": 3,
        },
        "too long": {"kind": "once", "run_at": at(1), "func": "work_for", "args": ["long", 60], "timeout": 1},
        "kept for ever": {**ALL, "max_runs": 2, "result_ttl": -1},
        "kept for a second": {**ALL, "max_runs": 2, "result_ttl": 1},
        "another queue": {**ALL, "max_runs": 2, "queue": "low"},
    }


def given_kind(name: str) -> str:
    return str(schedules(0)[name].get("kind", "interval"))


CREATE = """
import json, sys
from datetime import datetime, timezone
from schedules.models import Schedule
from schedules.sync import Synchronizer
start, given = json.loads(sys.argv[1])
for name, columns in given.items():
    for column in ("starts_at", "ends_at", "run_at"):
        if column in columns:
            columns[column] = datetime.fromisoformat(columns[column])
    columns = {"func": "record", "args": [name], "starts_at": datetime.fromtimestamp(start, timezone.utc)} | columns
    columns["func"] = "tests.acceptance.newsroom.jobs." + columns["func"]
    if columns.get("kind") != "once":
        columns.setdefault("interval", 1)
    schedule = Schedule(name=name, **columns)
    schedule.full_clean()
    Schedule.objects.bulk_create([schedule])
Synchronizer().reconcile()
print(Schedule.objects.count())
"""


def test_each_policy_holds_while_everything_is_restarted(make_product: Callable[..., Product]) -> None:
    product = make_product(SCHEDULES_MISFIRE_THRESHOLD=str(THRESHOLD))
    product.start("redis", "rqscheduler", *WORKERS)
    start = int(time.time()) + 4
    given = schedules(start)
    created = product.client(
        f"import sys; sys.argv = ['', {json.dumps(json.dumps([start, given]))}]\n{CREATE}"
    )
    assert created.stdout.strip() == str(len(given)), created.stderr[-3000:]

    wait_for(lambda: time.time() > start + 4.2, seconds=10)
    product.end("rqscheduler", signal.SIGKILL)
    down_at = time.time()
    for worker in WORKERS:
        product.processes[worker].send_signal(signal.SIGTERM)  # all at once: each finishes what it runs
    for worker in WORKERS:
        assert product.processes.pop(worker).wait(timeout=20) == 0
    product.end("redis", signal.SIGKILL)
    wait_for(lambda: time.time() > down_at + OUTAGE, seconds=10)
    late_before = time.time() - THRESHOLD
    product.start("redis", "rqscheduler", *WORKERS)
    up_at = time.time()
    wait_for(lambda: time.time() > up_at + 5, seconds=10)
    stopped = product.client(
        "from schedules.models import Schedule\nSchedule.objects.update(enabled=False)\n"
        "from schedules.sync import Synchronizer\nSynchronizer().reconcile()"
    )
    assert stopped.returncode == 0, stopped.stderr
    wait_for(
        lambda: all(row["status"] not in {"queued", "running"} for row in rows(product)) and rows(product),
        seconds=30,
        what=f"every run has ended: {[r for r in rows(product) if r['status'] in {'queued', 'running'}]}",
    )
    check(product, start, (down_at, late_before, up_at))


def check(product: Product, start: int, outage: tuple[float, float, float]) -> None:
    """Compare the ledger with what each policy promises. The outage: its begin, what is late before, its end."""
    down_at, late_before, up_at = outage
    ledger: dict[str, list[dict[str, Any]]] = {}
    for row in rows(product):
        row["slot"] = unix(row["scheduled_for"])
        ledger.setdefault(row["schedule_name"], []).append(row)

    def slots(name: str, *statuses: str) -> list[int]:
        return [row["slot"] for row in ledger.get(name, []) if not statuses or row["status"] in statuses]

    for name, found in ledger.items():
        step = {"jitter": 3, "overlap: replace": 2}.get(name, 1)
        first = start + 6 if name == "starts in the outage" else start
        if given_kind(name) != "once":
            assert slots(name) == list(range(first, slots(name)[-1] + 1, step)), (
                f"{name}: a gap, or one twice"
            )
        assert all(row["reason"] for row in found if row["status"] != "succeeded"), name
        print(f"{name:>22}: " + " ".join(f"{row['slot'] - start}{row['status'][:2]}" for row in found))

    late = {slot for slot in slots("late: all") if down_at + 0.5 < slot < late_before}
    assert late, "slots that were due while nothing ran"
    assert [(row["status"], row["trigger"]) for row in ledger["late: one"]] == [("succeeded", "catchup")]
    assert slots("late: none", "missed") == slots("late: none") == [start + 6]
    assert late <= set(slots("late: newest", "missed")), "those after them were on time"
    assert slots("late: all", "succeeded") == slots("late: all")
    assert {row["slot"] for row in ledger["late: all"] if row["trigger"] == "catchup"} >= late
    missed = slots("late: window", "missed")
    assert missed
    assert set(missed) < set(slots("late: newest", "missed")), "the window is longer than the threshold"
    assert any(row["trigger"] == "catchup" for row in ledger["late: window"])

    assert len(slots("at most 6", "succeeded")) == len(slots("at most 6")) == 6
    assert slots("ends in the outage", "succeeded") == list(range(start, start + 6))
    assert slots("starts in the outage")[0] == start + 6

    for row in ledger["jitter"]:
        wait = jitter_seconds(row["job_id"].rpartition("_")[0], datetime.fromtimestamp(row["slot"], UTC), 2)
        enqueued = datetime.fromisoformat(row["enqueued_at"]).replace(tzinfo=UTC).timestamp()
        assert enqueued >= row["slot"]
        # Of slots that are caught up with together, only the first has its very own delay.
        if not down_at - 3 < row["slot"] < up_at + 1:
            assert -0.01 <= enqueued - (row["slot"] + wait) < 2.5

    for name in ("overlap: skip", "overlap: one", "overlap: in order"):
        ran = sorted(
            (row["started_at"], row["finished_at"]) for row in ledger[name] if row["status"] == "succeeded"
        )
        assert len(ran) >= 3
        assert all(ended <= began for (_, ended), (began, _) in pairwise(ran)), f"{name}: two at once"
    for name in ("overlap: skip", "overlap: one"):
        assert any("overlap policy" in row["reason"] for row in ledger[name] if row["status"] == "skipped")
    assert len(slots("overlap: in order", "succeeded")) == len(slots("overlap: in order")) == 4
    replaced = [row for row in ledger["overlap: replace"] if row["status"] == "canceled"]
    assert replaced
    assert all("overlap policy terminate_other" in row["reason"] for row in replaced)

    (tried,) = ledger["tried again"]
    assert (tried["status"], tried["attempt"], tried["result"]) == ("succeeded", 3, "recovered")
    first, second, third = [run.at for run in product.ran("tried again")]
    # RQ keeps the moment of a retry in whole seconds, rounded down.
    assert second - first >= 2 - 1
    assert third - second >= 3 - 1
    (long,) = ledger["too long"]
    assert (long["status"], long["reason"]) == ("failed", "It ran longer than its timeout of 1 s.")

    kept = [product.redis.ttl(f"rq:job:{row['job_id']}") for row in ledger["kept for ever"]]
    assert kept == [-1, -1]
    assert not product.redis.exists(*(f"rq:job:{row['job_id']}" for row in ledger["kept for a second"]))
    assert {row["queue"] for row in ledger["another queue"]} == {"low"}
    assert {len(ledger[name]) for name in ("another queue", "kept for ever", "kept for a second")} == {2}
