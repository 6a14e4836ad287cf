"""Success rate and percentiles of a set of runs: by the database where it can, else here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import models
from django.db.models import Aggregate, Count, FloatField, Q

from schedules.models.choices import FAILED_STATUSES, RunStatus

MEDIAN: Final = 0.5
TAIL: Final = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """How a schedule did over a window. Durations and delays are seconds; None: nothing to measure."""

    runs: int = 0
    """Rows that have ended or are under way, whatever became of them."""
    succeeded: int = 0
    failed: int = 0
    """Failed and abandoned."""
    duration_p50: float | None = None
    duration_p95: float | None = None
    delay_p50: float | None = None
    delay_p95: float | None = None

    @property
    def success_rate(self) -> float | None:
        """Share of the runs that ended well among those that ended well or badly, 0 to 1."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


class Percentile(Aggregate):
    """PostgreSQL's `percentile_cont`; rows without a value do not count."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    allow_distinct = False

    def __init__(self, expression: str, *, share: float, **extra: Any) -> None:
        super().__init__(expression, share=repr(float(share)), output_field=FloatField(), **extra)


def measure_in_sql(runs: models.QuerySet[Any]) -> Statistics:
    """Measure in one query, on PostgreSQL."""
    row = runs.order_by().aggregate(
        runs=Count("pk"),
        succeeded=Count("pk", filter=Q(status=RunStatus.SUCCEEDED)),
        failed=Count("pk", filter=Q(status__in=FAILED_STATUSES)),
        duration_p50=Percentile("duration", share=MEDIAN),
        duration_p95=Percentile("duration", share=TAIL),
        delay_p50=Percentile("delay", share=MEDIAN),
        delay_p95=Percentile("delay", share=TAIL),
    )
    return Statistics(**row)


def measure_here(runs: models.QuerySet[Any]) -> Statistics:
    """Measure in one query and this process, for databases without percentiles; the same figures."""
    rows = list(runs.order_by().values_list("status", "duration", "delay"))
    durations = sorted(duration for _, duration, _ in rows if duration is not None)
    delays = sorted(delay for _, _, delay in rows if delay is not None)
    return Statistics(
        runs=len(rows),
        succeeded=_count(rows, (RunStatus.SUCCEEDED,)),
        failed=_count(rows, FAILED_STATUSES),
        duration_p50=percentile(durations, MEDIAN),
        duration_p95=percentile(durations, TAIL),
        delay_p50=percentile(delays, MEDIAN),
        delay_p95=percentile(delays, TAIL),
    )


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the continuous percentile of ascending values, as PostgreSQL's `percentile_cont` defines it.

    >>> percentile([1.0, 2.0, 4.0], 0.5), percentile([1.0, 2.0], 0.5), percentile([], 0.5)
    (2.0, 1.5, None)
    """
    if not ordered:
        return None
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _count(rows: Iterable[tuple[str, Any, Any]], statuses: Sequence[str]) -> int:
    return sum(1 for status, _, _ in rows if status in statuses)
