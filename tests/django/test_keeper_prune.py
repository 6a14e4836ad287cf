"""Old rows go, failures stay three times as long, and what a schedule says of itself counts first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from schedules.keeper import prune as prune_module
from schedules.keeper.prune import Pruning
from schedules.models import Run, Schedule

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _rules(settings: Any) -> None:
    settings.SCHEDULES_KEEP_DAYS = 10
    settings.SCHEDULES_KEEP_RUNS = 5


def make_schedule(number: int = 1, **changes: Any) -> Schedule:
    fields = {"name": f"schedule {number}", "func": "f", "interval": 60} | changes
    return Schedule.objects.bulk_create([Schedule(id=UUID(int=number), **fields)])[0]


def make_runs(schedule: Schedule | None, *days: float, status: str = "succeeded") -> None:
    Run.objects.bulk_create(
        Run(
            schedule=schedule,
            scheduled_for=NOW - timedelta(days=day),
            status=status,
            job_id=f"{status}{schedule}{day}",
        )
        for day in days
    )


def prune(**options: Any) -> int:
    pruning = Pruning()
    pruning.begin(NOW, **options)
    gone = 0
    while not pruning.is_idle:
        gone += pruning.work(seconds=10)
    return gone


def ages() -> list[float]:
    return sorted((NOW - run.scheduled_for).total_seconds() / 86400 for run in Run.objects.all())


def test_rows_go_by_age_and_failures_three_times_as_late() -> None:
    schedule = make_schedule()
    make_runs(schedule, 1, 9, 11, 29, 31)
    make_runs(schedule, 2, 12, 28, 32, status="failed")
    make_runs(None, 3, 40)
    assert prune() == 5
    assert ages() == [1, 2, 3, 9, 12, 28]


def test_a_schedule_may_keep_its_rows_longer_or_shorter() -> None:
    make_runs(make_schedule(1, keep_days=100), 50, 99, 101)
    make_runs(make_schedule(2, keep_days=2), 1, 3)
    prune()
    assert ages() == [1, 50, 99]


def test_of_each_schedule_the_newest_rows_stay() -> None:
    make_runs(make_schedule(1), *[n / 10 for n in range(1, 9)])
    make_runs(make_schedule(2, keep_runs=2), 5.1, 5.2, 5.3)
    make_runs(make_schedule(3, keep_runs=1), 6.1, 6.2, 6.3, 6.4, 6.5, status="failed")
    prune(all_schedules=True)
    assert ages() == [0.1, 0.2, 0.3, 0.4, 0.5, 5.1, 5.2, 6.1, 6.2, 6.3]


def test_what_is_open_stays() -> None:
    make_runs(make_schedule(keep_runs=1), 100, 101, 102, status="running")
    prune(all_schedules=True)
    assert ages() == [100, 101, 102]


def test_it_works_in_small_batches_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_module, "BATCH", 3)
    make_runs(None, *range(11, 21))
    pruning = Pruning()
    pruning.begin(NOW)
    assert pruning.work(seconds=0) == 3
    assert ages() == [11, 12, 13, 14, 15, 16, 17]
    assert not pruning.is_idle


def test_links_to_what_is_dropped_are_cut() -> None:
    make_runs(None, 11)
    Run.objects.create(scheduled_for=NOW, job_id="again", trigger="retry", retry_of=Run.objects.get())
    prune()
    assert Run.objects.get().retry_of is None
