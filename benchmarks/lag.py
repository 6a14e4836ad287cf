"""How late a due job is in its queue: 200 schedules of one second, ours and stock at its best poll, in one run.

    python -m benchmarks.lag [--seconds 60] [--schedules 200]

A consumer in a process of its own takes each job from the queue and notes when; the slot is in the job's id. Also
printed: the drift (slots that are not anchor + n × interval).
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import redis as redis_py

from benchmarks.setting import configured


def consume(path: str, seconds: float, out) -> None:
    """Take jobs for so many seconds; send back (id, moment) of each."""
    client = redis_py.Redis(unix_socket_path=path)
    taken = []
    until = time.time() + seconds
    while time.time() < until:
        popped = client.blpop(["rq:queue:default"], timeout=0.5)
        now = time.time()
        if popped:
            taken.append((popped[1].decode(), now))
            for job_id in client.lpop("rq:queue:default", 1000) or []:
                taken.append((job_id.decode(), now))
    out.send(taken)


def measured(server, seconds: float, process: subprocess.Popen) -> list[tuple[str, float]]:
    """Return what a consumer took while a scheduler process ran."""
    path = server.client().connection_pool.connection_kwargs["path"]
    parent, child = multiprocessing.Pipe()
    consumer = multiprocessing.get_context("fork").Process(target=consume, args=(path, seconds, child))
    consumer.start()
    taken = parent.recv()
    consumer.join()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    return taken


def runner(code: str) -> subprocess.Popen:
    """Start a scheduler in a process of its own."""
    prelude = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'scheduler_project.settings'; "
        "import django; django.setup(); "
    )
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", prelude + code], stderr=subprocess.DEVNULL)


def percentiles(lags: list[float]) -> str:
    cuts = statistics.quantiles(lags, n=100)
    figures = (
        f"p50 {cuts[49] * 1000:6.1f} ms  p99 {cuts[98] * 1000:6.1f} ms  longest {max(lags) * 1000:6.1f} ms"
    )
    return f"{figures}  of {len(lags)}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--schedules", type=int, default=200)
    options = parser.parse_args()
    with configured() as server:
        import django_rq
        import rq_scheduler

        from schedules.engine.identity import identity_of
        from schedules.spec import Plan, ScheduleSpec
        from schedules.timing import IntervalTrigger

        client = server.client()
        scheduler = django_rq.get_scheduler("default", connection=client)
        process = runner("import django_rq; django_rq.get_scheduler('default').run()")
        time.sleep(3)
        anchor = datetime.now(UTC).replace(microsecond=0)
        scheduler.register(
            ScheduleSpec(
                id=str(UUID(int=n + 1)),
                name=f"schedule {n}",
                func="tests.support.jobs.add",
                args=(1,),
                plan=Plan(trigger=IntervalTrigger(every=1, anchor=anchor), overlap_policy="allow_all"),
            )
            for n in range(options.schedules)
        )
        taken = measured(server, options.seconds, process)
        lags, slots = [], {}
        for job_id, moment in taken:
            identity = identity_of(job_id)
            lags.append(moment - identity.scheduled_for.timestamp())
            slots.setdefault(identity.schedule_id, []).append(int(identity.scheduled_for.timestamp()))
        gaps = sum(
            b - a != 1
            for each in slots.values()
            for a, b in zip(sorted(each), sorted(each)[1:], strict=False)
        )
        print(f"ours   {percentiles(lags)}; slots out of phase, lost or doubled: {gaps}")

        client.flushall()
        stock = rq_scheduler.Scheduler(connection=client, interval=1)
        for n in range(options.schedules):
            stock.schedule(
                datetime.now(UTC) + timedelta(seconds=2),
                "tests.support.jobs.add",
                args=[1],
                interval=1,
                id=f"stock-{n}",
            )
        process = runner(
            "import rq_scheduler, django_rq; "
            "rq_scheduler.Scheduler(connection=django_rq.get_connection('default'), interval=1).run()"
        )
        taken = measured(server, options.seconds, process)
        # Stock's slots are whole seconds: what is past the second is its lag, at the least.
        print(f"stock  {percentiles([moment % 1 for _, moment in taken])} (modulo a second)")
    cuts = statistics.quantiles(lags, n=100)
    is_met = cuts[49] <= 0.005 and cuts[98] <= 0.025 and not gaps
    print(f"target p50 5 ms, p99 25 ms at most, no slot out of phase: {'met' if is_met else 'MISSED'}")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
