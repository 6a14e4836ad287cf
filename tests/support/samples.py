"""Schedules and runs as an operator meets them: for pages that are looked at."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from schedules.models import Run, Schedule
from schedules.timing import previous_slot

FUNC = "tests.shop.jobs.sync_orders"


def make_samples(now: datetime, *, seed: int = 7) -> dict[str, Schedule]:
    """Make one schedule of each sort, with the runs that explain its state."""
    chance = random.Random(seed)
    made: dict[str, Schedule] = {}

    def add(name: str, **fields: object) -> Schedule:
        made[name] = schedule = Schedule(name=name, **{"func": FUNC, **fields})  # type: ignore[misc]
        schedule.created_at = now - timedelta(days=60)
        schedule.save()
        return schedule

    def runs(schedule: Schedule, statuses: str, *, took: float) -> None:
        words = {
            "o": "succeeded",
            "f": "failed",
            "s": "skipped",
            "m": "missed",
            "r": "running",
            "q": "queued",
        }
        trigger = schedule.trigger()
        slot = now
        rows = []
        for letter in reversed(statuses):
            found = previous_slot(trigger, slot)
            if found is None:
                break
            slot = found
            status = words[letter]
            ran = letter in "ofr"
            run = Run(
                schedule=schedule,
                schedule_name=schedule.name,
                func=schedule.func,
                queue=schedule.queue,
                scheduled_for=slot,
                enqueued_at=slot,
                status=status,
                started_at=slot + timedelta(seconds=0.2) if ran else None,
                finished_at=slot + timedelta(seconds=took * chance.uniform(0.3, 2))
                if letter in "of"
                else None,
                exception="ValueError: orders table is locked: could not refresh report [1, 2, 3]"
                * (letter == "f"),
                reason={
                    "f": "It raised an exception.",
                    "s": "The previous run was still running.",
                    "m": "No scheduler was running at that time.",
                }.get(letter, ""),
            )
            run.measure()
            rows.append(run)
        Run.objects.bulk_create(rows)
        newest = rows[0]
        Schedule.objects.filter(pk=schedule.pk).update(
            last_status=newest.status,
            last_run_at=newest.started_at or newest.scheduled_for,
            failures_in_a_row=len(statuses) - len(statuses.rstrip("f")),
            alarm="failing" if statuses.endswith("f") else "",
        )

    cron = {"kind": "cron", "timezone": "Europe/Berlin"}
    nightly = add(
        "Nightly report refresh",
        func="tests.shop.jobs.reports.refresh",
        cron="0 4 * * *",
        tags=["reports"],
        **cron,
    )
    runs(nightly, "oooofoooooooooooooooooo", took=150)
    orders = add(
        "Sync orders",
        kind="cron",
        cron="*/20 * * * *",
        args=[30],
        tags=["shop", "prod"],
        queue="high",
        timezone="UTC",
    )
    runs(orders, "oooooooooooooooossoooff", took=3)
    invoices = add("Month-end invoices", cron="0 6 L * *", tags=["billing"], **cron)
    runs(invoices, "ooooo", took=40)
    invoices.pause(at=now, until=now + timedelta(days=3), reason="New tax rates are being entered")
    invoices.save()
    stock = add(
        "Stock levels", func="tests.shop.jobs.sync_stock", kind="interval", interval=90, tags=["shop"]
    )
    runs(stock, "ooooooooooooooooooor", took=20)
    add("Breaking news", func="schedules.job.job_request", args=["http://127.0.0.1:8000/v1/jobs/breaking-news"],
        kind="interval", interval=300)  # fmt: skip
    digest = add("Weekly digest", func="tests.shop.marked.digest", cron="30 7 * * mon", queue="low", **cron)
    runs(digest, "ooooooom", took=9)
    add("Old import", func="tests.shop.jobs.gone", cron="15 3 * * *", enabled=False, **cron)
    add("Year change", kind="once", run_at=now + timedelta(days=39), timezone="Europe/Berlin")
    return made
