"""The schedules of a shop with warehouses on three continents, and what became of them: for pages that are looked at.

Everything follows from `now`: the same moment gives the same rows.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import override_settings

from schedules.admin.figures import forget_figures
from schedules.http.send import HttpResult
from schedules.models import Run, Schedule
from schedules.models.choices import FAILED_STATUSES
from schedules.timing import next_slot, previous_slot
from tests.support.programs import ROOT

APPS: Final = ("shop", "billing", "warehouse", "marketing")
FOLDER: Final = ROOT / "tests" / "pictured"
LIBRARY: Final = "/srv/venv/lib/python3.12/site-packages"
TRACEBACK: Final = f"""Traceback (most recent call last):
  File "{LIBRARY}/rq/worker/base.py", line 1571, in perform_job
    return_value = job.perform()
                   ^^^^^^^^^^^^^
  File "{LIBRARY}/rq/job.py", line 1303, in perform
    self._result = self._execute()
                   ^^^^^^^^^^^^^^^
  File "/srv/shop/shop/jobs.py", line 41, in rebuild_search_index
    index.replace(documents(language))
                  ~~~~~~~~~^^^^^^^^^^
  File "/srv/shop/shop/search.py", line 118, in documents
    yield from Product.objects.published().iterator(chunk_size=500)
  File "{LIBRARY}/django/db/models/query.py", line 516, in _iterator
    yield from iterable
  File "{LIBRARY}/django/db/backends/utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
django.db.utils.OperationalError: canceling statement due to lock timeout
"""
ERROR: Final = "OperationalError: canceling statement due to lock timeout"
LATE: Final = "Exchange rates"
PAUSED: Final = "Month-end invoices"
NEVER_RAN: Final = "Black Friday prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """What the runs of a schedule are like."""

    took: float
    """Seconds, of most runs."""
    spread: float = 0.25
    """Of the logarithm of that."""
    days: float = 31
    fails: float = 0.0
    """Of all runs, so many fail."""
    ends: str = ""
    """The newest runs, oldest first: o(k) f(ailed) r(unning) q(ueued) s(kipped) m(issed) c(anceled) a(bandoned)."""
    error: str = "ConnectionError: HTTPSConnectionPool(host='api.market.example', port=443): Read timed out."
    traceback: str = ""
    output: str = ""
    result: str = ""
    running_for: float = 75


WORDS: Final = {
    "o": "succeeded",
    "f": "failed",
    "s": "skipped",
    "m": "missed",
    "r": "running",
    "q": "queued",
    "c": "canceled",
    "a": "abandoned",
}
REASONS: Final = {
    "skipped": "The run before is still running.",
    "missed": "No scheduler was running.",
    "canceled": "Stopped by admin.",
    "abandoned": "The worker web-2.1 ended without a word.",
}


API: Final = "https://api.shop.example/v1/delivery-slots/refresh"


def answer_of_the_api(**_request: Any) -> HttpResult:
    """Answer as the shop's own API does: pages that show an answer need one, and no network."""
    return HttpResult(
        status=200,
        reason="OK",
        headers=(("Content-Type", "application/json"), ("Server", "shop")),
        body='{"refreshed": 96, "days": 14}',
        size=29,
        truncated=False,
        milliseconds=84,
        url=API,
    )


@contextmanager
def apps_of_the_shop() -> Iterator[None]:
    """Install the shop's own apps, in the place of those of the tests."""
    sys.path.insert(0, str(FOLDER))
    kept = [name for name in settings.INSTALLED_APPS if not name.startswith("tests.")]
    try:
        with override_settings(INSTALLED_APPS=[*APPS, *kept]):
            assert apps.is_installed("warehouse")
            yield
    finally:
        sys.path.remove(str(FOLDER))
        for name in [name for name in sys.modules if name.partition(".")[0] in APPS]:
            del sys.modules[name]


