"""What can be done with schedules: run now, pause, resume, copy. Each asks first, and does it once."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin import moments
from schedules.admin.changes import creation_message
from schedules.forms.actions import PauseForm, RunForm
from schedules.models import Kind, Run, Schedule
from schedules.services import SchedulerService, ServiceError, once
from schedules.spec import ScheduleSpec
from schedules.templatetags.schedules_health import health_of
from schedules.timing import next_slot
from schedules.validators import schedule_errors

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin

MOST_NAMED: Final = 20
"""Schedules that a question names; the others are counted."""


def run_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then start one run beside the plan; with other arguments where the right to them is there."""
    schedule = _schedule(admin, request, object_id, "run_schedule")
    may_change = request.user.has_perms(("schedules.change_target", "schedules.view_payload"))
    form = RunForm(
        request.POST if request.method == "POST" and may_change and "args" in request.POST else None,
        initial={"args": schedule.args, "kwargs": schedule.kwargs},
    )
    if request.method == "POST" and (not form.is_bound or form.is_valid()):
        changed = dict(form.cleaned_data) if form.is_bound and form.has_changed() else {}
        wanted = _with_arguments(schedule, changed)
        errors = schedule_errors(wanted, now=timezone.now(), adding=False)
        problems = [text for name in ("func", "args", "kwargs") for text in errors.get(name, ())]
        if not problems:
            return _start_one(admin, request, wanted, changed=bool(changed))
        for text in problems:
            messages.error(request, text)
    return _ask(
        admin,
        request,
        question=_("Run “%(name)s” now?") % {"name": schedule.name},
        verb=_("Run now"),
        lines=[
            _("It runs at once on the queue %(queue)s, beside its plan: no planned run is moved or used up.")
            % {"queue": schedule.queue}
        ],
        warning=_run_warning(request, schedule),
        form=form if may_change else None,
        folded=_("Change the arguments for this run"),
        back=_page_of(schedule),
    )


def pause_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask until when and why, and then pause."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    form = PauseForm(request.POST or None, zone_name=schedule.timezone)
    if request.method == "POST" and form.is_valid():
        _pause(admin, request, [schedule], form)
        return redirect(_page_of(schedule))
    return _ask(
        admin,
        request,
        question=_("Pause “%(name)s”?") % {"name": schedule.name},
        verb=_("Pause"),
        lines=[
            _next_line(schedule),
            _("Runs that have started go on. What a pause leaves out is not made up for."),
        ],
        form=form,
        back=_page_of(schedule),
    )


def resume_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then resume."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    if request.method == "POST":
        _resume(admin, request, [schedule])
        return redirect(_page_of(schedule))
    return _ask(
        admin,
        request,
        question=_("Resume “%(name)s”?") % {"name": schedule.name},
        verb=_("Resume"),
        lines=[_next_line(schedule), _("What the pause left out is not made up for.")],
        back=_page_of(schedule),
    )


def run_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then start one run of each."""
    schedules = list(chosen)
    if "confirmed" in request.POST:
        if _is_again(request):
            return None
        started = 0
        for schedule in schedules:
            started += _start(admin, request, schedule) is not None
        text = ngettext("%(count)d run is queued.", "%(count)d runs are queued.", started) % {
            "count": started
        }
        _tell_with_link(request, text, reverse("admin:schedules_run_changelist"), _("See the runs"))
        return None
    count = len(schedules)
    return _ask_many(
        admin,
        request,
        schedules,
        action="run_now",
        question=ngettext("Run %(count)d schedule now?", "Run %(count)d schedules now?", count)
        % {"count": count},
        verb=_("Run now"),
        lines=[_("Each runs at once on its queue, beside its plan: no planned run is moved or used up.")],
    )


def pause_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask until when and why, and then pause each."""
    schedules = list(chosen)
    confirmed = "confirmed" in request.POST
    form = PauseForm(
        request.POST if confirmed else None,
        zone_name=timezone.get_current_timezone_name(),
        reason_required=len(schedules) > 1,
    )
    if confirmed and form.is_valid():
        _pause(admin, request, schedules, form)
        return None
    count = len(schedules)
    return _ask_many(
        admin,
        request,
        schedules,
        action="pause",
        question=ngettext("Pause %(count)d schedule?", "Pause %(count)d schedules?", count)
        % {"count": count},
        verb=_("Pause"),
        lines=[_("Runs that have started go on. What a pause leaves out is not made up for.")],
        form=form,
    )


def resume_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then resume each."""
    schedules = [schedule for schedule in chosen if schedule.paused_at is not None]
    if "confirmed" in request.POST or not schedules:
        _resume(admin, request, schedules)
        return None
    count = len(schedules)
    return _ask_many(
        admin,
        request,
        schedules,
        action="resume",
        question=ngettext("Resume %(count)d schedule?", "Resume %(count)d schedules?", count)
        % {"count": count},
        verb=_("Resume"),
        lines=[_("What the pause left out is not made up for.")],
    )


def copy_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then make a copy of each, switched off."""
    schedules = list(chosen)
    if "confirmed" in request.POST:
        if not _is_again(request):
            for schedule in schedules:
                _copy(admin, request, schedule)
            count = len(schedules)
            text = ngettext("%(count)d copy is made.", "%(count)d copies are made.", count) % {"count": count}
            place = reverse("admin:schedules_schedule_changelist") + "?state=disabled"
            _tell_with_link(request, text, place, _("See them"))
        return None
    count = len(schedules)
    return _ask_many(
        admin,
        request,
        schedules,
        action="copy",
        question=ngettext("Copy %(count)d schedule?", "Copy %(count)d schedules?", count) % {"count": count},
        verb=_("Copy"),
        lines=[_("The copies are switched off until you enable them.")],
    )


