"""The page of all runs: filters from the address, pages by the place in the order, never a count of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from schedules.admin import moments
from schedules.conf import ConfError, conf
from schedules.models import Run, RunStatus, RunTrigger, Schedule
from schedules.models.run import RunQuerySet
from schedules.templatetags.schedules_runs import STATUS_WORDS, TRIGGER_WORDS, visible

PER_PAGE: Final = 50
COUNTED: Final = 5000
"""Rows that the chips count: the newest of those that match."""
MOST_CHOICES: Final = 200
"""Schedules up to which there is a list to choose from; with more, the links in the rows lead to one."""
COLUMNS: Final = (
    *("id", "schedule_id", "schedule_name", "func", "scheduled_for", "slots", "status", "trigger", "reason"),
    *("exception", "delay", "duration", "queue", "worker", "attempt", "started_by"),
)
WINDOWS: Final = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
TODAY: Final = "today"
"""Since midnight, as the sums of the first page count; the others are lengths."""
SEARCH_WINDOW: Final = "24h"
"""A search reads every text in the window: without one that was chosen, it is this."""
RARE: Final = ("skipped", "canceled")
RARE_WINDOW: Final = "7d"
"""States that few rows have, and no index: without a window, a page of them would read the whole ledger."""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "succeeded": (RunStatus.SUCCEEDED,),
    "failed": (RunStatus.FAILED, RunStatus.ABANDONED),
    "running": (RunStatus.RUNNING,),
    "queued": (RunStatus.QUEUED,),
    "missed": (RunStatus.MISSED,),
    "skipped": (RunStatus.SKIPPED,),
    "canceled": (RunStatus.CANCELED,),
}
"""The chips; a run that was abandoned has failed, to those who look for failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What an address asks for; what it asks wrongly is left out."""

    state: str = ""
    schedule: UUID | None = None
    queue: str = ""
    trigger: str = ""
    window: str = ""
    search: str = ""

    @classmethod
    def from_query(cls, query: QueryDict) -> Filters:
        """Read the address."""
        try:
            schedule = UUID(query.get("schedule") or query.get("schedule__id__exact", ""))
        except ValueError:
            schedule = None
        search = query.get("q", "").replace("\x00", "").strip()[:100]
        window = query.get("since", "")
        window = window if window in (*WINDOWS, TODAY) else ""
        state = query.get("state", "")
        state = state if state in GROUPS else ""
        by_itself = SEARCH_WINDOW if search else RARE_WINDOW if state in RARE else ""
        return cls(
            state=state,
            schedule=schedule,
            queue=query.get("queue", "").replace("\x00", "")[:100],
            trigger=query.get("trigger", "") if query.get("trigger") in RunTrigger.values else "",
            window=window or by_itself,
            search=search,
        )

    @property
    def is_empty(self) -> bool:
        """Whether all runs are shown."""
        return self == Filters()

    def applied(self, runs: RunQuerySet, *, now: datetime, with_state: bool) -> RunQuerySet:
        """Return the runs that match; without the state, those that the chips count."""
        if self.schedule is not None:
            runs = runs.filter(schedule=self.schedule)
        if self.queue:
            runs = runs.filter(queue=self.queue)
        if self.trigger:
            runs = runs.triggered_by(self.trigger)
        if self.window:
            since = moments.midnight(now) if self.window == TODAY else now - WINDOWS[self.window]
            runs = runs.filter(scheduled_for__gte=since)
        if self.search:
            runs = runs.filter(Q(exception__icontains=self.search) | Q(reason__icontains=self.search))
        if with_state and self.state:
            runs = runs.filter(status__in=GROUPS[self.state])
        return runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of runs, the newest first, and where the next ones begin; empty: there are none."""

    runs: Sequence[Run]
    newer: str
    older: str


def page_of(runs: QuerySet[Run], query: QueryDict) -> Page:
    """Return the page that an address asks for: `before` or `after` a place in the order, or the `end`."""
    before, after = _place(query.get("before", "")), _place(query.get("after", ""))
    is_end = "end" in query
    if before is not None:
        at, pk = before
        runs = runs.filter(Q(scheduled_for__lt=at) | Q(scheduled_for=at, id__lt=pk), scheduled_for__lte=at)
    elif after is not None:
        at, pk = after
        runs = runs.filter(Q(scheduled_for__gt=at) | Q(scheduled_for=at, id__gt=pk), scheduled_for__gte=at)
    backwards = before is None and (after is not None or is_end)
    order = ("scheduled_for", "id") if backwards else ("-scheduled_for", "-id")
    rows = list(runs.only(*COLUMNS).order_by(*order)[: PER_PAGE + 1])
    there_is_more = len(rows) > PER_PAGE
    rows = rows[:PER_PAGE]
    if backwards:
        rows.reverse()
    if not rows:
        return Page(runs=(), newer="", older="")
    has_newer = there_is_more if backwards else before is not None
    has_older = (after is not None) if backwards else there_is_more
    return Page(
        runs=rows,
        newer=_cursor(rows[0]) if has_newer else "",
        older=_cursor(rows[-1]) if has_older else "",
    )


