"""Dispatching what is due at once: the engine and stock rq-scheduler, on one Redis, in one run.

    python -m benchmarks.engine [--sizes 1000 10000 100000] [--rounds 3]

Prints jobs per second, the ratio to stock, the longest that one call held Redis (by its own slow log, and by a second
client's PING, which also waits for a core), and the memory of a queued job against RQ's own. Everything is on: events,
overlap, jitter, retries. Ours and stock take turns, and a ratio is the median of those of the rounds.

What a job costs with the largest number and with the smallest is compared with the same of a script that does only what
cannot be left out (COPY the job, ZADD the next time, RPUSH): Redis' own tables and lists grow out of the caches.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
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


def prepared(server, count: int, kind: str):
    """Return a scheduler with so many entries, all due, and the seconds it took to register them."""
    import django_rq

    client = server.client()
    client.flushall()
    scheduler = django_rq.get_scheduler("default", connection=client)
    everything = list(specs(count, kind))
    began = time.perf_counter()
    scheduler.register(everything)
    registering = time.perf_counter() - began
    make_due(client)
    return scheduler, registering


def dispatch(scheduler, count: int) -> float:
    """Return the seconds it takes to queue everything that is due."""
    began = time.perf_counter()
    for _ in scheduler.dispatcher.run_backlog(lambda: False):
        pass
    took = time.perf_counter() - began
    queued = scheduler.connection.llen("rq:queue:default")
    assert queued == count, f"{queued} of {count} queued"
    return took


def ours(server, count: int, kind: str) -> tuple[float, float]:
    """Return seconds to register and seconds to dispatch."""
    scheduler, registering = prepared(server, count, kind)
    return registering, dispatch(scheduler, count)


def medians(figures: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the median of each column."""
    return tuple(map(statistics.median, zip(*figures, strict=True)))


def held(server, count: int, kind: str) -> tuple[float, float, float]:
    """Return the longest that one call held Redis by its slow log, the longest PING, and that of an idle Redis; ms."""
    scheduler, _ = prepared(server, count, kind)
    with pinging(server) as idle:
        time.sleep(1)
    client = scheduler.connection
    client.config_set("slowlog-log-slower-than", 500)
    client.slowlog_reset()
    with pinging(server) as pings:
        time.sleep(0.2)
        dispatch(scheduler, count)
    longest = max((entry["duration"] for entry in client.slowlog_get(1000)), default=500)
    return longest / 1000, pings[0] * 1000, idle[0] * 1000


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


BARE = """
local scores = {}
for i = 2, #ARGV do
    redis.call('COPY', 'template:' .. ARGV[i], 'job:' .. ARGV[i])
    scores[#scores + 1] = ARGV[1] + math.random() * 10
    scores[#scores + 1] = ARGV[i]
end
redis.call('ZADD', 'scheduled', unpack(scores))
redis.call('RPUSH', 'queue', unpack(ARGV, 2))
"""


def bare(server, count: int) -> float:
    """Return the seconds for so many jobs of a script that copies, moves on and queues, and does nothing else."""
    client = server.client()
    client.flushall()
    ids = [str(UUID(int=number + 1)) for number in range(count)]
    job = {"origin": "default", "timeout": "180", "data": b"x" * 50, "status": "queued", "result_ttl": "500"}
    for start in range(0, count, 500):
        with client.pipeline(transaction=False) as pipe:
            for key in ids[start : start + 500]:
                pipe.hset(f"template:{key}", mapping=job)
                pipe.mset({f"plan:{key}": "x" * 120, f"state:{key}": "x" * 40})
            pipe.zadd("scheduled", dict.fromkeys(ids[start : start + 500], 1))
            pipe.execute()
    script = client.register_script(BARE)
    script(args=[1, *ids[:1]])
    began = time.perf_counter()
    for start in range(0, count, 160):
        script(args=[5000, *ids[start : start + 160]])
    return time.perf_counter() - began


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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many rounds (default: 3)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # stock's, of dates without a zone
    missed: list[str] = []

    def told(what: str, figure: float, *, least: float | None = None, most: float | None = None) -> str:
        target = f"{least:g} at least" if least is not None else f"{most:g} at most"
        is_met = (least is None or figure >= least) and (most is None or figure <= most)
        if not is_met:
            missed.append(what)
        return f"(target {target}: {'met' if is_met else 'MISSED'})"

    with configured() as server:
        for kind, least in (("interval", 25), ("cron", 20)):
            costs: list[float] = []
            for size in options.sizes:
                rivals = min(size, STOCK_LIMIT)
                again = 5 if size <= 1000 else 1  # what takes a few milliseconds needs more than one look
                rounds = [
                    (medians(ours(server, size, kind) for _ in range(again)), stock(server, rivals, kind))
                    for _ in range(options.rounds)
                ]
                ratio = statistics.median(theirs[1] / rivals / (mine[1] / size) for mine, theirs in rounds)
                registering = statistics.median(
                    theirs[0] / rivals / (mine[0] / size) for mine, theirs in rounds
                )
                cost = statistics.median(mine[1] for mine, _ in rounds) / size
                rival = statistics.median(theirs[1] for _, theirs in rounds) / rivals
                costs.append(cost)
                print(
                    f"{kind:8} {size:7,} due at once: {1 / cost:7,.0f} jobs/s ({cost * 1e6:.1f} us each), "
                    f"stock {1 / rival:5,.0f}/s: {ratio:.1f} times {told(f'{kind} {size}', ratio, least=least)}; "
                    f"registering {registering:.1f} times {told(f'registering {kind} {size}', registering, least=5)}",
                    flush=True,
                )
            floors = [
                statistics.median(bare(server, size) for _ in range(2 * options.rounds + 1)) / size
                for size in (options.sizes[0], options.sizes[-1])
            ]
            growth, unavoidable = costs[-1] / costs[0], floors[-1] / floors[0]
            slow, ping, idle = held(server, min(10_000, max(options.sizes)), kind)
            print(
                f"{kind:8} cost per job, largest to smallest number: {growth:.2f}, of the bare commands "
                f"{unavoidable:.2f} {told(f'{kind} growth', growth / unavoidable, most=1.2)}; longest call "
                f"{slow:.1f} ms {told(f'{kind} longest call', slow, most=5)}, longest PING {ping:.1f} ms (of an idle "
                f"Redis {idle:.1f} ms)",
                flush=True,
            )
        mine_bytes, rq_bytes = memory_of_a_job(server)
        share = mine_bytes / rq_bytes
        print(
            f"memory of a queued job: {mine_bytes:.0f} bytes, RQ's own {rq_bytes}: {share:.2f} times "
            f"{told('memory', share, most=1.3)}"
        )
    if missed:
        print("missed:", ", ".join(missed))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
