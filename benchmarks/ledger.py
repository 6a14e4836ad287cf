"""The questions that the ledger answers, asked of a long one, on the database that the settings name.

    python -m benchmarks.ledger --rows 1000000
    TEST_DATABASE_URL=postgres://... python -m benchmarks.ledger --rows 10000000 [--keep]

The rows are a month of schedules that run each minute, made by the database itself in a database of their own, which
is dropped in the end. Prints for each question the median time beside its target and the steps of the plan; ends with
status 1 when a target is missed or a plan reads the whole table.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.setting import configured

MINUTES = 30 * 24 * 60
NOW = datetime.now(UTC).replace(microsecond=0)
ROUNDS = 5
STATUS = """CASE WHEN n >= {rows} - 50 THEN 'running' WHEN n >= {rows} - 100 THEN 'queued'
    WHEN n % 1000 < 970 THEN 'succeeded' WHEN n % 1000 < 980 THEN 'failed' WHEN n % 1000 < 985 THEN 'abandoned'
    WHEN n % 1000 < 995 THEN 'skipped' ELSE 'missed' END"""
COLUMNS = {
    "schedule_id": "{uuid}",
    "schedule_name": "'schedule ' || (n % {schedules})",
    "scheduled_for": "{at}",
    "slots": "1",
    "trigger": "'schedule'",
    "status": "status",
    "reason": "CASE WHEN status = 'succeeded' THEN '' ELSE 'ValueError: no such customer' END",
    "func": "'tests.support.jobs.add'",
    "payload": """'{{"args":[1,2],"kwargs":{{}}}}'""",
    "queue": "'default'",
    "job_id": "{uuid} || '_' || unix",
    "worker": "'w1'",
    "attempt": "1",
    "enqueued_at": "{at}",
    "started_at": "CASE WHEN status IN ('queued', 'skipped', 'missed') THEN NULL ELSE {at} END",
    "finished_at": "CASE WHEN status IN ('queued', 'running', 'skipped', 'missed') THEN NULL ELSE {at} END",
    "delay": "CASE WHEN status IN ('queued', 'skipped', 'missed') THEN NULL ELSE (n % 1009 * 7919 % 1000) / 2000.0 END",
    "duration": "CASE WHEN status IN ('succeeded', 'failed', 'abandoned') THEN (n % 10007 * 7919 % 10007) / 1000.0 END",
    "result": "'42'",
    "exception": "''",
    "traceback": "CASE WHEN status = 'failed' THEN {traceback} ELSE '' END",
    "output": "{output}",
    "started_by": "''",
}
DIALECTS = {
    "postgresql": {
        "numbers": "generate_series(0, {rows} - 1) AS n",
        "uuid": "lpad(to_hex(n % {schedules} + 1), 32, '0')::uuid",
        "at": "to_timestamp(unix)",
        "traceback": "repeat('x', 2000)",
        "output": "repeat('x', 200)",
    },
    "sqlite": {
        "numbers": "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {rows} - 1) "
        "SELECT n FROM s)",
        "uuid": "printf('%%032x', n % {schedules} + 1)",
        "at": "strftime('%%Y-%%m-%%d %%H:%%M:%%S', unix, 'unixepoch')",
        "traceback": "printf('%%.2000c', 'x')",
        "output": "printf('%%.200c', 'x')",
    },
}
INDEXES = {
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'schedules_run' "
    "AND indexname NOT IN (SELECT conname FROM pg_constraint)",
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'schedules_run' AND type = 'index' "
    "AND sql IS NOT NULL",
}


def fill(connection, rows: int) -> int:
    """Write so many rows, the indexes after them, as that is faster; return of how many schedules they are."""
    from schedules.models import Run, Schedule

    schedules = max(1, rows // MINUTES)
    dialect = DIALECTS[connection.vendor]
    first = int(NOW.timestamp()) - (rows // schedules) * 60
    facts = {"rows": rows, "schedules": schedules}
    facts |= {name: text.format(**facts) for name, text in dialect.items()}
    columns = {name: text.format(**facts).replace("%%", "%") for name, text in COLUMNS.items()}
    Schedule.objects.bulk_create(
        Schedule(id=UUID(int=n + 1), name=f"schedule {n}", func="tests.support.jobs.add", interval=60)
        for n in range(schedules)
    )
    with connection.cursor() as cursor:
        cursor.execute(INDEXES[connection.vendor])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(
            f"INSERT INTO {Run._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM "
            f"(SELECT n, {first} + (n / {schedules}) * 60 AS unix, {STATUS.format(**facts)} AS status "
            f"FROM {facts['numbers']}) AS made"
        )
        for _, definition in indexes:
            cursor.execute(definition)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE schedules_run")  # as the server does by itself, some minutes later
        else:
            cursor.execute("PRAGMA optimize")
    return schedules


def questions():
    """Return each question with the milliseconds that it may take."""
    from schedules.admin.figures import figures_of, forget_figures
    from schedules.models import Run, Schedule

    runs = Run.objects
    schedule = Schedule.objects.get(pk=UUID(int=3))
    day = NOW - timedelta(days=1)

    def figures(window: str):
        forget_figures()
        return figures_of(window, NOW)

    return {
        "the newest 50 runs": (50, lambda: list(runs.order_by("-scheduled_for", "-id")[:50])),
        "the last 50 runs of a schedule": (50, lambda: list(runs.last_of(schedule)[:50])),
        "the newest 100 failures of the last day": (50, lambda: list(runs.failed_since(day)[:100])),
        "how many failed in the last day": (50, lambda: runs.failed_since(day).count()),
        "what is running now": (50, lambda: list(runs.running())),
        "slots missed in a day, a week ago": (
            100,
            lambda: list(runs.missed_between(NOW - timedelta(days=7), NOW - timedelta(days=6))[:1000]),
        ),
        "rate, p50, p95 of a schedule's day": (50, lambda: runs.statistics(schedule, day)),
        "rate, p50, p95 of a schedule's month": (
            200,
            lambda: runs.statistics(schedule, NOW - timedelta(days=30)),
        ),
        "the dashboard's figures of a month": (500, lambda: figures("month")),
    }


def asked(connection, question) -> tuple[float, str]:
    """Return the milliseconds that a question takes, and the steps of the plan that read tables."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        question()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        question()
        times.append((time.perf_counter() - began) * 1000)
    assert len(captured.captured_queries) == 1, [query["sql"][:200] for query in captured.captured_queries]
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute(explain + captured.captured_queries[0]["sql"].replace("%", "%%"))
        lines = [str(row[-1]) for row in cursor.fetchall()]
    steps = [
        found[0]
        for line in lines
        if (found := re.search(r"(?:\w+ )*?\w*Scan .*?(?=  \()|(?:SEARCH|SCAN) .*", line))
    ]
    return statistics.median(times), "; ".join(steps)


