"""Rows as a week of work leaves them: for the browser tests and for pictures."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from schedules.models import Run, Schedule

ROOT = "/srv/shop"
LIBRARY = "/srv/venv/lib/python3.11/site-packages"
TRACEBACK = f"""Traceback (most recent call last):
  File "{LIBRARY}/rq/worker/base.py", line 1571, in perform_job
    return_value = job.perform()
                   ^^^^^^^^^^^^^
  File "{LIBRARY}/rq/job.py", line 1303, in perform
    self._result = self._execute()
                   ^^^^^^^^^^^^^^^
  File "{ROOT}/shop/jobs.py", line 41, in sync_orders
    refresh(report_ids, since=since_minutes)
  File "{ROOT}/shop/reports.py", line 118, in refresh
    raise ValueError(f"orders table is locked: could not refresh report {{ids}}")
ValueError: orders table is locked: could not refresh report [1, 2, 3]
"""
FUNC = "tests.shop.jobs.sync_orders"
ERROR = "ValueError: orders table is locked: could not refresh report [1, 2, 3]"


def a_week(now: datetime) -> dict[str, Any]:
    """Make schedules and what became of them; return the failed and the running run."""
    dice = random.Random(5)
    common: dict[str, Any] = {"func": FUNC, "args": [30], "created_at": now - timedelta(days=40)}
    orders = Schedule.objects.create(name="Sync orders", interval=1200, **common)
    night = Schedule.objects.create(
        name="Nightly report refresh", kind="cron", cron="0 4 * * *", timezone="Europe/Berlin", **common
    )
    digest = Schedule.objects.create(name="Digest e-mail", interval=3600, queue="high", **common)
    feed = Schedule.objects.create(name="Poll the price feed", interval=60, **common)
    Schedule.objects.create(
        name="Month-end invoices",
        kind="cron",
        cron="0 6 L * *",
        timezone="Europe/Bratislava",
        queue="low",
        **common,
    )
    rows: list[Run] = []
    last: dict[str, Run] = {}
    for schedule, every, count in (
        (orders, 1200, 500),
        (night, 86_400, 7),
        (digest, 3600, 160),
        (feed, 60, 900),
    ):
        for n in range(count):
            slot = (now - timedelta(seconds=every * n)).replace(microsecond=0)
            started = slot + timedelta(seconds=abs(dice.gauss(0.3, 0.3)) + 0.02)
            run = Run(
                schedule=schedule,
                schedule_name=schedule.name,
                scheduled_for=slot,
                enqueued_at=slot + timedelta(seconds=0.004),
                started_at=started,
                finished_at=started + timedelta(seconds=abs(dice.gauss(3, 1.5)) + 0.1),
                status="succeeded",
                func=FUNC,
                payload='{"args": [30], "kwargs": {"full": true, "api_token": "abc"}}',
                queue=schedule.queue,
                worker=f"web-1.{1 + n % 3}",
                job_id=f"{schedule.pk}_{int(slot.timestamp())}",
                result="42",
                output="12:00:01 INFO shop.jobs: 42 orders pulled\n",
            )
            chance = dice.random()
            if (schedule is orders and n < 2) or (schedule is not night and chance < 0.02):
                run.status, run.exception, run.traceback = "failed", ERROR, TRACEBACK
                run.result = ""
            elif chance > 0.985:
                run.status, run.reason = "skipped", "The run before is still running."
                run.started_at = run.finished_at = None
                run.result = run.output = ""
            run.measure()
            rows.append(run)
            if n == 0:
                last[schedule.name] = run
    busy = last["Digest e-mail"]
    busy.status, busy.finished_at, busy.duration, busy.result = "running", None, None, ""
    Run.objects.bulk_create(rows)
    Run.objects.create(
        schedule=feed,
        schedule_name=feed.name,
        scheduled_for=now - timedelta(days=2, hours=5),
        scheduled_until=now - timedelta(days=2),
        slots=300,
        status="missed",
        reason="No scheduler was running.",
        trigger="schedule",
        queue="default",
    )
    Run.objects.create(
        schedule=digest,
        schedule_name=digest.name,
        scheduled_for=now - timedelta(minutes=7),
        started_at=now - timedelta(minutes=7),
        finished_at=now - timedelta(minutes=6, seconds=54),
        duration=6.0,
        delay=0.1,
        status="succeeded",
        trigger="manual",
        started_by="admin",
        queue="high",
        worker="web-1.2",
    )
    Schedule.objects.filter(pk=orders.pk).update(failures_in_a_row=2, last_status="failed")
    for schedule, seconds in ((orders, 400), (night, 30_000), (digest, 1900), (feed, 20)):
        Schedule.objects.filter(pk=schedule.pk).update(next_run_at=now + timedelta(seconds=seconds))
    return {
        "failed": Run.objects.filter(schedule=orders).latest("scheduled_for"),
        "running": Run.objects.filter(status="running").get(),
        "good": Run.objects.filter(schedule=night).latest("scheduled_for"),
    }
