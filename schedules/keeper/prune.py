"""Dropping rows of the ledger that are too old or too many: oldest first, a small batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import router
from django.db.models import Q, QuerySet

from schedules.conf import conf
from schedules.models import Run, Schedule
from schedules.models.choices import FAILED_STATUSES, OPEN_STATUSES

BATCH: Final = 500
"""Rows in one delete: bounds how long it holds the database."""
FAILURES_KEPT: Final = 3
"""Failures are kept so many times as long, and as many."""


class Pruning:
    """Works through what there is to prune, a slice at each call."""

    def __init__(self) -> None:
        self.using = router.db_for_write(Run)
        self._schedules: dict[UUID, None] = {}
        self._by_age: list[QuerySet[Run]] = []

    @property
    def is_idle(self) -> bool:
        """Whether all that was to be looked at has been."""
        return not self._schedules and not self._by_age

    def look_at(self, schedules: Iterable[UUID]) -> None:
        """Remember schedules whose runs may have become too many."""
        self._schedules.update(dict.fromkeys(schedules))

    def begin(self, now: datetime, *, all_schedules: bool = False) -> None:
        """Set out to look at the age of everything, and if asked at the number of runs of every schedule."""
        rules = list(
            Schedule.objects.using(self.using)
            .filter(Q(keep_days__isnull=False))
            .values_list("pk", "keep_days")
        )
        runs = Run.objects.using(self.using).exclude(status__in=OPEN_STATUSES)
        rest = runs.exclude(schedule_id__in=[pk for pk, _ in rules]) if rules else runs
        self._by_age = [*_older(rest, now, conf.keep_days)]
        for pk, days in rules:
            self._by_age += _older(runs.filter(schedule_id=pk), now, days or conf.keep_days)
        if all_schedules:
            self.look_at(Schedule.objects.using(self.using).values_list("pk", flat=True))

    def work(self, *, seconds: float) -> int:
        """Prune for so many seconds at the most, or one batch; return how many rows went."""
        deadline = time.monotonic() + seconds
        gone = 0
        while not self.is_idle:
            if self._by_age:
                count = _drop(self._by_age[0], self.using)
                if count < BATCH:
                    self._by_age.pop(0)
            else:
                schedule = next(iter(self._schedules))
                count = self._too_many(schedule)
                if count < BATCH:
                    del self._schedules[schedule]
            gone += count
            if time.monotonic() >= deadline:
                break
        return gone

    def _too_many(self, schedule: UUID) -> int:
        own = (
            Schedule.objects.using(self.using).filter(pk=schedule).values_list("keep_runs", flat=True).first()
        )
        keep = own or conf.keep_runs
        runs = Run.objects.using(self.using).filter(schedule_id=schedule).order_by("-scheduled_for", "-id")
        # Reads so many entries of one index; nearly always there is nothing beyond.
        edge = runs.values_list("scheduled_for", flat=True)[keep : keep + 1]
        first = next(iter(edge), None)
        if first is None:
            return 0
        beyond = runs.filter(scheduled_for__lte=first).exclude(status__in=OPEN_STATUSES)
        gone = _drop(beyond.exclude(status__in=FAILED_STATUSES), self.using)
        failures = runs.filter(status__in=FAILED_STATUSES).values_list("scheduled_for", flat=True)
        most = keep * FAILURES_KEPT
        last_failure = next(iter(failures[most : most + 1]), None)
        if last_failure is not None:
            gone += _drop(
                runs.filter(status__in=FAILED_STATUSES, scheduled_for__lte=last_failure), self.using
            )
        return gone


def _older(runs: QuerySet[Run], now: datetime, days: int) -> list[QuerySet[Run]]:
    """Return what of the runs is too old: ordinary ones, and failures."""
    return [
        runs.filter(scheduled_for__lt=now - timedelta(days=days)).exclude(status__in=FAILED_STATUSES),
        runs.filter(scheduled_for__lt=now - timedelta(days=days * FAILURES_KEPT), status__in=FAILED_STATUSES),
    ]


def _drop(runs: QuerySet[Run], using: str) -> int:
    """Delete the oldest batch of these; return how many."""
    keys = list(runs.order_by("scheduled_for", "id").values_list("pk", flat=True)[:BATCH])
    if not keys:
        return 0
    # No rows hang on these but later runs of the same, whose link is not a constraint.
    Run.objects.using(using).filter(retry_of_id__in=keys).update(retry_of=None)
    return Run.objects.using(using).filter(pk__in=keys)._raw_delete(using)