def make_shop(now: datetime, *, seed: int = 11, frequent_days: float = 2) -> dict[str, Schedule]:
    """Make the schedules, by name, with their runs.

    Args:
        frequent_days: how far the history of those goes back that run every few minutes.
    """
    dice = random.Random(seed)
    made: dict[str, Schedule] = {}
    founded = (now - timedelta(days=70)).replace(hour=0, minute=0, second=0, microsecond=0)
    berlin: dict[str, Any] = {"kind": "cron", "timezone": "Europe/Berlin"}
    utc: dict[str, Any] = {"kind": "cron", "timezone": "UTC"}

    def add(name: str, habit: Habit | None = None, **fields: Any) -> Schedule:
        schedule = Schedule(id=uuid5(NAMESPACE_DNS, name), name=name, created_at=founded, **fields)
        schedule.save()
        made[name] = schedule
        if habit is not None:
            _live(schedule, habit, now, dice)
        return schedule

    add(
        "Sync orders",
        Habit(
            took=4.2,
            days=frequent_days,
            fails=0.006,
            ends="oooooooosooooo",
            output="08:10:00 INFO shop.jobs: asked 3 market places\n08:10:03 INFO shop.jobs: 42 orders pulled\n",
            result="42",
        ),
        func="shop.jobs.sync_orders",
        args=[15],
        cron="*/5 * * * *",
        queue="high",
        tags=["shop"],
        description="Asks all market places. Safe to run again.",
        **utc,
    )
    add(
        "Rebuild search index",
        Habit(
            took=210,
            fails=0.01,
            ends="oooooooooofff",
            error=ERROR,
            traceback=TRACEBACK,
            output=(
                "07:15:00 INFO shop.search: 18 204 products to index\n"
                "07:15:03 INFO shop.search: batch 1 of 37\n"
                "07:15:09 WARNING shop.search: waiting for a lock on shop_product\n"
            ),
        ),
        func="shop.jobs.rebuild_search_index",
        args=["en"],
        kind="cron",
        cron="15 */2 * * *",
        timezone="America/New_York",
        tags=["shop", "search"],
        retry_max=1,
        timeout=900,
    )
    add(
        "Nightly stock report",
        Habit(took=95, fails=0.03, ends="oooooo", result="'Hamburg: 18 204 articles'"),
        func="warehouse.jobs.stock_report",
        args=["Hamburg"],
        cron="30 4 * * mon-fri",
        tags=["reports"],
        description="Goes to the buyers before the day begins.",
        **berlin,
    )
    invoices = add(
        "Month-end invoices",
        Habit(took=1260, days=200, ends="oo"),
        func="billing.jobs.month_end_invoices",
        cron="0 6 L * *",
        queue="low",
        tags=["billing"],
        timeout=7200,
        **berlin,
    )
    add(
        "Exchange rates",
        Habit(took=0.9, fails=0.01, ends="oooooo"),
        func="billing.jobs.exchange_rates",
        args=["EUR", "USD", "JPY"],
        cron="10 */4 * * mon-fri",
        tags=["billing"],
        **berlin,
    )
    add(
        "Weekly newsletter",
        Habit(took=640, days=120, ends="oooooo"),
        func="marketing.jobs.newsletter",
        args=["subscribers"],
        kind="cron",
        cron="0 9 * * tue",
        timezone="America/Chicago",
        queue="low",
        tags=["marketing"],
    )
    add(
        "Remind of abandoned carts",
        Habit(took=7.5, spread=0.5, days=2 * frequent_days, fails=0.01, ends="ooooooooo"),
        func="marketing.jobs.remind_carts",
        kind="interval",
        interval=1800,
        timezone="America/New_York",
        tags=["marketing"],
    )
    add(
        "Cycle count Osaka",
        Habit(took=33, spread=0.4, ends="ooooom"),
        func="warehouse.jobs.count_stock",
        args=["Osaka"],
        kind="cron",
        cron="0 18 * * *",
        timezone="Asia/Tokyo",
        tags=["warehouse"],
    )
    add(
        "Import supplier catalogue",
        Habit(took=420, spread=0.35, fails=0.02, ends="ooooor", running_for=254),
        func="shop.jobs.import_catalogue",
        args=["Nordlicht GmbH"],
        cron="8 */3 * * *",
        tags=["shop"],
        **berlin,
    )
    add(
        "Price feed Singapore",
        Habit(took=1.4, spread=0.6, days=frequent_days, fails=0.004, ends="coooaooooooooooo"),
        func="shop.jobs.pull_prices",
        args=["sg-1"],
        kind="interval",
        interval=600,
        timezone="Asia/Singapore",
        queue="high",
        tags=["shop"],
    )
    add(
        "Clear expired sessions",
        Habit(took=2.1, ends="oooooo"),
        func="shop.jobs.clear_sessions",
        cron="10 3 * * *",
        queue="low",
        **utc,
    )
    add(
        "Refresh delivery slots",
        Habit(took=0.35, days=frequent_days, fails=0.01, ends="oooooo"),
        func="schedules.job.job_request",
        args=[API],
        kwargs={"method": "POST", "headers": {"Authorization": "Bearer secret:DELIVERY"}},
        cron="*/15 6-22 * * *",
        tags=["shop"],
        **berlin,
    )
    add(
        "Remind of open invoices",
        Habit(took=12, days=60, ends="oooo"),
        func="billing.jobs.remind_open_invoices",
        cron="0 10 * * mon,thu",
        tags=["billing"],
        **berlin,
    )
    add(
        "Black Friday prices",
        func="shop.jobs.switch_prices",
        args=["black-friday"],
        kind="once",
        run_at=(now + timedelta(days=3)).replace(hour=23, minute=0, second=0, microsecond=0),
        timezone="Europe/Berlin",
        tags=["shop"],
    )
    add(
        "Import of the old shop",
        Habit(took=88, days=60, ends="ooof"),
        func="shop.legacy.import_all",
        cron="45 2 * * *",
        enabled=False,
        **berlin,
    )
    invoices.pause(
        at=now - timedelta(hours=2),
        until=founded + timedelta(days=72, hours=12),
        reason="New VAT rates are being entered",
    )
    invoices.save()
    _queue_by_hand(made["Remind of abandoned carts"], now)
    _note_next_runs(now)
    _log_changes(made["Rebuild search index"], now)
    forget_figures()
    return {schedule.name: schedule for schedule in Schedule.objects.all()}


