"""Doing what was asked for on the pages of schedules: start, pause, resume, switch, copy, delete; each is logged."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules import sync
from schedules.admin import moments
from schedules.admin.changes import (
    PAYLOAD_FIELDS,
    change_message,
    creation_message,
    start_message,
    values_of,
)
from schedules.forms.actions import PauseForm
from schedules.health.words import from_now
from schedules.models import Kind, Schedule
from schedules.services import SchedulerService, ServiceError, once
from schedules.spec import ScheduleSpec
from schedules.timing import next_slot
from schedules.translating import translated
from schedules.validators import schedule_errors, visible_text

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin

AT_A_TIME: Final = 500
"""Rows that one transaction changes."""


def start_and_leave(
    admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule, *, before: Mapping[str, Any]
) -> HttpResponse:
    """Start one run, once for each token, and go back to the schedule."""
    if not is_again(request):
        job_id = start(admin, request, schedule, before=before)
        if job_id is not None:
            tell_with_link(
                request,
                _("“%(name)s” is queued.") % {"name": str(schedule)},
                reverse("admin:schedules_run_of_job", args=[job_id]),
                _("See the run"),
            )
    return redirect(page_of(schedule))


def start(
    admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule, *, before: Mapping[str, Any] | None = None
) -> str | None:
    """Start one run and log it; return its job, or None with a message why there is none.

    Args:
        before: the arguments that the row has, where this run gets others.
    """
    errors = schedule_errors(schedule, now=timezone.now(), adding=False)
    problems = errors.get("func")
    try:
        if problems:
            raise ServiceError(problems[0])
        job = SchedulerService.start(_spec_to_run(schedule), started_by=request.user.get_username())
    except (ServiceError, ValueError) as error:
        messages.error(request, visible_text(f"{schedule.name}: {translated(error)}"))
        return None
    after = values_of(schedule, PAYLOAD_FIELDS)
    message = start_message(str(job.id), before=after if before is None else before, after=after)
    admin.log_change(request, schedule, message)
    return str(job.id)


def _spec_to_run(schedule: Schedule) -> ScheduleSpec:
    """Return the spec of one run, also of a schedule that has no slots at present."""
    try:
        return schedule.to_spec()
    except ValueError:
        clone = copy.copy(schedule)
        clone.kind, clone.run_at, clone.starts_at, clone.ends_at = Kind.ONCE, timezone.now(), None, None
        return replace(clone.to_spec(), id=str(schedule.pk))


def with_arguments(schedule: Schedule, changed: dict[str, Any]) -> Schedule:
    """Return the schedule as it is for one run; nothing is saved."""
    wanted = copy.copy(schedule)
    for name, value in changed.items():
        setattr(wanted, name, value)
    return wanted


def pause(request: HttpRequest, schedules: Sequence[Schedule], form: PauseForm) -> None:
    """Pause each, and log until when and why; one that is paused exactly so already stays as it is."""
    until, reason = form.cleaned_data["until"], form.cleaned_data["reason"]
    now = timezone.now()

    def change(rows: list[Schedule]) -> int:
        others = [
            row
            for row in rows
            if row.paused_at is None or (row.paused_until, row.pause_reason) != (until, reason)
        ]
        values = {"paused_at": now, "paused_until": until, "pause_reason": reason}
        return _change(request, others, values, now=now)

    count = _in_parts(schedules, change)
    if not count:
        messages.info(request, _("It is paused so already."))
        return
    text = ngettext("%(count)d schedule is paused.", "%(count)d schedules are paused.", count) % {
        "count": count
    }
    place = reverse("admin:schedules_schedule_changelist") + "?state=paused"
    tell_with_link(request, text, place, _("See all that are paused"))


def resume(request: HttpRequest, schedules: Sequence[Schedule]) -> None:
    """Resume each that is paused, and say when it runs next."""
    now = timezone.now()
    resumed: list[Schedule] = []

    def change(rows: list[Schedule]) -> int:
        paused = [row for row in rows if row.paused_at is not None]
        resumed.extend(paused)
        nothing = {"paused_at": None, "paused_until": None, "pause_reason": ""}
        return _change(request, paused, nothing, now=now, resumed_at=now)

    count = _in_parts(schedules, change)
    if count == 1:
        (one,) = resumed
        one.refresh_from_db()
        text = _("“%(name)s” is resumed. %(next)s") % {"name": str(one), "next": next_line(one)}
        tell_with_link(request, text, page_of(one), _("See it"))
        return
    text = ngettext("%(count)d schedule is resumed.", "%(count)d schedules are resumed.", count) % {
        "count": count
    }
    tell_with_link(request, text, reverse("admin:schedules_schedule_changelist"), _("See all schedules"))


def switch(request: HttpRequest, schedules: Sequence[Schedule], *, enabled: bool) -> None:
    """Set or take away `enabled`: the intent."""
    now = timezone.now()

    def change(rows: list[Schedule]) -> int:
        others = [row for row in rows if row.enabled != enabled]
        # It counts as an edit: a form that is open does not take it back silently.
        return _change(request, others, {"enabled": enabled}, now=now, version=F("version") + 1)

    count = _in_parts(schedules, change)
    text = (
        ngettext("%(count)d schedule is enabled now.", "%(count)d schedules are enabled now.", count)
        if enabled
        else ngettext("%(count)d schedule is disabled now.", "%(count)d schedules are disabled now.", count)
    )
    place = reverse("admin:schedules_schedule_changelist") + ("" if enabled else "?state=disabled")
    tell_with_link(
        request, text % {"count": count}, place, _("See all schedules") if enabled else _("See them")
    )


def remove(admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule]) -> None:
    """Delete each; its runs stay."""

    def change(rows: list[Schedule]) -> int:
        admin.log_deletions(request, rows)
        _total, by_model = Schedule.objects.filter(pk__in=[row.pk for row in rows]).delete()
        return by_model.get(Schedule._meta.label, 0)

    count = _in_parts(schedules, change)
    text = ngettext("%(count)d schedule is deleted.", "%(count)d schedules are deleted.", count) % {
        "count": count
    }
    tell_with_link(request, text, reverse("admin:schedules_run_changelist"), _("See the runs"))


def _in_parts(schedules: Sequence[Schedule], change: Callable[[list[Schedule]], int]) -> int:
    """Change rows as they are now, some at a time, each time in a transaction that holds them; return how many."""
    keys = [schedule.pk for schedule in schedules]
    count = 0
    for start in range(0, len(keys), AT_A_TIME):
        with transaction.atomic():
            chosen = Schedule.objects.filter(pk__in=keys[start : start + AT_A_TIME])
            count += change(list(chosen.select_for_update().order_by("pk")))
    return count


def _change(
    request: HttpRequest, rows: Sequence[Schedule], values: Mapping[str, Any], *, now: datetime, **silent: Any
) -> int:
    """Give rows the same values, log each with what it was, and bring them to Redis after the commit."""
    if not rows:
        return 0
    kind = get_content_type_for_model(Schedule)
    entries = []
    for row in rows:
        before = values_of(row, tuple(values))
        entries.append(
            LogEntry(
                user_id=request.user.pk or 0,
                content_type_id=kind.pk,
                object_id=str(row.pk),
                object_repr=str(row)[:200],
                action_flag=CHANGE,
                change_message=json.dumps(change_message(before, values)),
            )
        )
    keys = [row.pk for row in rows]
    # Only these fields: a row that somebody edits meanwhile keeps the edit.
    count = Schedule.objects.filter(pk__in=keys).update(**values, **silent, updated_at=now)
    LogEntry.objects.bulk_create(entries)
    transaction.on_commit(partial(sync.push, *keys), robust=True)
    return count


def make_copy(admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule) -> None:
    """Save a copy under a name of its own, switched off."""
    made = Schedule(**{field.attname: getattr(schedule, field.attname) for field in _edited_fields()})
    made.id, made.enabled = uuid.uuid4(), False
    number, base = 1, schedule.name[:180]
    while True:
        made.name = (
            _("%(name)s (copy)") % {"name": base}
            if number == 1
            else _("%(name)s (copy %(number)d)") % {"name": base, "number": number}
        )
        if not Schedule.objects.filter(name=made.name).exists():
            break
        number += 1
    made.save()
    admin.log_addition(request, made, creation_message(made, copied_from=schedule.name))


def _edited_fields() -> list[Any]:
    return [field for field in Schedule._meta.concrete_fields if field.editable]


def is_again(request: HttpRequest) -> bool:
    """Use the form's token up; say that it was used before, or that this cannot be told."""
    try:
        if once.is_first(request.POST.get("token", "")):
            return False
    except ServiceError as error:
        messages.error(request, translated(error))
        return True
    messages.info(request, _("This was asked for already; it runs once."))
    return True


def next_line(schedule: Schedule) -> str:
    """Say when a schedule runs next."""
    now = timezone.now()
    try:
        planned: datetime | None = next_slot(schedule.trigger(), now)
    except ValueError:
        planned = None
    if planned is None:
        return _("No run lies ahead.")
    zone = moments.zone_named(schedule.timezone)
    return _("Its next planned run is %(moment)s, %(relative)s.") % {
        "moment": moments.short(planned, zone=zone, now=now),
        "relative": from_now(planned, now=now),
    }


def page_of(schedule: Schedule) -> str:
    """Return the address of a schedule's page."""
    return reverse("admin:schedules_schedule_change", args=[schedule.pk])


def tell_with_link(request: HttpRequest, text: str, place: str, link: str) -> None:
    """Say what was done, with a link to it."""
    messages.success(request, format_html('{} <a href="{}">{}</a>', text, place, link))
