"""However a job ends, the ledger says so in words that an operator understands, and the next slot runs."""

from __future__ import annotations

import json
import re
import sqlite3
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.product import Product
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

JOBS = "tests.support.ending_jobs"
ENDINGS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # name: function, further columns, status, what the reason, the result or the output says
    "success": ("succeed", {}, "succeeded", "all is well"),
    "coroutine": ("succeed_later", {}, "succeeded", "well, later"),
    "exception": ("fail", {}, "failed", "ValueError: no such customer"),
    "timeout": ("run_too_long", {"timeout": 1}, "failed", "It ran longer than its timeout of 1 s."),
    "exit": ("exit_at_once", {}, "abandoned", "Its process ended itself with exit code 3"),
    "killed": ("be_killed", {}, "abandoned", r"killed by signal 9 \(SIGKILL\): out of memory"),
    "memory": ("eat_memory", {}, "failed", "MemoryError"),
    # RQ keeps the run and drops the result; the ledger shows what it was, and says so.
    "unserialisable": (
        *("return_what_cannot_be_stored", {}, "succeeded"),
        "It succeeded, but its result cannot be stored: .*pickle.*<function",
    ),
    "large result": ("return_much", {"result_ttl": 5}, "succeeded", "xxxxx"),
    "large output": ("print_much", {"timeout": 100}, "succeeded", "cut off.*that was much"),
    "odd output": ("print_bytes", {}, "succeeded", r"\\xff\\xfe\\x00 no text"),
    "missing module": (".gone.nothing", {}, "failed", "tests.support.gone"),
    "removed function": ("removed", {}, "failed", "removed"),
    "wrong arguments": ("take", {"kwargs": {"right": 1}}, "failed", "right"),
}


def rows(product: Product, name: str = "") -> list[dict[str, Any]]:
    """Return the rows of the ledger, of one schedule or all."""
    with sqlite3.connect(f"file:{product.folder}/db.sqlite3?mode=ro", uri=True, timeout=20) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(
            "SELECT * FROM schedules_run WHERE schedule_name = ? OR ? = '' ORDER BY scheduled_for",
            (name, name),
        )
        return [dict(row) for row in found]


def ran(product: Product, name: str) -> list[dict[str, Any]]:
    """Return the rows of the slots that were dispatched and have ended."""
    return [
        row for row in rows(product, name) if row["status"] not in {"queued", "running", "skipped", "missed"}
    ]


def add(product: Product, **schedules: dict[str, Any]) -> None:
    """Save rows past the validation, as a deploy that removes a function leaves them, and sync."""
    done = product.client(
        textwrap.dedent(
            f"""
            import json
            from datetime import timedelta
            from django.utils import timezone
            from schedules.models import Schedule
            now = timezone.now()
            rows = json.loads({json.dumps(json.dumps(schedules))})
            Schedule.objects.bulk_create(
                Schedule(name=name, starts_at=now + timedelta(seconds=1), **columns) for name, columns in rows.items()
            )
            """
        )
    )
    assert done.returncode == 0, done.stderr
    done = product.manage("sync_schedules")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def running(make_product: Callable[..., Product]) -> Product:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support")
    product.start("redis", "rqscheduler", "rqworker", "rqworker 2")
    return product


def test_every_ending_has_its_status_and_a_reason_and_the_next_slot_runs(running: Product) -> None:
    add(
        running,
        **{
            name: {
                "func": f"tests.support{func}" if func.startswith(".") else f"{JOBS}.{func}",
                "interval": 3,
                "max_runs": 2,
                **columns,
            }
            for name, (func, columns, _, _) in ENDINGS.items()
        },
    )
    for name, (_, _, status, words) in ENDINGS.items():
        both = wait_for(
            lambda name=name: len(ran(running, name)) == 2 and ran(running, name),
            seconds=120,
            what=f"two runs of {name}: {[(r['status'], r['reason']) for r in rows(running, name)]}",
        )
        for row in both:
            assert row["status"] == status, (name, row)
            told = row["reason"] + (row["result"] + row["output"] if status == "succeeded" else "")
            assert re.search(words, told, re.DOTALL), (name, told[:200], told[-200:])
            assert len(row["output"].encode()) <= 66_000
            assert len(row["result"]) <= 1000
            assert row["started_at"]
            assert row["finished_at"]
    with_traceback = rows(running, "exception")[0]
    assert "ending_jobs.py" in with_traceback["traceback"]
    assert (rows(running, "success")[0]["output"], rows(running, "success")[0]["reason"]) == ("working\n", "")


def test_a_run_whose_worker_is_killed_is_closed_and_the_next_slot_runs(running: Product) -> None:
    flag = running.folder / "killed"
    # On a queue of its own, so that the other worker goes on with the rest.
    add(running, **{"worker killed": {"func": f"{JOBS}.kill_the_worker", "args": [str(flag)], "interval": 3}})
    wait_for(flag.exists, seconds=30)
    began = time.monotonic()
    first = wait_for(lambda: ran(running, "worker killed"), seconds=90)[0]
    assert time.monotonic() - began < 90
    assert first["status"] == "abandoned"
    assert "no sign of life" in first["reason"]
    second = wait_for(
        lambda: len(ran(running, "worker killed")) > 1 and ran(running, "worker killed"), seconds=20
    )
    assert (second[1]["status"], second[1]["result"]) == ("succeeded", "second time")


def test_a_run_by_hand_streams_its_output_and_exits_as_it_ended(running: Product) -> None:
    running.ensure("rqworker", "rqworker 2")
    add(
        running,
        **{
            "by hand": {"func": f"{JOBS}.succeed", "interval": 0},
            "by hand 2": {"func": f"{JOBS}.fail", "interval": 0},
        },
    )
    done = running.manage("run_schedule", "by hand", "--wait")
    assert (done.returncode, done.stdout) == (0, "working\n"), done.stderr
    failed = running.manage("run_schedule", "by hand 2", "--wait")
    assert failed.returncode == 1
    assert "ValueError: no such customer" in failed.stderr
    (row,) = wait_for(lambda: ran(running, "by hand"), seconds=5)
    assert (row["trigger"], row["status"]) == ("manual", "succeeded")
    assert "command line" in row["started_by"]


def test_the_ledger_is_read_in_a_terminal(running: Product) -> None:
    common = {"interval": 2, "max_runs": 2}
    add(
        running,
        **{
            "shown failing": {
                "func": f"{JOBS}.{ENDINGS['exception'][0]}",
                **common,
                **ENDINGS["exception"][1],
            },
            "shown well": {"func": f"{JOBS}.{ENDINGS['success'][0]}", **common, **ENDINGS["success"][1]},
        },
    )
    for name in ("shown failing", "shown well"):
        wait_for(lambda name=name: len(ran(running, name)) == 2, seconds=60, what=name)
    listed = running.manage(
        "runs", "--schedule", "shown failing", "--status", "failed", "--since", "1d", "--json", "--fail"
    )
    assert listed.returncode == 1, "there are failures"
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [line["exception"] for line in lines] == ["ValueError: no such customer"] * 2
    plain = running.manage("runs", "--schedule", "shown well", "--fail")
    assert plain.returncode == 0
    assert "succeeded" in plain.stdout
    assert "\x1b" not in plain.stdout
    wrong = running.manage("runs", "--since", "yesterday")
    assert (wrong.returncode, "--since is 'yesterday'" in wrong.stderr) == (1, True)
