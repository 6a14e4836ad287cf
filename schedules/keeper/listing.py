"""The ledger as lines, for a terminal: which runs, and how each is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone as clock

from schedules.models import Run, RunStatus
from schedules.models.choices import FAILED_STATUSES

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SHOWN: Final = (
    *("id", "schedule_id", "schedule_name", "func", "scheduled_for", "scheduled_until", "slots", "trigger"),
    *("status", "reason", "queue", "job_id", "worker", "attempt", "enqueued_at", "started_at", "finished_at"),
    *("next_attempt_at", "delay", "duration", "result", "exception", "started_by", "retry_of_id"),
)
"""What `--json` prints; what may be long (traceback, output, arguments) is in the admin."""


class ListingError(ValueError):
    """A filter cannot be read; the message says what is allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which runs are listed."""

    schedule: str = ""
    """Name of a schedule, or its id."""
    statuses: tuple[str, ...] = ()
    since: datetime | None = None

    def condition(self) -> Q:
        """Return it as a query."""
        wanted = Q()
        if self.schedule:
            wanted &= _of_schedule(self.schedule)
        if self.statuses:
            wanted &= Q(status__in=self.statuses)
        if self.since is not None:
            wanted &= Q(scheduled_for__gte=self.since)
        return wanted

    def newest(self, limit: int) -> list[Run]:
        """Return the newest runs, oldest of them first."""
        rows = Run.objects.filter(self.condition()).order_by("-scheduled_for", "-id").only(*SHOWN)
        return list(rows[:limit])[::-1]

    def has_failures(self) -> bool:
        """Tell whether any of the runs failed, also beyond what is listed."""
        return Run.objects.filter(self.condition(), status__in=FAILED_STATUSES).exists()


class Follower:
    """Looks for runs that are new or have changed since it looked last."""

    def __init__(self, wanted: Filter, *, seen: Sequence[Run]) -> None:
        self._wanted = wanted
        self._seen: dict[int, tuple[str, int]] = {run.pk: (run.status, run.attempt) for run in seen}
        self._last = max(self._seen, default=self._newest())

    def changes(self) -> Iterator[Run]:
        """Yield what changed, oldest first; two cheap queries."""
        open_ones = [pk for pk, (status, _) in self._seen.items() if status in ("queued", "running")]
        rows = Run.objects.filter(Q(pk__gt=self._last) | Q(pk__in=open_ones[-500:]))
        for run in rows.filter(self._wanted_ever()).order_by("id").only(*SHOWN)[:5000]:
            self._last = max(self._last, run.pk)
            state = (run.status, run.attempt)
            if self._seen.get(run.pk) == state:
                continue
            self._seen[run.pk] = state
            if not self._wanted.statuses or run.status in self._wanted.statuses:
                yield run
        while len(self._seen) > 20_000:
            del self._seen[next(iter(self._seen))]

    def _wanted_ever(self) -> Q:
        """Return the filter without the status, which is still to come."""
        return Filter(schedule=self._wanted.schedule, since=self._wanted.since).condition()

    def _newest(self) -> int:
        return Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def read_since(text: str, *, now: datetime | None = None) -> datetime:
    """Read `90s`, `15m`, `6h`, `1d`, `2w` as so long ago, or a date or moment in ISO form (without a zone: UTC).

    Raises:
        ListingError: it is neither.
    """
    moment = clock.now() if now is None else now
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if match:
        return moment - timedelta(seconds=int(match[1]) * UNITS[match[2]])
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ListingError(
            f"--since is {text!r}: allowed is a time span such as 90s, 15m, 6h, 1d or 2w, or a date such as 2026-03-01."
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_statuses(texts: Sequence[str]) -> tuple[str, ...]:
    """Read statuses, separated by commas or given several times.

    Raises:
        ListingError: one of them is none.
    """
    found = tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
    for status in found:
        if status not in RunStatus.values:
            raise ListingError(f"--status is {status!r}: allowed are {', '.join(RunStatus.values)}.")
    return found


def as_json(run: Run) -> str:
    """Return a run as one line of JSON."""
    values: dict[str, Any] = {name: getattr(run, name) for name in SHOWN}
    return json.dumps(
        values, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value)
    )


def as_line(run: Run, *, width: int | None = None) -> str:
    """Return a run as one line of text, cut to a terminal's width if one is given."""
    name = run.schedule_name or run.func or run.job_id or ""
    parts = [
        f"{run.scheduled_for:%Y-%m-%d %H:%M:%S}",
        f"{run.status:<9}",
        f"{'' if run.delay is None else _seconds(run.delay):>8}",
        f"{'' if run.duration is None else _seconds(run.duration):>8}",
        name if run.slots == 1 else f"{name} ({run.slots} slots)",
    ]
    told = run.reason or run.result
    if run.attempt > 1:
        told = f"[attempt {run.attempt}] {told}"
    line = "  ".join([*parts, " ".join(told.split())]).rstrip()
    return line if width is None or len(line) <= width else line[: max(1, width - 1)] + "…"


HEADING: Final = (
    f"{'planned (UTC)':<19}  {'status':<9}  {'delay':>8}  {'took':>8}  schedule  what became of it"
)


def _seconds(value: float) -> str:
    if abs(value) < 10:
        return f"{value:.3f}s"
    return f"{value:.0f}s" if abs(value) < 10_000 else f"{value / 3600:.1f}h"


def _of_schedule(text: str) -> Q:
    from uuid import UUID

    from schedules.models import Schedule

    try:
        return Q(schedule_id=UUID(text))
    except ValueError:
        found = Schedule.objects.filter(name=text).values_list("pk", flat=True).first()
        # A deleted schedule's runs carry its name; so do those that code started.
        return Q(schedule_id=found) if found is not None else Q(schedule_name=text)
