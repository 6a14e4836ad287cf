"""The cells of the list of schedules: each answers one question, with the detail under it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from schedules.admin import moments
from schedules.admin.change_list import late_since
from schedules.admin.last_runs import LastRun, strip
from schedules.health.words import from_now, seconds_text
from schedules.models import Kind, RunStatus, Schedule
from schedules.targets import TargetError, resolve
from schedules.timing import CronTrigger, IntervalTrigger, TimingError, describe, next_slot
from schedules.translating import translated
from schedules.validators import visible_text

LONGEST_LINE: Final = 90
"""Characters of an error in a cell."""


class ScheduleColumns:
    """The columns of the list; rows come from `ScheduleChangeList`, which has read everything that they show."""

    @admin.display(description=gettext_lazy("schedule"), ordering="name")
    def schedule_cell(self, schedule: Schedule) -> SafeString:
        """Name, tags and function; and why it cannot run, if so."""
        tags = format_html_join(
            " ", '<span class="sch-tag">{}</span>', ((visible_text(str(tag)),) for tag in schedule.tags or ())
        )
        return format_html(
            '<a class="sch-name" href="{}">{}</a> {}<span class="sch-sub sch-code">{}</span>{}',
            reverse("admin:schedules_schedule_change", args=[schedule.pk]),
            str(schedule),
            format_html('<span class="sch-tags">{}</span>', tags) if tags else "",
            dotted(schedule.func),
            function_problem(schedule.func),
        )

    @admin.display(description=gettext_lazy("when"))
    def when_cell(self, schedule: Schedule) -> SafeString:
        """When it runs in plain words, and under it what was entered."""
        words, entered = when_words(schedule)
        return _labelled(
            _("When"),
            format_html('<span class="sch-main">{}</span><span class="sch-sub">{}</span>', words, entered),
        )

    @admin.display(description=gettext_lazy("next run"), ordering="next_run_at")
    def next_run_cell(self, schedule: Schedule) -> SafeString:
        """How long until it runs and when that is, or why it does not."""
        return _labelled(_("Next run"), next_run(schedule, now=_asked_at(schedule)))

    @admin.display(description=gettext_lazy("last run"), ordering="last_run_at")
    def last_run_cell(self, schedule: Schedule) -> SafeString:
        """What became of the last run, with a link to it."""
        runs: list[LastRun] = getattr(schedule, "last_runs", [])
        return _labelled(_("Last run"), last_run(schedule, runs, now=_asked_at(schedule)))

    @admin.display(description=gettext_lazy("last 20"), ordering="failures_in_a_row")
    def strip_cell(self, schedule: Schedule) -> SafeString:
        """The last runs as bars; sorted by failures in a row."""
        drawn = strip(getattr(schedule, "last_runs", []))
        return _labelled(
            _("Last 20"), drawn or format_html('<span class="sch-hidden">{}</span>', _("no runs"))
        )

    @admin.display(description=gettext_lazy("queue"))
    def queue_cell(self, schedule: Schedule) -> SafeString:
        """The queue."""
        return _labelled(_("Queue"), visible_text(schedule.queue))


def when_words(schedule: Schedule) -> tuple[str, SafeString]:
    """Return when a schedule runs: in plain words, and as it was entered, with its zone and bounds."""
    zone = moments.zone_named(schedule.timezone)
    now = _asked_at(schedule)
    words = visible_text(_words(schedule))
    if schedule.kind == Kind.CRON:
        entered = format_html(
            '<span class="sch-code">{}</span> {}',
            visible_text(schedule.cron or ""),
            visible_text(schedule.timezone),
        )
    elif schedule.kind == Kind.ONCE:
        entered = format_html("{}", visible_text(schedule.timezone))
    else:
        seconds = "–" if schedule.interval is None else str(schedule.interval)
        entered = format_html("{}", _("%(seconds)s s") % {"seconds": seconds})
    for bound, text in (
        (schedule.starts_at, _("from %(moment)s")),
        (schedule.ends_at, _("until %(moment)s")),
    ):
        if bound is not None:
            entered = format_html(
                "{} · {}", entered, text % {"moment": moments.short(bound, zone=zone, now=now)}
            )
    return words, entered


def _words(schedule: Schedule) -> str:
    """Describe the trigger by itself: zone and bounds are told in the line under it."""
    try:
        if schedule.kind == Kind.CRON:
            bare = CronTrigger(expression=schedule.cron or "", timezone=schedule.timezone)
            return translated(describe(bare, with_zone=False))
        if schedule.kind == Kind.ONCE:
            if schedule.run_at is None:
                return "–"
            zone = moments.zone_named(schedule.timezone)
            return _("Once, %(moment)s") % {"moment": moments.full(schedule.run_at, zone=zone)}
        every = schedule.interval_in_force
        if every is None or every <= 0:
            return _("Not scheduled")
        return translated(describe(IntervalTrigger(every=every, anchor=schedule.created_at)))
    except ValueError as error:  # a row that a hand wrote past the validation still has its line
        return translated(error)


def next_run(schedule: Schedule, *, now: datetime) -> SafeString:
    """Return when it runs next, or why it does not."""
    zone = moments.zone_named(schedule.timezone)
    if not schedule.enabled:
        return pill("disabled", _("Disabled"))
    if schedule.is_paused(now):
        return _paused(schedule, now=now)
    problem = schedule.not_scheduled_because
    if problem:
        return format_html(
            '{}<span class="sch-sub">{}</span>', pill("disabled", _("Not scheduled")), translated(problem)
        )
    planned = schedule.next_run_at
    if planned is None or planned <= schedule.updated_at:
        # The keeper has not noted it yet. What it will note comes from the same function.
        planned = _next_slot(schedule, now)
    if planned is None:
        return format_html(
            '{}<span class="sch-sub">{}</span>', pill("ended", _("Ended")), _("no run lies ahead")
        )
    absolute = moments.time_tag(planned, moments.short(planned, zone=zone, now=now), zone=zone)
    if planned < late_since(now):
        return format_html(
            '{}<span class="sch-sub">{} · {}</span>',
            pill("late", _("Late")),
            _("due %(ago)s") % {"ago": from_now(planned, now=now)},
            absolute,
        )
    relative = _("now") if planned <= now else from_now(planned, now=now)
    return format_html('<span class="sch-main">{}</span><span class="sch-sub">{}</span>', relative, absolute)


def _paused(schedule: Schedule, *, now: datetime) -> SafeString:
    zone = moments.zone_named(schedule.timezone)
    until = (
        ""
        if schedule.paused_until is None
        else _("until %(moment)s") % {"moment": moments.short(schedule.paused_until, zone=zone, now=now)}
    )
    reason = Truncator(visible_text(schedule.pause_reason)).chars(LONGEST_LINE)
    return format_html(
        '{}<span class="sch-sub">{}</span>',
        pill("paused", _("Paused")),
        " · ".join(part for part in (until, reason) if part),
    )


def _next_slot(schedule: Schedule, now: datetime) -> datetime | None:
    try:
        trigger = schedule.trigger()
        return next_slot(trigger, now)
    except (TimingError, ValueError):
        return None


def last_run(schedule: Schedule, runs: list[LastRun], *, now: datetime) -> SafeString:
    """Return what became of the last run: outcome, age and duration, the first line of an error."""
    if not runs:
        if schedule.last_run_at is None:
            return format_html('<span class="sch-sub">{}</span>', _("has not run yet"))
        status = schedule.last_status or "unknown"
        return format_html(
            '{}<span class="sch-sub">{}</span>',
            pill(status, _status_word(status)),
            from_now(schedule.last_run_at, now=now),
        )
    run = runs[-1]
    word = format_html(
        '<a class="sch-pill" data-state="{}" href="{}">{}</a>',
        run.status,
        reverse("admin:schedules_run_change", args=[run.pk]),
        _status_word(run.status),
    )
    moment = run.finished_at or run.started_at or run.scheduled_for
    facts = [from_now(min(moment, now), now=now), seconds_text(run.duration)]
    told = run.exception if run.has_failed else ""
    line = (told or run.reason).strip().partition("\n")[0] if run.status != RunStatus.SUCCEEDED else ""
    return format_html(
        '{}<span class="sch-sub">{}</span>{}',
        word,
        ", ".join(fact for fact in facts if fact),
        format_html(
            '<span class="sch-sub{}">{}</span>',
            " sch-error" if run.has_failed else "",
            Truncator(visible_text(line)).chars(LONGEST_LINE),
        )
        if line
        else "",
    )


def function_problem(path: str) -> SafeString | str:
    """Return a line for a function that cannot be called any more; empty: it can."""
    try:
        resolve(path)
    except TargetError as error:
        return format_html(
            '<span class="sch-sub sch-error" title="{}">{}</span>',
            visible_text(translated(error)),
            _("function not available"),
        )
    return ""


def pill(state: str, word: str) -> SafeString:
    """Return a word with its shape and colour."""
    return format_html('<span class="sch-pill" data-state="{}">{}</span>', state, word)


def _status_word(status: str) -> str:
    words: dict[Any, str] = {
        RunStatus.QUEUED: _("Queued"),
        RunStatus.RUNNING: _("Running"),
        RunStatus.SUCCEEDED: _("OK"),
        RunStatus.FAILED: _("Failed"),
        RunStatus.SKIPPED: _("Skipped"),
        RunStatus.MISSED: _("Missed"),
        RunStatus.CANCELED: _("Canceled"),
        RunStatus.ABANDONED: _("Abandoned"),
    }
    return words.get(status, _("Unknown"))


def _labelled(label: str, value: str) -> SafeString:
    """Return a cell with the column's name in it, for narrow screens, where the header is not shown."""
    return format_html('<span class="sch-label">{}</span><div class="sch-value">{}</div>', label, value)


def dotted(path: str) -> SafeString:
    """Return a dotted path that may be broken after its dots."""
    return format_html_join(mark_safe(".<wbr>"), "{}", ((part,) for part in visible_text(path).split(".")))


def _asked_at(schedule: Schedule) -> datetime:
    asked: datetime | None = getattr(schedule, "asked_at", None)
    if asked is None:
        asked = timezone.now()
    return asked