def context_of(query: QueryDict, *, now: datetime) -> dict[str, Any]:
    """Return what the page shows."""
    filters = Filters.from_query(query)
    all_runs = Run.objects.all()
    page = page_of(filters.applied(all_runs, now=now, with_state=True), query)
    counted = filters.applied(all_runs, now=now, with_state=False).order_by("-scheduled_for", "-id")
    counts = Counter(counted.values_list("status", flat=True)[:COUNTED])
    choices = list(Schedule.objects.order_by("name").values_list("pk", "name")[: MOST_CHOICES + 1])
    chosen = next((name for pk, name in choices if pk == filters.schedule), None)
    if filters.schedule is not None and chosen is None:
        chosen = Schedule.objects.filter(pk=filters.schedule).values_list("name", flat=True).first()
        chosen = chosen or str(filters.schedule)
    return {
        "filters": filters,
        "page": page,
        "chips": _chips(query, filters, counts),
        "is_counted_in_part": sum(counts.values()) >= COUNTED,
        "counted": COUNTED,
        "schedules": [(str(pk), visible(name)) for pk, name in choices]
        if len(choices) <= MOST_CHOICES
        else [],
        "chosen_schedule": chosen,
        "queues": _queues(filters.queue),
        "triggers": [(str(trigger), str(word)) for trigger, word in TRIGGER_WORDS.items()],
        "windows": [
            ("1h", _("last hour")),
            (TODAY, _("today")),
            ("24h", _("last 24 hours")),
            ("7d", _("last 7 days")),
            ("30d", _("last 30 days")),
        ],
        "kept": _kept(filters.schedule) if page.runs and not page.older else None,
        "newest_url": address(query, drop=("before", "after", "end")),
        "newer_url": address(query, after=page.newer, drop=("before", "end")) if page.newer else "",
        "older_url": address(query, before=page.older, drop=("after", "end")) if page.older else "",
        "oldest_url": address(query, end="1", drop=("before", "after")) if page.older else "",
    }


def address(query: QueryDict, *, drop: Sequence[str] = (), **changes: str) -> str:
    """Return the address of this page with changes."""
    changed = query.copy()
    for name in drop:
        changed.pop(name, None)
    for name, value in changes.items():
        changed[name] = value
    return f"?{changed.urlencode()}"


def _kept(schedule: UUID | None) -> dict[str, int] | None:
    """Return for how many days, and how many of a schedule, runs are kept; None: a setting cannot be read."""
    days = runs = None
    if schedule is not None:
        rules = Schedule.objects.filter(pk=schedule).values_list("keep_days", "keep_runs")
        days, runs = rules.first() or (None, None)
    try:
        return {"days": days or conf.keep_days, "runs": runs or conf.keep_runs}
    except ConfError:
        return None


def _chips(query: QueryDict, filters: Filters, counts: Counter[str]) -> list[dict[str, Any]]:
    start = ("before", "after", "end")
    everything = sum(counts.values())
    chips: list[dict[str, Any]] = [
        {
            "word": _("All"),
            "count": everything,
            "url": address(query, drop=(*start, "state")),
            "is_current": not filters.state,
        }
    ]
    for name, statuses in GROUPS.items():
        count = sum(counts[status] for status in statuses)
        if count or filters.state == name:
            chips.append(
                {
                    "word": STATUS_WORDS[RunStatus(statuses[0])],
                    "count": count,
                    "url": address(query, drop=start, state=name),
                    "is_current": filters.state == name,
                    "level": "error" if name == "failed" else "",
                }
            )
    return chips


def _queues(chosen: str) -> list[str]:
    try:
        names = list(conf.queues)
    except ConfError:
        names = []
    return names if not chosen or chosen in names else [*names, chosen]


def _cursor(run: Run) -> str:
    return f"{round(run.scheduled_for.timestamp() * 1_000_000)}-{run.pk}"


def _place(cursor: str) -> tuple[datetime, int] | None:
    """Read a place in the order; None for what is none."""
    moment, separator, pk = cursor.partition("-")
    if not separator or not (moment.isdecimal() and pk.isdecimal()) or len(moment) > 17 or len(pk) > 18:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(moment)), int(pk)
