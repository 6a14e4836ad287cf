"""The keeper's throughput: events on the stream into rows, on the database that the settings name.

    python -m benchmarks.keeper [--events 60000] [--schedules 200]
    TEST_DATABASE_URL=postgres://... python -m benchmarks.keeper

A third each of the events are `queued` (250 in one, as the move writes them), `started` and `ended` (one to a
record, as workers write them). Prints events per second beside their target, and what a keeper with nothing to do
costs: the CPU of its process, and the commands that Redis counts, those inside of scripts included.
"""

from __future__ import annotations

import argparse
import json
import resource
import threading
import time
from uuid import UUID

from benchmarks.setting import configured

IDLE_SECONDS = 30
TARGETS = {"postgresql": 5000, "sqlite": 3000}
"""Events per second."""
MOST_IDLE_CPU = 0.6
"""Seconds a minute, or one percent of a core: less than anybody would find."""
MOST_IDLE_COMMANDS = 60
"""A minute."""


def fill(client, count: int, schedules: int) -> int:
    """Put events of `count / 3` runs on the stream; return how many events."""
    from schedules.engine import keys

    runs = count // 3
    now = int(time.time())
    jobs = [f"{UUID(int=n % schedules + 1)}_{now + n // schedules}" for n in range(runs)]

    def records():
        for start in range(0, runs, 250):
            yield [{"e": "queued", "js": jobs[start : start + 250], "t": "schedule", "q": "default"}]
        for start in range(0, runs, 250):
            for job in jobs[start : start + 250]:
                yield [
                    {
                        "e": "started",
                        "j": job,
                        "q": "default",
                        "w": "w" * 32,
                        "n": 1,
                        "f": "tests.support.jobs.add",
                    }
                ]
            for job in jobs[start : start + 250]:
                yield [
                    {
                        "e": "ended",
                        "j": job,
                        "st": "succeeded",
                        "n": 1,
                        "w": "w" * 32,
                        "res": "42",
                        "out": "x" * 200,
                    }
                ]

    pipe = client.pipeline(transaction=False)
    for number, events in enumerate(records()):
        pipe.xadd(keys.EVENTS, {"at": f"{now:.6f}", "events": json.dumps(events)})
        if number % 1000 == 999:
            pipe.execute()
    pipe.execute()
    return runs * 3


def drained(client, count: int, schedules: int) -> float:
    """Return the seconds until the ledger has all events."""
    from schedules.engine import keys
    from schedules.keeper import Keeper
    from schedules.models import Run, Schedule

    client.flushall()
    Run.objects.all().delete()
    Schedule.objects.all().delete()
    Schedule.objects.bulk_create(
        Schedule(id=UUID(int=n + 1), name=f"schedule {n}", func="tests.support.jobs.add", interval=60)
        for n in range(schedules)
    )
    events = fill(client, count, schedules)
    stop = threading.Event()
    keeper = Keeper(client)
    thread = threading.Thread(target=keeper.run, args=(stop,))
    began = time.perf_counter()
    thread.start()
    while Run.objects.filter(status="succeeded").count() < events // 3:
        time.sleep(0.05)
    took = time.perf_counter() - began
    stop.set()
    thread.join()
    assert Run.objects.count() == events // 3, Run.objects.count()
    assert client.xlen(keys.EVENTS) == 0
    return took


def idle(client) -> tuple[float, float]:
    """Return CPU seconds and Redis commands a minute of a keeper with nothing to do."""
    from schedules.keeper import Keeper

    stop = threading.Event()
    thread = threading.Thread(target=Keeper(client).run, args=(stop,))
    thread.start()
    time.sleep(15)  # what it does at the start is over
    before = client.info("stats")["total_commands_processed"]
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(IDLE_SECONDS)
    after = client.info("stats")["total_commands_processed"] - 1
    spent = resource.getrusage(resource.RUSAGE_SELF)
    stop.set()
    thread.join()
    seconds = spent.ru_utime + spent.ru_stime - cpu.ru_utime - cpu.ru_stime
    return seconds * 60 / IDLE_SECONDS, (after - before) * 60 / IDLE_SECONDS


def on(connection) -> str:
    """Say what the database is, and whether it waits for the disk."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            return "sqlite"
        cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        return "postgresql (fsync {}, synchronous_commit {})".format(*cursor.fetchone())


def verdict(missed: bool) -> str:
    """Say whether a target was met."""
    return "MISSED" if missed else "met"


def main() -> int:
    """Print the figures; return 1 if one misses its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many (default: 3)")
    parser.add_argument("--no-idle", action="store_true", help="leave out what it costs at rest")
    options = parser.parse_args()
    with configured() as server:
        import logging

        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        logging.disable(logging.INFO)
        databases = setup_databases(verbosity=0, interactive=False)
        try:
            client = server.client()
            rates = sorted(
                options.events / drained(client, options.events, options.schedules)
                for _ in range(options.rounds)
            )
            rate, target = rates[len(rates) // 2], TARGETS[connection.vendor]
            missed = rate < target
            rounds = ", ".join(f"{r:,.0f}" for r in rates)
            print(f"{on(connection)}: {rate:,.0f} events/s ({rounds}); target {target:,}: {verdict(missed)}")
            if not options.no_idle:
                cpu, commands = idle(client)
                costly = cpu > MOST_IDLE_CPU or commands > MOST_IDLE_COMMANDS
                print(
                    f"at rest, a minute: {cpu:.2f} s of CPU and {commands:.0f} Redis commands; "
                    f"target {MOST_IDLE_CPU} s and {MOST_IDLE_COMMANDS}: {verdict(costly)}"
                )
                missed |= costly
            return int(missed)
        finally:
            teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    raise SystemExit(main())
