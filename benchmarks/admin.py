"""The pages of the admin on a long ledger: milliseconds at the server, queries, round trips to Redis.

    python -m benchmarks.admin [--schedules 10000] [--runs 1000000] [--rounds 7]
    TEST_DATABASE_URL=postgres://... python -m benchmarks.admin

A figure is the median of the rounds, after two that are not counted; the page is rendered in full, and asked for by a
superuser through Django's own handler and middleware. `--keep` leaves the rows for the next time, which then only
measures. Ends with status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.setting import configured

FUNC = "tests.support.jobs.add"


@dataclass(frozen=True)
class Page:
    """One address, and what it may cost."""

    name: str
    url: str
    ms: int | None = None
    queries: int | None = None
    redis: int = 1


def fill(schedules: int, runs: int) -> None:
    """Make schedules of all sorts, and the ledger that they leave: the same number of runs of each."""
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from schedules.models import Run, Schedule

    now = timezone.now().replace(microsecond=0)
    kinds = [
        {"kind": "interval", "interval": 60},
        {"kind": "interval", "interval": 3600},
        {"kind": "cron", "cron": "*/20 * * * *", "interval": None, "timezone": "Europe/Berlin"},
        {"kind": "cron", "cron": "30 4 * * mon-fri", "interval": None, "timezone": "America/New_York"},
    ]
    Schedule.objects.bulk_create(
        (
            Schedule(
                name=f"schedule {n:05}",
                description=f"What number {n} is for.",
                func=FUNC,
                args=[n, 1],
                tags=[f"team-{n % 9}", *(["prod"] if n % 3 else [])],
                queue=("default", "high", "low")[n % 3],
                created_at=now - timedelta(days=60),
                next_run_at=now + timedelta(seconds=n % 7200),
                last_run_at=now - timedelta(seconds=n % 7200),
                last_status="failed" if n % 50 == 0 else "succeeded",
                failures_in_a_row=n // 50 % 4 if n % 50 == 0 else 0,
                alarm="failing" if n % 100 == 0 else "",
                enabled=n % 40 != 1,
                paused_at=now if n % 60 == 2 else None,
                **kinds[n % 4],
            )
            for n in range(schedules)
        ),
        batch_size=500,
    )
    Run.objects.all().delete()
    each = runs // schedules
    moment, series, number = {
        "postgresql": (
            "to_timestamp({})",
            "generate_series(0, {}) AS n(i)",
            "(('x' || substr(md5(s.id::text), 1, 6))::bit(24)::int)",
        ),
        "sqlite": (
            "datetime({}, 'unixepoch')",
            "(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n) AS n",
            "(s.rowid * 7919)",
        ),
    }[connection.vendor]
    # The newest is a few minutes old, the oldest some weeks: each schedule by its own clock.
    slot = f"{int(now.timestamp())} - {number} % 1800 - n.i * 1800"
    values = {
        "schedule_id": "s.id",
        "schedule_name": "s.name",
        "scheduled_for": moment.format(slot),
        "enqueued_at": moment.format(slot),
        "started_at": moment.format(f"{slot} + 1"),
        "finished_at": moment.format(f"{slot} + 4"),
        "delay": "1.0",
        "duration": "3.0 + n.i % 5",
        "slots": "1",
        "attempt": "1",
        "trigger": "'schedule'",
        "status": f"CASE WHEN ({number} + n.i) % 100 = 0 THEN 'failed' WHEN ({number} + n.i) % 97 = 0 THEN 'skipped' "
        "ELSE 'succeeded' END",
        "reason": f"CASE WHEN ({number} + n.i) % 97 = 0 THEN 'The run before is still running.' ELSE '' END",
        "exception": f"CASE WHEN ({number} + n.i) % 100 = 0 THEN 'ValueError: orders table is locked' ELSE '' END",
        "func": "s.func",
        "payload": '\'{"args": [1, 1], "kwargs": {}}\'',
        "queue": "s.queue",
        "job_id": "CAST(s.id AS varchar(40)) || '_' || n.i",
        "worker": "'worker-' || n.i % 7",
        "result": "'42'",
        "traceback": "''",
        "output": "'12:00:01 INFO shop.jobs: 42 orders pulled'",
        "started_by": "''",
    }
    quoted = ", ".join(connection.ops.quote_name(name) for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO schedules_run ({quoted}) SELECT {', '.join(values.values())} "
            f"FROM schedules_schedule s CROSS JOIN {series.format(each - 1)}"
        )
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def pages() -> list[Page]:
    """Return what is measured, with the targets of the list, the first page and the runs."""
    from django.urls import reverse

    from schedules.models import Run, Schedule

    schedule = Schedule.objects.get(name="schedule 00004")
    run = Run.objects.filter(schedule=schedule, status="succeeded").earliest("scheduled_for")
    schedules, runs = (
        reverse("admin:schedules_schedule_changelist"),
        reverse("admin:schedules_run_changelist"),
    )
    change = reverse("admin:schedules_schedule_change", args=[schedule.pk])
    wanted = {"ms": 150, "queries": 8}
    return [
        Page("list", schedules, **wanted),
        Page("list, last page", f"{schedules}?p={-(-Schedule.objects.count() // 50)}", **wanted),
        Page("list, search", f"{schedules}?q=schedule+0123", **wanted),
        Page("list, needs attention", f"{schedules}?state=attention", **wanted),
        Page("list, running", f"{schedules}?state=running", **wanted),
        Page("list, paused", f"{schedules}?state=paused", **wanted),
        Page("list, one queue", f"{schedules}?queue=low", **wanted),
        Page("list, one tag", f"{schedules}?tag=team-3", **wanted),
        Page("list, by next run", f"{schedules}?o=3", **wanted),
        Page("list, by last run", f"{schedules}?o=-4", **wanted),
        Page("list, by failures", f"{schedules}?o=-5", **wanted),
        Page("dashboard, day", "/admin/schedules/", ms=500, queries=12),
        Page("dashboard, month", "/admin/schedules/?window=month", ms=500, queries=12),
        Page("runs, first page", runs, ms=150, queries=8),
        Page("runs, last page", f"{runs}?end=1", ms=150, queries=8),
        Page("runs, failed", f"{runs}?state=failed", ms=150, queries=8),
        Page("runs, failed, last page", f"{runs}?state=failed&end=1", ms=150, queries=8),
        Page("runs, skipped", f"{runs}?state=skipped", ms=150, queries=8),
        Page("runs of one schedule", f"{runs}?schedule={schedule.pk}", ms=150, queries=9),
        Page("runs of one schedule, last page", f"{runs}?schedule={schedule.pk}&end=1", ms=150, queries=9),
        Page("runs, one queue", f"{runs}?queue=low", ms=150, queries=8),
        Page("runs, one trigger that is rare", f"{runs}?trigger=manual", queries=8),
        Page("runs, search in errors", f"{runs}?q=orders+table", queries=8),
        Page("change page", change, ms=150),
        Page("run page", reverse("admin:schedules_run_change", args=[run.pk]), ms=150),
        Page(
            "preview",
            reverse("admin:schedules_schedule_preview") + "?kind=cron&cron=*/5+*+*+*+*&timezone=UTC",
        ),
        Page("pause all, the question", reverse("admin:schedules_schedule_pause_all")),
    ]


@contextmanager
def counted_trips() -> Iterator[list[int]]:
    """Count what is sent to Redis: a pipeline is one."""
    from redis.connection import AbstractConnection

    trips: list[int] = []
    send = AbstractConnection.send_packed_command

    def counting(connection, command, *args, **kwargs):
        trips.append(1)
        return send(connection, command, *args, **kwargs)

    AbstractConnection.send_packed_command = counting
    try:
        yield trips
    finally:
        AbstractConnection.send_packed_command = send


def measure(client, page: Page, rounds: int) -> tuple[float, int, int]:
    """Return milliseconds, queries and round trips to Redis."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from schedules.admin.figures import forget_figures

    for _ in range(2):
        client.get(page.url)
    forget_figures()
    with CaptureQueriesContext(connection) as queries, counted_trips() as trips:
        answer = client.get(page.url)
    cost = len(queries), len(trips)  # here: the next request empties the log of queries
    assert answer.status_code == 200, (page.url, answer.status_code)
    times = []
    for _ in range(rounds):
        forget_figures()
        began = time.perf_counter()
        client.get(page.url)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000, *cost


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7, help="the median of so many (default: 7)")
    parser.add_argument("--keep", action="store_true", help="leave the rows, and take those that are there")
    parser.add_argument("--only", default="", help="measure the pages whose name has this in it")
    options = parser.parse_args()
    missed = 0
    with configured():
        import logging

        from django.conf import settings
        from django.contrib.auth.models import User
        from django.db import connection
        from django.test import Client
        from django.test.utils import setup_databases, teardown_databases

        from schedules.models import Schedule

        logging.disable(logging.INFO)
        settings.DEBUG = False
        if options.keep and connection.vendor == "sqlite":
            kept = Path(tempfile.gettempdir()) / "schedules-benchmark.sqlite3"
            connection.settings_dict["TEST"]["NAME"] = kept
        databases = setup_databases(verbosity=0, interactive=False, keepdb=options.keep)
        try:
            if Schedule.objects.count() != options.schedules:
                began = time.perf_counter()
                Schedule.objects.all().delete()
                fill(options.schedules, options.runs)
                print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
            client = Client(SERVER_NAME="localhost")
            client.force_login(
                User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
            )
            print(f"{connection.vendor}: {options.schedules:,} schedules, {options.runs:,} runs")
            print(f"{'':34}{'ms':>8}{'queries':>9}{'Redis':>7}")
            for page in pages():
                if options.only not in page.name:
                    continue
                ms, queries, trips = measure(client, page, options.rounds)
                problems = [
                    text
                    for text, is_missed in (
                        (f"target {page.ms} ms", page.ms is not None and ms > page.ms),
                        (
                            f"target {page.queries} queries",
                            page.queries is not None and queries > page.queries,
                        ),
                        (f"target {page.redis} of Redis", trips > page.redis),
                    )
                    if is_missed
                ]
                missed += bool(problems)
                verdict = f"  MISSED: {', '.join(problems)}" if problems else "  met" if page.ms else ""
                print(f"{page.name:34}{ms:8.1f}{queries:9}{trips:7}{verdict}", flush=True)
        finally:
            if not options.keep:
                teardown_databases(databases, verbosity=0)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
