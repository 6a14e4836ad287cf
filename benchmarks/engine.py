"""Dispatching what is due at once: the engine and stock rq-scheduler, on one Redis, in one run.

    python -m benchmarks.engine [--sizes 1000 10000 100000] [--rounds 3]

Prints jobs per second, the ratio to stock, the longest that one call held Redis (a second client's PING), and the
memory of a queued job against RQ's own. Everything is on: events, overlap, jitter, retries.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import redis as redis_py

from benchmarks.setting import configured

STOCK_LIMIT = 10_000
"""Stock is measured up to here; its cost per job does not fall beyond."""


def specs(count: int, kind: str):
    """Return schedules of which one slot each is due a few seconds ago."""
    from schedules.spec import Plan, ScheduleSpec
    from schedules.timing import CronTrigger, IntervalTrigger

    past = datetime.now(UTC) - timedelta(seconds=30)
    minutes = ("*/5 * * * *", "0 * * * *", "30 4 * * mon-fri", "*/10 8-18 * * *", "15 3 1 * *")
    for number in range(count):
        trigger = (
            IntervalTrigger(every=3600, anchor=past)
            if kind == "interval"
            else CronTrigger(expression=minutes[number % 5], timezone="Europe/Paris")
        )
        yield ScheduleSpec(
            id=str(UUID(int=number + 1)),
            name=f"schedule {number}",
            func="tests.support.jobs.add",
            args=(number, 2),
            plan=Plan(trigger=trigger, jitter=10),
            retry_max=3,
            retry_intervals=(10, 20, 40),
        )


@contextmanager
def pinging(server) -> Iterator[list[float]]:
    """Measure how long a second client's PING takes while the block runs, in a process of its own."""
    import multiprocessing

    path = server.client().connection_pool.connection_kwargs["path"]
    parent, child = multiprocessing.Pipe()

    def ping() -> None:
        client = redis_py.Redis(unix_socket_path=path)
        longest: list[float] = []
        while not child.poll():
            began = time.perf_counter()
            client.ping()
            longest.append(time.perf_counter() - began)
            time.sleep(0.0002)
        child.send([*sorted(longest, reverse=True)[:20], statistics.median(longest)])

    process = multiprocessing.get_context("fork").Process(target=ping)
    process.start()
    figures: list[float] = []
    try:
        yield figures
    finally:
        parent.send("stop")
        figures.extend(parent.recv())
        process.join()


def make_due(client) -> None:
    """Make every entry due five seconds ago, whatever its expression says."""
    from schedules.engine import keys

    due = int(time.time()) - 5
    members = [member for member, _ in client.zscan_iter(keys.SCHEDULED, count=5000)]
    for start in range(0, len(members), 1000):
        with client.pipeline(transaction=False) as pipe:
            chunk = members[start : start + 1000]
            pipe.zadd(keys.SCHEDULED, dict.fromkeys(chunk, due))
            for member in chunk:
                pipe.set(keys.state(member.decode()), f"0123456789abcdef {due} - 0")
            pipe.execute()


def ours(server, count: int, kind: str) -> tuple[float, float, list[float]]:
    """Return seconds to register, seconds to dispatch and PING times."""
    import django_rq

    client = server.client()
    client.flushall()
    scheduler = django_rq.get_scheduler("default", connection=client)
    began = time.perf_counter()
    scheduler.register(specs(count, kind))
    registering = time.perf_counter() - began
    make_due(client)
    with pinging(server) as pings:
        time.sleep(0.2)
        began = time.perf_counter()
        for _ in scheduler.dispatcher.run_backlog(lambda: False):
            pass
        dispatching = time.perf_counter() - began
    queued = client.llen("rq:queue:default")
    assert queued == count, f"{queued} of {count} queued"
    return registering, dispatching, pings


def stock(server, count: int, kind: str) -> tuple[float, float]:
    """Return the same for rq-scheduler as it comes."""
    import rq_scheduler

    client = server.client()
    client.flushall()
    scheduler = rq_scheduler.Scheduler(connection=client)
    began = time.perf_counter()
    for number in range(count):
        if kind == "interval":
            scheduler.schedule(
                datetime.now(UTC) - timedelta(seconds=5),
                "tests.support.jobs.add",
                args=[number, 2],
                interval=3600,
                id=str(UUID(int=number + 1)),
            )
        else:
            scheduler.cron(
                "*/5 * * * *", "tests.support.jobs.add", args=[number, 2], id=str(UUID(int=number + 1))
            )
    registering = time.perf_counter() - began
    members = client.zrange(scheduler.scheduled_jobs_key, 0, -1)
    client.zadd(scheduler.scheduled_jobs_key, dict.fromkeys(members, int(time.time()) - 5))
    began = time.perf_counter()
    scheduler.enqueue_jobs()
    dispatching = time.perf_counter() - began
    queued = client.llen("rq:queue:default")
    assert queued == count, f"{queued} of {count} queued"
    return registering, dispatching


def memory_of_a_job(server) -> tuple[float, float]:
    """Return the bytes of a queued job: ours, and RQ's own."""
    import django_rq

    ours(server, 100, "interval")
    client = server.client()
    queue = django_rq.get_queue("default", connection=client)
    mine = statistics.mean(
        client.memory_usage(f"rq:job:{job_id.decode()}")
        for job_id in client.lrange("rq:queue:default", 0, -1)
    )
    job = queue.enqueue_call("tests.support.jobs.add", args=(1, 2))
    return mine, client.memory_usage(f"rq:job:{job.id}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many rounds (default: 3)")
    options = parser.parse_args()
    with configured() as server:
        print(
            f"{'':10} {'due':>8} {'ours/s':>10} {'stock/s':>10} {'ratio':>7}  {'us/job':>7}  "
            f"{'longest PING ms':>16}  register ratio"
        )
        for kind in ("interval", "cron"):
            for size in options.sizes:
                mine = [ours(server, size, kind) for _ in range(options.rounds)]
                theirs = [stock(server, min(size, STOCK_LIMIT), kind) for _ in range(options.rounds)]
                dispatch = statistics.median(row[1] for row in mine) / size
                rival = statistics.median(row[1] for row in theirs) / min(size, STOCK_LIMIT)
                register = statistics.median(row[0] for row in mine) / size
                rival_register = statistics.median(row[0] for row in theirs) / min(size, STOCK_LIMIT)
                held = statistics.median(row[2][0] for row in mine) * 1000
                print(
                    f"{kind:10} {size:8} {1 / dispatch:10.0f} {1 / rival:10.0f} {rival / dispatch:7.1f}  "
                    f"{dispatch * 1e6:7.1f}  {held:16.2f}  {rival_register / register:6.1f} ({1 / register:.0f}/s)"
                )
        mine_bytes, rq_bytes = memory_of_a_job(server)
        print(
            f"memory of a queued job: {mine_bytes:.0f} bytes, RQ's own {rq_bytes} ({mine_bytes / rq_bytes:.2f})"
        )


if __name__ == "__main__":
    main()
