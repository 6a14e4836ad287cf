"""How well each schedule did over a day, a week, a month: success, percentiles, and a small chart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from schedules.health.words import decimal
from schedules.models import Run, RunStatus
from schedules.models.choices import FAILED_STATUSES
from schedules.models.statistics import MEDIAN, TAIL, percentile

STATISTICS_ROWS: Final = 20_000
STATISTICS_LANES: Final = 15
WINDOWS: Final = {
    "day": (timedelta(days=1), gettext_lazy("last day")),
    "week": (timedelta(days=7), gettext_lazy("last week")),
    "month": (timedelta(days=30), gettext_lazy("last month")),
}
KEPT: Final = timedelta(minutes=1)
"""How long figures are shown before they are measured again."""
BARS: Final = 24
"""Bars of a chart, however long its window is."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """How one schedule did in the window."""

    schedule_id: UUID
    name: str = ""
    succeeded: int = 0
    failed: int = 0
    runs: list[tuple[int, bool, float | None, float | None]] = field(default_factory=list)
    """Of each run its bar, whether it ended well, duration and delay in seconds. Nothing is made of them but for
    those that are shown: there may be ten thousand others."""

    @property
    def share(self) -> float | None:
        """Share of what ended well, in percent; None: nothing ended."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended * 100 if ended else None

    @property
    def chart(self) -> list[dict[str, float]]:
        """Heights of the bars: what ended well below, what ended badly on top."""
        bars = [[0, 0] for _ in range(BARS)]
        for bar, is_good, _duration, _delay in self.runs:
            bars[bar][not is_good] += 1
        most = max(map(sum, bars)) or 1
        drawn = []
        for place, (went_well, went_badly) in enumerate(bars):
            good, bad = went_well / most * 20, went_badly / most * 20
            # One failure among thousands must be seen.
            bad, good = (max(bad, 2.0) if bad else 0.0), (max(good, 1.0) if good else 0.0)
            drawn.append(
                {"x": place * 5, "good_y": 24 - good, "good": good, "bad_y": 24 - good - bad, "bad": bad}
            )
        return drawn

    def measured(self) -> dict[str, Any]:
        """Return the percentiles, seconds, and their charts."""
        durations = [(bar, duration) for bar, _good, duration, _delay in self.runs if duration is not None]
        delays = [(bar, delay) for bar, _good, _duration, delay in self.runs if delay is not None]
        found: dict[str, Any] = {}
        for name, pairs in (("duration", durations), ("delay", delays)):
            values = sorted(value for _bar, value in pairs)
            found[f"{name}_p50"] = percentile(values, MEDIAN)
            found[f"{name}_p95"] = percentile(values, TAIL)
            found[f"{name}_chart"] = percentile_chart(pairs)
        return found


def percentile_chart(pairs: Iterable[tuple[int, float]]) -> list[dict[str, float]]:
    """Return bars of a chart of 24 units: up to p95, and in it up to p50; without those in which nothing ran."""
    bars: dict[int, list[float]] = defaultdict(list)
    for bar, value in pairs:
        bars[bar].append(value)
    measured = [
        (place, percentile(values, MEDIAN) or 0.0, percentile(values, TAIL) or 0.0)
        for place, values in sorted((place, sorted(values)) for place, values in bars.items())
    ]
    most = max((tail for _place, _median, tail in measured), default=0.0)
    if most <= 0:
        return []
    drawn = []
    for place, median, tail in measured:
        # Clocks that differ make a delay negative: it is told, and not drawn.
        high, low = max(tail / most * 23, 1.0), max(median / most * 23, 0.5)
        drawn.append({"x": place * 5, "tail_y": 24 - high, "tail": high, "median_y": 24 - low, "median": low})
    return drawn


_kept: dict[str, tuple[datetime, dict[str, Any]]] = {}
"""The figures of each window, and until when they are shown; in this process, so that no cache can be away."""


def forget_figures() -> None:
    """Measure anew at the next question, for tests."""
    _kept.clear()


def figures_of(window: str, now: datetime) -> dict[str, Any]:
    """Return the figures of the schedules that ran most lately; kept for a minute, as they change slowly."""
    until, kept = _kept.get(window, (now, {}))
    if not kept or now >= until or until - now > KEPT:
        kept = _measured(window, now)
        _kept[window] = (now + KEPT, kept)
    # What is kept is shown to people of several languages.
    return {**kept, "rows": [{**row, "success": percent(row["share"])} for row in kept["rows"]]}


def percent(share: float | None) -> str:
    """Return a share in percent as text, rounded down: 99.97 % is not 100 %."""
    if share is None:
        return ""
    return _("%(share)s %%") % {"share": "100" if share == 100 else decimal(int(share * 10) / 10)}


def _measured(window: str, now: datetime) -> dict[str, Any]:
    length = WINDOWS[window][0]
    since = now - length
    ended = Q(status=RunStatus.SUCCEEDED) | Q(status__in=FAILED_STATUSES)
    runs = Run.objects.filter(ended, scheduled_for__gte=since, schedule__isnull=False).order_by(
        "-scheduled_for", "-id"
    )
    # First who is shown, from two columns; all others cost ten times as much, and are read of those alone.
    counts: Counter[tuple[UUID, str]] = Counter(runs.values_list("schedule_id", "status")[:STATISTICS_ROWS])
    found: dict[UUID, Figures] = {}
    for (pk, status), count in counts.items():
        figures = found.setdefault(pk, Figures(schedule_id=pk))
        if status == RunStatus.SUCCEEDED:
            figures.succeeded += count
        else:
            figures.failed += count
    # Those with failures first, then those that run most.
    chosen = sorted(found.values(), key=lambda one: (-one.failed, -one.succeeded, one.schedule_id))
    chosen = chosen[:STATISTICS_LANES]
    # The newest of these are the ones that were counted.
    many = sum(one.succeeded + one.failed for one in chosen)
    rows = runs.filter(schedule__in=[one.schedule_id for one in chosen]).values_list(
        "schedule_id", "schedule_name", "scheduled_for", "status", "duration", "delay"
    )[:many]
    for pk, name, at, status, duration, delay in rows if many else ():
        figures = found[pk]
        figures.name = figures.name or name
        bar = min(BARS - 1, int((at - since) / length * BARS))
        figures.runs.append((bar, status == RunStatus.SUCCEEDED, duration, delay))
    counted = counts.total()
    return {
        "rows": [
            {
                "schedule_id": one.schedule_id,
                "name": one.name,
                "runs": one.succeeded + one.failed,
                "share": one.share,
                "failed": one.failed,
                "chart": one.chart,
                **one.measured(),
            }
            for one in chosen
        ],
        "is_part": counted >= STATISTICS_ROWS,
        "count": counted,
    }
