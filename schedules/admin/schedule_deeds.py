"""Doing what was asked for on the pages of schedules: start, pause, resume, copy; each is logged."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules import texts
from schedules.admin import moments
from schedules.admin.changes import creation_message
from schedules.forms.actions import PauseForm
from schedules.models import Kind, Schedule
from schedules.services import SchedulerService, ServiceError, once
from schedules.spec import ScheduleSpec
from schedules.timing import next_slot
from schedules.translating import translated
from schedules.validators import schedule_errors

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin


def start_and_leave(
    admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule, *, changed: bool
) -> HttpResponse:
    """Start one run, once for each token, and go back to the schedule."""
    if not is_again(request):
        job_id = start(admin, request, schedule, changed=changed)
        if job_id is not None:
            tell_with_link(
                request,
                _("“%(name)s” is queued.") % {"name": schedule.name},
                reverse("admin:schedules_run_of_job", args=[job_id]),
                _("See the run"),
            )
    return redirect(page_of(schedule))


def start(
    admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule, *, changed: bool = False
) -> str | None:
    """Start one run and log it; return its job, or None with a message why there is none."""
    errors = schedule_errors(schedule, now=timezone.now(), adding=False)
    problems = errors.get("func")
    try:
        if problems:
            raise ServiceError(problems[0])
        job = SchedulerService.start(_spec_to_run(schedule), started_by=request.user.get_username())
    except (ServiceError, ValueError) as error:
        messages.error(request, f"{schedule.name}: {translated(error)}")
        return None
    text = (
        texts.gettext("Run now, with other arguments, as %(job)s.")
        if changed
        else texts.gettext("Run now, as %(job)s.")
    )
    admin.log_change(request, schedule, text % {"job": job.id})
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


def pause(admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule], form: PauseForm) -> None:
    """Pause each, and log until when and why."""
    now = timezone.now()
    until, reason = form.cleaned_data["until"], form.cleaned_data["reason"]
    for schedule in schedules:
        with transaction.atomic():
            row = Schedule.objects.select_for_update().get(pk=schedule.pk)
            row.pause(at=now, until=until, reason=reason)
            row.save(update_fields=["paused_at", "paused_until", "pause_reason", "updated_at"])
            logged = (
                texts.gettext("Paused: %(reason)s")
                if until is None
                else texts.gettext("Paused (until %(until)s UTC): %(reason)s")
            )
            values = {"reason": reason or "–", "until": f"{until or now:%Y-%m-%d %H:%M}"}
            admin.log_change(request, row, logged % values)
    count = len(schedules)
    text = ngettext("%(count)d schedule is paused.", "%(count)d schedules are paused.", count) % {
        "count": count
    }
    place = reverse("admin:schedules_schedule_changelist") + "?state=paused"
    tell_with_link(request, text, place, _("See all that are paused"))


def resume(admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule]) -> None:
    """Resume each that is paused, and say when it runs next."""
    now = timezone.now()
    resumed: list[Schedule] = []
    for schedule in schedules:
        with transaction.atomic():
            row = Schedule.objects.select_for_update().get(pk=schedule.pk)
            if row.paused_at is None:
                continue
            old = row.pause_reason
            row.resume(at=now)
            row.save(update_fields=["paused_at", "paused_until", "pause_reason", "resumed_at", "updated_at"])
            logged = texts.gettext("Resumed (was paused: %(reason)s).")
            admin.log_change(request, row, logged % {"reason": old or "–"})
            resumed.append(row)
    if len(resumed) == 1:
        text = _("“%(name)s” is resumed. %(next)s") % {
            "name": resumed[0].name,
            "next": next_line(resumed[0]),
        }
    else:
        count = len(resumed)
        text = ngettext("%(count)d schedule is resumed.", "%(count)d schedules are resumed.", count) % {
            "count": count
        }
    messages.success(request, text)


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
        "relative": moments.from_now(planned, now=now),
    }


def page_of(schedule: Schedule) -> str:
    """Return the address of a schedule's page."""
    return reverse("admin:schedules_schedule_change", args=[schedule.pk])


def tell_with_link(request: HttpRequest, text: str, place: str, link: str) -> None:
    """Say what was done, with a link to it."""
    messages.success(request, format_html('{} <a href="{}">{}</a>', text, place, link))
