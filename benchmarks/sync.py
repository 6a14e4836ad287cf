"""Bringing 10,000 new rows to Redis: `sync_schedules`, and stock's `schedule()` in a loop over them, in one run.

    python -m benchmarks.sync [--schedules 10000] [--rounds 3]
    TEST_DATABASE_URL=postgres://... python -m benchmarks.sync

Ours reads every row from the database, checks it, registers it and notes its next run. Stock is handed the same rows by
the ORM and calls `schedule()` or `cron()`. Half of the rows are intervals, half cron expressions. Printed, too:
comparing when nothing differs, as the keeper does every 30 s, and its commands.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.setting import configured

FUNC = "tests.support.jobs.add"


def rows(count: int):
    """Yield schedules that are due in a while."""
    from schedules.models import Schedule

    minutes = ("*/5 * * * *", "0 * * * *", "30 4 * * mon-fri", "*/10 8-18 * * *", "15 3 1 * *")
    for n in range(count):
        when = {"interval": 3600} if n % 2 else {"kind": "cron", "cron": minutes[n // 2 % 5]}
        yield Schedule(
            id=UUID(int=n + 1), name=f"schedule {n}", func=FUNC, args=[n, 2], timezone="Europe/Paris", **when
        )


def ours(client) -> tuple[float, float, int]:
    """Return the seconds of the command, of a compare when nothing differs, and the commands of that."""
    from django.core.management import call_command

    from schedules.engine import keys
    from schedules.models import Schedule
    from schedules.sync import Synchronizer

    client.flushall()
    Schedule.objects.update(next_run_at=None)
    began = time.perf_counter()
    call_command("sync_schedules", verbosity=0, stdout=io.StringIO())
    syncing = time.perf_counter() - began
    assert client.zcard(keys.SCHEDULED) == Schedule.objects.count()
    synchronizer = Synchronizer()
    synchronizer.compare()
    before = client.info("stats")["total_commands_processed"]
    began = time.perf_counter()
    assert synchronizer.compare().is_empty
    comparing = time.perf_counter() - began
    return syncing, comparing, client.info("stats")["total_commands_processed"] - before - 1


def stock(client) -> float:
    """Return the seconds that rq-scheduler takes for the same rows."""
    import rq_scheduler

    from schedules.models import Schedule

    client.flushall()
    scheduler = rq_scheduler.Scheduler(connection=client)
    due = datetime.now(UTC) + timedelta(hours=1)
    began = time.perf_counter()
    for row in Schedule.objects.all():
        if row.kind == "cron":
            scheduler.cron(row.cron, row.func, args=row.args, id=str(row.pk))
        else:
            scheduler.schedule(due, row.func, args=row.args, interval=row.interval, id=str(row.pk))
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many (default: 3)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    count = options.schedules
    with configured() as server:
        import logging

        from django.conf import settings
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        from schedules.models import Schedule

        logging.disable(logging.INFO)
        settings.SCHEDULES_ALLOWED_TARGETS = ["tests.support.jobs"]
        databases = setup_databases(verbosity=0, interactive=False)
        try:
            Schedule.objects.bulk_create(rows(count), batch_size=1000)
            client = server.client()
            rounds = [(ours(client), stock(client)) for _ in range(options.rounds)]
        finally:
            teardown_databases(databases, verbosity=0)
    ratio = statistics.median(theirs / mine[0] for mine, theirs in rounds)
    syncing, comparing, commands = (statistics.median(mine[n] for mine, _ in rounds) for n in range(3))
    rival = statistics.median(theirs for _, theirs in rounds)
    is_met = ratio >= 5
    print(
        f"{connection.vendor}: sync of {count:,} new rows {syncing:.2f} s, stock's loop over them {rival:.2f} s: "
        f"{ratio:.1f} times (target 5 at least: {'met' if is_met else 'MISSED'}); nothing to do: {comparing:.2f} s, "
        f"{commands:.0f} Redis commands"
    )
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
