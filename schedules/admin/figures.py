"""How well each schedule did over a day, a week, a month: success, percentiles, and a small chart."""

from __future__ import annotations

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
    name: str
    succeeded: int = 0
    failed: int = 0
    durations: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    good: list[int] = field(default_factory=lambda: [0] * BARS)
    bad: list[int] = field(default_factory=lambda: [0] * BARS)

    @property
    def share(self) -> float | None:
        """Share of what ended well, in percent; None: nothing ended."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended * 100 if ended else None

    @property
    def chart(self) -> list[dict[str, float]]:
        """Heights of the bars: what ended well below, what ended badly on top."""
        bars = list(zip(self.good, self.bad, strict=True))
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

    def measured(self) -> dict[str, float | None]:
        """Return the percentiles, seconds."""
        durations, delays = sorted(self.durations), sorted(self.delays)
        return {
            "duration_p50": percentile(durations, MEDIAN),
            "duration_p95": percentile(durations, TAIL),
            "delay_p50": percentile(delays, MEDIAN),
            "delay_p95": percentile(delays, TAIL),
        }


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
    rows = list(
        Run.objects.filter(ended, scheduled_for__gte=since, schedule__isnull=False)
        .order_by("-scheduled_for", "-id")
        .values_list("schedule_id", "schedule_name", "scheduled_for", "status", "duration", "delay")[
            :STATISTICS_ROWS
        ]
    )
    found: dict[Any, Figures] = {}
    for pk, name, at, status, duration, delay in rows:
        figures = found.get(pk)
        if figures is None:
            figures = found[pk] = Figures(schedule_id=pk, name=name)
        is_good = status == RunStatus.SUCCEEDED
        figures.succeeded += is_good
        figures.failed += not is_good
        bars = figures.good if is_good else figures.bad
        bars[min(BARS - 1, int((at - since) / length * BARS))] += 1
        if duration is not None:
            figures.durations.append(duration)
        if delay is not None:
            figures.delays.append(delay)
    # Those with failures first, then those that run most.
    chosen = sorted(found.values(), key=lambda one: (-one.failed, -one.succeeded, one.name))[
        :STATISTICS_LANES
    ]
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
        "is_part": len(rows) >= STATISTICS_ROWS,
        "count": len(rows),
    }
