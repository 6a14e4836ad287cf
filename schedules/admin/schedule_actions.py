"""What can be done with schedules: run now, pause, resume, copy. Each asks first, and does it once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin.schedule_deeds import (
    is_again,
    make_copy,
    next_line,
    page_of,
    pause,
    resume,
    start,
    start_and_leave,
    tell_with_link,
    with_arguments,
)
from schedules.forms.actions import PauseForm, RunForm
from schedules.models import Run, Schedule
from schedules.services import once
from schedules.templatetags.schedules_health import health_of
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
        wanted = with_arguments(schedule, changed)
        errors = schedule_errors(wanted, now=timezone.now(), adding=False)
        problems = [text for name in ("func", "args", "kwargs") for text in errors.get(name, ())]
        if not problems:
            return start_and_leave(admin, request, wanted, changed=bool(changed))
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
        back=page_of(schedule),
    )


def pause_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask until when and why, and then pause."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    form = PauseForm(request.POST or None, zone_name=schedule.timezone)
    if request.method == "POST" and form.is_valid():
        pause(admin, request, [schedule], form)
        return redirect(page_of(schedule))
    return _ask(
        admin,
        request,
        question=_("Pause “%(name)s”?") % {"name": schedule.name},
        verb=_("Pause"),
        lines=[
            next_line(schedule),
            _("Runs that have started go on. What a pause leaves out is not made up for."),
        ],
        form=form,
        back=page_of(schedule),
    )


def resume_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then resume."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    if request.method == "POST":
        resume(admin, request, [schedule])
        return redirect(page_of(schedule))
    return _ask(
        admin,
        request,
        question=_("Resume “%(name)s”?") % {"name": schedule.name},
        verb=_("Resume"),
        lines=[next_line(schedule), _("What the pause left out is not made up for.")],
        back=page_of(schedule),
    )


def run_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then start one run of each."""
    schedules = list(chosen)
    if "confirmed" in request.POST:
        if is_again(request):
            return None
        started = 0
        for schedule in schedules:
            started += start(admin, request, schedule) is not None
        text = ngettext("%(count)d run is queued.", "%(count)d runs are queued.", started) % {
            "count": started
        }
        tell_with_link(request, text, reverse("admin:schedules_run_changelist"), _("See the runs"))
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
        pause(admin, request, schedules, form)
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
        resume(admin, request, schedules)
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
        if not is_again(request):
            for schedule in schedules:
                make_copy(admin, request, schedule)
            count = len(schedules)
            text = ngettext("%(count)d copy is made.", "%(count)d copies are made.", count) % {"count": count}
            place = reverse("admin:schedules_schedule_changelist") + "?state=disabled"
            tell_with_link(request, text, place, _("See them"))
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


# --- asking ---------------------------------------------------------------------------------------------------


def _schedule(admin: ScheduleAdmin, request: HttpRequest, object_id: str, right: str) -> Schedule:
    if not request.user.has_perm(f"schedules.{right}") or not admin.has_view_permission(request):
        raise PermissionDenied
    schedule = admin.get_object(request, object_id)
    if schedule is None:
        raise Http404("There is no such schedule.")
    return schedule


def _run_warning(request: HttpRequest, schedule: Schedule) -> str:
    if not health_of(request)[0].redis.workers_of(schedule.queue):
        return _("No worker listens on this queue: the run will wait.")
    if Run.objects.running().filter(schedule=schedule).exists():
        return _("A run of it is still running; this one starts beside it.")
    return ""


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