def _queue_by_hand(schedule: Schedule, now: datetime) -> None:
    """Let somebody have asked for a run a moment ago."""
    Run.objects.create(
        schedule=schedule,
        schedule_name=schedule.name,
        func=schedule.func,
        queue=schedule.queue,
        payload=json.dumps({"args": [], "kwargs": {"after_hours": 2}}),
        trigger="manual",
        started_by="mara",
        scheduled_for=now - timedelta(seconds=6),
        enqueued_at=now - timedelta(seconds=6),
        job_id=f"{schedule.pk}_by_hand",
    )
    Schedule.objects.filter(pk=schedule.pk).update(
        last_status="queued", last_run_at=now - timedelta(seconds=6)
    )


def _log_changes(schedule: Schedule, now: datetime) -> None:
    """Let three people have worked on it."""
    for days, name, flag, message in (
        (70, "mara", ADDITION, "Added."),
        (41, "jonas", CHANGE, "Timeout: 180 → 900"),
        (3.2, "mara", CHANGE, "Cron expression: 15 */4 * * * → 15 */2 * * *"),
    ):
        user, _ = User.objects.get_or_create(username=name)
        LogEntry.objects.create(
            action_time=now - timedelta(days=days),
            user=user,
            content_type=ContentType.objects.get_for_model(Schedule),
            object_id=str(schedule.pk),
            object_repr=schedule.name,
            action_flag=flag,
            change_message=message,
        )


def _note_next_runs(now: datetime) -> None:
    """Note what the keeper notes: when each runs next; one of them is late."""
    for schedule in Schedule.objects.all():
        planned = next_slot(schedule.trigger(), now) if schedule.enabled else None
        if schedule.name == LATE:
            planned = previous_slot(schedule.trigger(), now)
        if schedule.paused_until is not None:
            planned = next_slot(schedule.trigger(), schedule.paused_until)
        # Not save(): that is a change of the row, after which a note of before counts for nothing.
        Schedule.objects.filter(pk=schedule.pk).update(
            next_run_at=planned, updated_at=now - timedelta(days=3)
        )


def _live(schedule: Schedule, habit: Habit, now: datetime, dice: random.Random) -> None:
    """Write the runs of a schedule, and the notes that the keeper makes of them."""
    trigger = schedule.trigger()
    slot, slots = now, []
    while (found := previous_slot(trigger, slot)) is not None and found > now - timedelta(days=habit.days):
        slots.append(found)
        slot = found
    rows = []
    for age, slot in enumerate(slots):
        letter = (
            habit.ends[-1 - age] if age < len(habit.ends) else "f" if dice.random() < habit.fails else "o"
        )
        rows.append(_run(schedule, slot, WORDS[letter], habit, now, dice))
    rows.reverse()
    Run.objects.bulk_create(rows, batch_size=500)
    if not rows:
        return
    newest = rows[-1]
    failures = 0
    for run in reversed(rows):
        if run.status not in FAILED_STATUSES:
            break
        failures += 1
    Schedule.objects.filter(pk=schedule.pk).update(
        last_status=newest.status,
        last_run_at=newest.started_at or newest.scheduled_for,
        last_slot_at=newest.scheduled_for,
        runs_dispatched=len(rows),
        failures_in_a_row=failures,
        alarm="failing" if failures and schedule.enabled else "",
    )


def _run(
    schedule: Schedule, slot: datetime, status: str, habit: Habit, now: datetime, dice: random.Random
) -> Run:
    queued = slot + timedelta(seconds=0.003 + 0.02 * dice.random())
    waited = 0.02 + abs(dice.gauss(0.15, 0.2)) + (dice.random() > 0.97) * 20 * dice.random()
    took = habit.took * math.exp(dice.gauss(0, habit.spread))
    begins = status in {"succeeded", "failed", "running", "canceled", "abandoned"}
    started = queued + timedelta(seconds=waited) if begins else None
    if status == "running":
        started = now - timedelta(seconds=habit.running_for)
    bad = status == "failed"
    run = Run(
        schedule=schedule,
        schedule_name=schedule.name,
        scheduled_for=slot,
        enqueued_at=None if status in {"skipped", "missed"} else queued,
        started_at=started,
        finished_at=started + timedelta(seconds=took * (0.3 if bad else 1))
        if started is not None and status != "running"
        else None,
        status=status,
        reason=REASONS.get(status, ""),
        func=schedule.func,
        payload=json.dumps({"args": schedule.args, "kwargs": schedule.kwargs}),
        queue=schedule.queue,
        worker=f"web-{1 + dice.randrange(2)}.{1 + dice.randrange(3)}" if begins else "",
        job_id=f"{schedule.pk}_{int(slot.timestamp())}",
        exception=habit.error if bad else "",
        traceback=(habit.traceback or f"Traceback (most recent call last):\n{habit.error}\n") if bad else "",
        output=habit.output if begins else "",
        result=habit.result if status == "succeeded" else "",
    )
    run.measure()
    return run
