"""The page of one run: what it says, from the row and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from schedules.admin.masking import shown_json
from schedules.admin.rq_links import job_link
from schedules.admin.traceback_view import parts_of, place_of
from schedules.health.words import seconds_text
from schedules.models import Run, RunStatus
from schedules.models.choices import FAILED_STATUSES

LOOK_BACK: Final = 100
"""Runs before this one that are counted for "so many failures in a row"."""
BAR_WIDTH: Final = 1000
LEAST_WIDTH: Final = 12
"""Width of the shortest step of the bar, of `BAR_WIDTH`: it must be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One moment of a run, and what lies between it and the one before."""

    name: str
    at: datetime
    between: str = ""
    """What took so long, with how long, as "0.2 s for a worker"."""
    kind: str = ""
    """`queueing`, `waiting` or `working`."""
    x: float = 0
    width: float = 0


def steps_of(run: Run) -> list[Step]:
    """Return planned, queued, started and ended, as far as it came, with places on a bar."""
    moments = [
        (_("planned"), run.scheduled_for, "", ""),
        (_("queued"), run.enqueued_at, "queueing", _("%(length)s until it was queued")),
        (_("started"), run.started_at, "waiting", _("%(length)s for a worker")),
        (pgettext("of a run", "ended"), run.finished_at, "working", _("%(length)s at work")),
    ]
    there = [(name, at, kind, text) for name, at, kind, text in moments if at is not None]
    lengths = [
        0.0,
        *((after[1] - before[1]).total_seconds() for before, after in pairwise(there)),
    ]
    total = sum(max(length, 0.0) for length in lengths) or 1.0
    widths = [0.0, *(LEAST_WIDTH + max(length, 0.0) / total * BAR_WIDTH for length in lengths[1:])]
    scale = BAR_WIDTH / (sum(widths) or 1.0)
    found: list[Step] = []
    x = 0.0
    for (name, at, kind, text), length, width in zip(there, lengths, widths, strict=True):
        between = ""
        if found:
            # A run that was never started waited; it did not work.
            told = text if not (kind == "working" and run.started_at is None) else _("%(length)s in all")
            between = told % {"length": seconds_text(length)}
        found.append(
            Step(name=name, at=at, between=between, kind=kind, x=round(x, 1), width=round(width * scale, 1))
        )
        x += width * scale
    return found


def context_of(run: Run, *, may_see_payload: bool) -> dict[str, Any]:
    """Return what the page shows; of what may hold secrets nothing, unless it may be seen."""
    neighbours = _neighbours(run)
    failures, first_failed = _streak(run, neighbours["before"])
    context: dict[str, Any] = {
        "run": run,
        "zone": run.schedule.timezone if run.schedule else "",
        "steps": steps_of(run),
        "heading": run.exception or run.reason,
        "is_bad": run.status in FAILED_STATUSES,
        "previous": next(iter(neighbours["before"]), None),
        "following": neighbours["after"],
        "streak": _streak_text(failures),
        "first_failed": first_failed,
        "may_see_payload": may_see_payload,
        "job_link": job_link(run.queue, run.job_id or ""),
    }
    if may_see_payload:
        arguments = run.arguments
        context |= {
            "traceback": parts_of(run.traceback),
            "place": place_of(run.traceback),
            "args": None if arguments is None or not arguments[0] else shown_json(arguments[0]),
            "kwargs": None if arguments is None or not arguments[1] else shown_json(arguments[1]),
            "arguments_kept": arguments is not None,
        }
    return context


def _neighbours(run: Run) -> dict[str, Any]:
    if run.schedule_id is None:
        return {"before": [], "after": None}
    others = Run.objects.filter(schedule=run.schedule_id).only("id", "status", "scheduled_for", "finished_at")
    before = others.filter(
        Q(scheduled_for__lt=run.scheduled_for) | Q(scheduled_for=run.scheduled_for, id__lt=run.pk)
    ).order_by("-scheduled_for", "-id")
    after = others.filter(
        Q(scheduled_for__gt=run.scheduled_for) | Q(scheduled_for=run.scheduled_for, id__gt=run.pk)
    ).order_by("scheduled_for", "id")
    return {"before": list(before[:LOOK_BACK]), "after": after.first()}


def _streak(run: Run, before: list[Run]) -> tuple[int, datetime | None]:
    """Return how many runs up to this one failed in a row, and since when; slots that never ran do not count."""
    if run.status not in FAILED_STATUSES:
        return 0, None
    count, first = 1, run.scheduled_for
    for earlier in before:
        if earlier.status in FAILED_STATUSES:
            count, first = count + 1, earlier.scheduled_for
        elif earlier.status == RunStatus.SUCCEEDED:
            break
    return count, first if count > 1 else None


def _streak_text(failures: int) -> str:
    if failures < 2:
        return ""
    return ngettext("%(count)d failure in a row", "%(count)d failures in a row", failures) % {
        "count": failures
    }
