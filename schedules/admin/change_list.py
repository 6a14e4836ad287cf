"""The list of schedules: filters as chips with counts, and what its rows need, in a fixed number of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from schedules.admin.last_runs import BEFORE_ALL, last_runs
from schedules.conf import conf
from schedules.models import Run, RunStatus, Schedule
from schedules.models.choices import FAILED_STATUSES
from schedules.validators import visible_text

MOST_TAGS: Final = 12
"""Chips of tags: the most used ones. The others can be searched."""

STATES: Final = {
    "attention": gettext_lazy("Needs attention"),
    "running": gettext_lazy("Running"),
    "paused": gettext_lazy("Paused"),
    "disabled": gettext_lazy("Disabled"),
}


def late_since(now: datetime) -> datetime:
    """Return the moment before which a next run that has not come is late, by the grace of the settings."""
    return now - timedelta(seconds=conf.grace)


def state_condition(state: str, now: datetime) -> Q:
    """Return what the rows of a state have in common, as far as the database can tell."""
    paused = Q(paused_at__isnull=False) & (Q(paused_until__isnull=True) | Q(paused_until__gt=now))
    if state == "attention":
        bad = Q(last_status__in=(*FAILED_STATUSES, RunStatus.MISSED)) | ~Q(alarm="")
        late = Q(next_run_at__lt=late_since(now)) & ~paused
        return Q(enabled=True) & (bad | late)
    if state == "running":
        # One small partial index, read once; not a look at the ledger for each schedule. With a bound that holds for
        # all: without one, SQLite reads the whole of the larger index that happens to have all columns.
        running = Run.objects.running().order_by().filter(scheduled_for__gt=BEFORE_ALL)
        return Q(pk__in=running.values("schedule"))
    if state == "paused":
        return paused
    return Q(enabled=False)


class ChipFilter(admin.ListFilter):
    """A filter that is shown as chips: it takes its parameter, and asks the database for no choices."""

    title: Any = ""
    parameter_name: ClassVar[str]

    def __init__(
        self, request: HttpRequest, params: dict[str, list[str]], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        values = params.pop(self.parameter_name, [])
        self.value = values[-1] if values else ""
        if self.value:
            self.used_parameters[self.parameter_name] = self.value

    def has_output(self) -> bool:
        """It counts as a filter, so that the search keeps it."""
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        """None here: see `ScheduleChangeList.chips`."""
        return iter(())

    def expected_parameters(self) -> list[str | None]:
        """Its one parameter."""
        return [self.parameter_name]


class StateFilter(ChipFilter):
    """All, or those in one state."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Those in the state; a state that there is not means all."""
        return (
            queryset.filter(state_condition(self.value, timezone.now())) if self.value in STATES else queryset
        )


class QueueFilter(ChipFilter):
    """Those of one queue."""

    title = gettext_lazy("queue")
    parameter_name = "queue"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Those of the queue."""
        return queryset.filter(queue=self.value) if self.value else queryset


class TagFilter(ChipFilter):
    """Those with one tag."""

    title = gettext_lazy("tag")
    parameter_name = "tag"

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those with exactly this tag."""
        return queryset.tagged(self.value) if self.value else queryset


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that can be chosen."""

    text: str
    count: int | None
    url: str
    is_current: bool
    level: str = ""


class ScheduleChangeList(ChangeList):
    """Adds to Django's list: the moment at which all cells are told, the last runs of the rows, the chips."""

    now: datetime
    chips: list[Chip]
    is_filtered: bool
    is_empty: bool
    """Whether there is no schedule at all, filtered or not."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows, and with one query more the runs that their strips show."""
        super().get_results(request)
        self.now = timezone.now()
        rows = list(self.result_list)
        runs = last_runs(rows)
        for row in rows:
            row.last_runs = runs[row.pk]
            row.asked_at = self.now
        self.result_list = rows
        chosen = {name: self.params.get(name, "") for name in ("state", "queue", "tag")}
        self.is_filtered = bool(self.query or any(chosen.values()))
        self.chips = list(self._chips(chosen))

    def _chips(self, chosen: dict[str, Any]) -> Iterator[Chip]:
        counts = self._counts()
        self.is_empty = not counts.total
        yield Chip(
            _("All"), counts.total, self._url(remove=["state", "queue", "tag"]), not any(chosen.values())
        )
        for state, label in STATES.items():
            count = counts.states[state]
            if count or chosen["state"] == state or state in ("attention", "paused"):
                level = "error" if state == "attention" and count else ""
                yield self._chip("state", state, str(label), count, chosen, level=level)
        if len(counts.queues) > 1 or chosen["queue"]:
            for queue in sorted({*counts.queues, chosen["queue"]} - {""}):
                text = _("queue: %(name)s") % {"name": visible_text(queue)}
                yield self._chip("queue", queue, text, counts.queues[queue], chosen)
        shown = [tag for tag, _count in counts.tags.most_common(MOST_TAGS)]
        for tag in sorted({*shown, chosen["tag"]} - {""}):
            text = _("tag: %(name)s") % {"name": visible_text(tag)}
            yield self._chip("tag", tag, text, counts.tags[tag], chosen)

    def _chip(
        self, name: str, value: str, text: str, count: int, chosen: dict[str, Any], *, level: str = ""
    ) -> Chip:
        """Return a chip that adds its filter, or takes it away where it is in force."""
        is_current = chosen[name] == value
        url = self._url(remove=[name]) if is_current else self._url(new={name: value})
        return Chip(text, count, url, is_current, level)

    def _url(self, *, new: dict[str, str] | None = None, remove: list[str] | None = None) -> str:
        return self.get_query_string(new, [*(remove or []), PAGE_VAR])

    @property
    def clear_url(self) -> str:
        """Where nothing is filtered or searched; the order stays."""
        return self._url(remove=["state", "queue", "tag", "q"])

    def _counts(self) -> Counts:
        """Count everything that chips show, in one query: rows with equal queue and tags come as one."""
        now = timezone.now()
        sums = {
            f"in_{state}": Coalesce(
                Sum(
                    Case(
                        When(state_condition(state, now), then=Value(1)),
                        default=Value(0),
                        output_field=IntegerField(),
                    )
                ),
                0,
            )
            for state in STATES
        }
        groups = self.root_queryset.order_by().values("queue", "tags").annotate(rows=Count("pk"), **sums)
        counts = Counts(total=0, states=Counter(), queues=Counter(), tags=Counter())
        for group in groups:
            counts.total += group["rows"]
            counts.queues[group["queue"]] += group["rows"]
            for state in STATES:
                counts.states[state] += group[f"in_{state}"]
            tags = group["tags"] if isinstance(group["tags"], list) else []
            for tag in tags:
                counts.tags[str(tag)] += group["rows"]
        return counts


@dataclass(slots=True)
class Counts:
    """How many schedules there are, and how many of each sort."""

    total: int
    states: Counter[str]
    queues: Counter[str]
    tags: Counter[str]
