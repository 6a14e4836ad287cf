"""The last runs of the schedules on one page: one query, whatever the length of the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db.models import DateTimeField, Q, Subquery, Value
from django.db.models.functions import Coalesce, Left
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from schedules.models import Run, Schedule
from schedules.models.choices import FAILED_STATUSES, RunStatus

SHOWN: Final = 20
LONGEST_ERROR: Final = 200
BEFORE_ALL: Final = datetime(1970, 1, 1, tzinfo=UTC)

BAR: Final = 5
GAP: Final = 2
HEIGHT: Final = 22
LEAST: Final = 4
"""Pixels of the strip."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """What the list shows of a run."""

    pk: int
    schedule_id: UUID
    status: str
    scheduled_for: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    reason: str
    exception: str

    @property
    def has_failed(self) -> bool:
        """Whether it began, or should have, and did not end well."""
        return self.status in FAILED_STATUSES


def last_runs(schedules: Sequence[Schedule]) -> dict[UUID, list[LastRun]]:
    """Return the last runs of each schedule, oldest first.

    For each schedule they are a range of one index, from the slot of the oldest run that the strip has room for,
    which the same query finds in that index alone: every database does that fast. "The newest 20 of each" in one
    query is fast in none that is supported, and asked for with the rows, it is asked for those before a page, too.
    """
    found: dict[UUID, list[LastRun]] = {schedule.pk: [] for schedule in schedules}
    if not found:
        return found
    ranges = Q()
    for key in found:
        newest = Run.objects.filter(schedule=key).order_by("-scheduled_for", "-id").values("scheduled_for")
        first = Coalesce(Subquery(newest[SHOWN - 1 : SHOWN]), Value(BEFORE_ALL, output_field=DateTimeField()))
        ranges |= Q(schedule=key, scheduled_for__gte=first)
    rows = (
        Run.objects.filter(ranges)
        .order_by()
        .values_list(
            *("pk", "schedule_id", "status", "scheduled_for", "started_at", "finished_at", "duration"),
            Left("reason", LONGEST_ERROR),
            Left("exception", LONGEST_ERROR),
        )
    )
    for row in rows:
        run = LastRun(*row)
        found[run.schedule_id].append(run)
    for schedule_id, runs in found.items():
        runs.sort(key=lambda run: (run.scheduled_for, run.pk))
        found[schedule_id] = runs[-SHOWN:]
    return found


def strip(runs: Sequence[LastRun]) -> SafeString | str:
    """Draw runs as bars, oldest first: the colour is the outcome, the height the duration; failed ones are full."""
    if not runs:
        return ""
    longest = max((run.duration or 0.0 for run in runs), default=0.0)
    bars = format_html_join(
        "",
        '<rect data-state="{}" x="{}" y="{}" width="{}" height="{}" rx="1"></rect>',
        (
            (run.status, place * (BAR + GAP), HEIGHT - height, BAR, height)
            for place, (run, height) in enumerate(zip(runs, _heights(runs, longest), strict=True))
        ),
    )
    width = SHOWN * (BAR + GAP) - GAP
    return format_html(
        '<svg class="sch-strip" role="img" width="{}" height="{}" viewBox="0 0 {} {}" aria-label="{}">{}</svg>',
        width,
        HEIGHT,
        width,
        HEIGHT,
        summary_of(runs),
        bars,
    )


def summary_of(runs: Sequence[LastRun]) -> str:
    """Say the strip in words."""
    good = sum(run.status == RunStatus.SUCCEEDED for run in runs)
    bad = sum(run.has_failed for run in runs)
    return _("Last %(count)d runs: %(good)d succeeded, %(bad)d failed, %(other)d other") % {
        "count": len(runs),
        "good": good,
        "bad": bad,
        "other": len(runs) - good - bad,
    }


def _heights(runs: Iterable[LastRun], longest: float) -> list[int]:
    heights = []
    for run in runs:
        if run.has_failed:
            heights.append(HEIGHT)
        elif run.status != RunStatus.SUCCEEDED:
            heights.append(LEAST)
        elif longest <= 0 or run.duration is None:
            heights.append(LEAST + 2)
        else:
            # The root, so that one long run does not press all others flat.
            share = math.sqrt(max(run.duration, 0.0) / longest)
            heights.append(LEAST + 2 + round(share * (HEIGHT - LEAST - 6)))
    return heights