# --- doing it -------------------------------------------------------------------------------------------------


def _start_one(
    admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule, *, changed: bool
) -> HttpResponse:
    if not _is_again(request):
        job_id = _start(admin, request, schedule, changed=changed)
        if job_id is not None:
            _tell_with_link(
                request,
                _("“%(name)s” is queued.") % {"name": schedule.name},
                reverse("admin:schedules_run_of_job", args=[job_id]),
                _("See the run"),
            )
    return redirect(_page_of(schedule))


def _start(
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
        messages.error(request, f"{schedule.name}: {error}")
        return None
    text = (_("Run now, with other arguments, as %(job)s.") if changed else _("Run now, as %(job)s.")) % {
        "job": job.id
    }
    admin.log_change(request, schedule, text)
    return str(job.id)


def _spec_to_run(schedule: Schedule) -> ScheduleSpec:
    """Return the spec of one run, also of a schedule that has no slots at present."""
    try:
        return schedule.to_spec()
    except ValueError:
        clone = copy.copy(schedule)
        clone.kind, clone.run_at, clone.starts_at, clone.ends_at = Kind.ONCE, timezone.now(), None, None
        return replace(clone.to_spec(), id=str(schedule.pk))


def _with_arguments(schedule: Schedule, changed: dict[str, Any]) -> Schedule:
    wanted = copy.copy(schedule)
    for name, value in changed.items():
        setattr(wanted, name, value)
    return wanted


def _pause(
    admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule], form: PauseForm
) -> None:
    now = timezone.now()
    until, reason = form.cleaned_data["until"], form.cleaned_data["reason"]
    for schedule in schedules:
        with transaction.atomic():
            row = Schedule.objects.select_for_update().get(pk=schedule.pk)
            row.pause(at=now, until=until, reason=reason)
            row.save(update_fields=["paused_at", "paused_until", "pause_reason", "updated_at"])
            when = "" if until is None else f" (until {until:%Y-%m-%d %H:%M} UTC)"
            admin.log_change(request, row, f"Paused{when}: {reason or '–'}")
    count = len(schedules)
    text = ngettext("%(count)d schedule is paused.", "%(count)d schedules are paused.", count) % {
        "count": count
    }
    place = reverse("admin:schedules_schedule_changelist") + "?state=paused"
    _tell_with_link(request, text, place, _("See all that are paused"))


def _resume(admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule]) -> None:
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
            admin.log_change(request, row, f"Resumed (was paused: {old or '–'}).")
            resumed.append(row)
    if len(resumed) == 1:
        text = _("“%(name)s” is resumed. %(next)s") % {
            "name": resumed[0].name,
            "next": _next_line(resumed[0]),
        }
    else:
        count = len(resumed)
        text = ngettext("%(count)d schedule is resumed.", "%(count)d schedules are resumed.", count) % {
            "count": count
        }
    messages.success(request, text)


def _copy(admin: ScheduleAdmin, request: HttpRequest, schedule: Schedule) -> None:
    made = Schedule(**{field.attname: getattr(schedule, field.attname) for field in _edited_fields()})
    made.id, made.enabled = uuid.uuid4(), False
    number, base = 1, schedule.name[:180]
    while True:
        made.name = _("%(name)s (copy)") % {"name": base} if number == 1 else f"{base} (copy {number})"
        if not Schedule.objects.filter(name=made.name).exists():
            break
        number += 1
    made.save()
    admin.log_addition(request, made, creation_message(made, copied_from=schedule.name))


def _edited_fields() -> list[Any]:
    return [field for field in Schedule._meta.concrete_fields if field.editable]


# --- asking ---------------------------------------------------------------------------------------------------


def _schedule(admin: ScheduleAdmin, request: HttpRequest, object_id: str, right: str) -> Schedule:
    if not request.user.has_perm(f"schedules.{right}") or not admin.has_view_permission(request):
        raise PermissionDenied
    schedule = admin.get_object(request, object_id)
    if schedule is None:
        raise Http404("There is no such schedule.")
    return schedule


def _is_again(request: HttpRequest) -> bool:
    """Use the form's token up; say that it was used before, or that this cannot be told."""
    try:
        if once.is_first(request.POST.get("token", "")):
            return False
    except ServiceError as error:
        messages.error(request, str(error))
        return True
    messages.info(request, _("This was asked for already; it runs once."))
    return True


def _run_warning(request: HttpRequest, schedule: Schedule) -> str:
    if not health_of(request)[0].redis.workers_of(schedule.queue):
        return _("No worker listens on this queue: the run will wait.")
    if Run.objects.running().filter(schedule=schedule).exists():
        return _("A run of it is still running; this one starts beside it.")
    return ""


def _next_line(schedule: Schedule) -> str:
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


def _page_of(schedule: Schedule) -> str:
    return reverse("admin:schedules_schedule_change", args=[schedule.pk])


def _tell_with_link(request: HttpRequest, text: str, place: str, link: str) -> None:
    messages.success(request, format_html('{} <a href="{}">{}</a>', text, place, link))


def _ask_many(
    admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule], *, action: str, **context: Any
) -> HttpResponse:
    return _ask(
        admin,
        request,
        **context,
        action=action,
        schedules=schedules[:MOST_NAMED],
        more=max(len(schedules) - MOST_NAMED, 0),
        selected=[str(schedule.pk) for schedule in schedules],
        back=reverse("admin:schedules_schedule_changelist"),
    )


def _ask(admin: ScheduleAdmin, request: HttpRequest, *, question: str, **context: Any) -> HttpResponse:
    return TemplateResponse(
        request,
        "admin/schedules/schedule/confirm.html",
        {
            **admin.admin_site.each_context(request),
            "title": question,
            "question": question,
            "token": once.new_token(),
            **context,
        },
    )