def reads_all(plan: str) -> bool:
    """Tell whether a plan goes through the whole table."""
    return "Seq Scan" in plan or ("SCAN " in plan and "USING" not in plan)


def main() -> int:
    """Print the figures; return 1 if one misses its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="(default: 1,000,000)")
    parser.add_argument(
        "--keep", action="store_true", help="leave the database, and measure on the one that was left"
    )
    options = parser.parse_args()
    failed = False
    with configured():
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        from schedules.models import Run

        databases = setup_databases(
            verbosity=0, interactive=False, keepdb=options.keep, serialized_aliases=()
        )
        try:
            if not Run.objects.exists():
                began = time.perf_counter()
                schedules = fill(connection, options.rows)
                print(
                    f"{options.rows:,} rows of {schedules} schedules made in {time.perf_counter() - began:.0f} s"
                )
            print(f"{connection.vendor}, {Run.objects.count():,} rows")
            for name, (target, question) in questions().items():
                took, plan = asked(connection, question)
                missed = took > target or reads_all(plan)
                failed |= missed
                print(
                    f"{name:42} {took:8.1f} ms  target {target} ms: {'MISSED' if missed else 'met'}\n"
                    f"{'':6}{plan}"
                )
        finally:
            if not options.keep:
                teardown_databases(databases, verbosity=0)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
