"""What can be done with one schedule: run now, pause, resume. Each asks first, and does it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin.asking import ask, left_out_text
from schedules.admin.changes import PAYLOAD_FIELDS, values_of
from schedules.admin.masking import shown_json
from schedules.admin.plan import left_out
from schedules.admin.schedule_deeds import next_line, page_of, pause, resume, start_and_leave, with_arguments
from schedules.forms.actions import PauseForm, RunForm
from schedules.health.words import listening
from schedules.models import Run, Schedule
from schedules.templatetags.schedules_health import health_of
from schedules.validators import schedule_errors

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin


def run_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then start one run beside the plan; with other arguments where the right to them is there."""
    schedule = _schedule(admin, request, object_id, "run_schedule")
    may_change = request.user.has_perms(("schedules.change_target", "schedules.view_payload"))
    before = values_of(schedule, PAYLOAD_FIELDS)
    form = RunForm(
        request.POST if request.method == "POST" and may_change and "args" in request.POST else None,
        initial=before,
    )
    if request.method == "POST" and (not form.is_bound or form.is_valid()):
        changed = dict(form.cleaned_data) if form.is_bound and form.has_changed() else {}
        wanted = with_arguments(schedule, changed)
        errors = schedule_errors(wanted, now=timezone.now(), adding=False)
        problems = [text for name in ("func", "args", "kwargs") for text in errors.get(name, ())]
        if not problems:
            return start_and_leave(admin, request, wanted, before=before)
        for text in problems:
            messages.error(request, text)
    return ask(
        admin,
        request,
        question=_("Run “%(name)s” now?") % {"name": str(schedule)},
        verb=_("Run now"),
        lines=_run_lines(request, schedule),
        warning=_run_warning(request, schedule),
        form=form if may_change else None,
        folded=_("Change the arguments for this run"),
        back=page_of(schedule),
    )


def pause_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask until when and why, and then pause."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    form = PauseForm(request.POST or None, zone_name=schedule.timezone)
    if request.method == "POST" and form.is_valid() and not form.is_counted:
        pause(request, [schedule], form)
        return redirect(page_of(schedule))
    now = timezone.now()
    found = left_out([schedule], now=now, until=form.end)
    return ask(
        admin,
        request,
        question=_("Pause “%(name)s”?") % {"name": str(schedule)},
        verb=_("Pause"),
        lines=[
            next_line(schedule),
            _("Runs that have started go on. What a pause leaves out is not made up for."),
        ],
        left_out=found,
        left_out_text=left_out_text(found, zone_name=schedule.timezone, now=now),
        form=form,
        back=page_of(schedule),
    )


def resume_view(admin: ScheduleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then resume."""
    schedule = _schedule(admin, request, object_id, "pause_schedule")
    if request.method == "POST":
        resume(request, [schedule])
        return redirect(page_of(schedule))
    return ask(
        admin,
        request,
        question=_("Resume “%(name)s”?") % {"name": str(schedule)},
        verb=_("Resume"),
        lines=[next_line(schedule), _("What the pause left out is not made up for.")],
        back=page_of(schedule),
    )


def _schedule(admin: ScheduleAdmin, request: HttpRequest, object_id: str, right: str) -> Schedule:
    if not request.user.has_perm(f"schedules.{right}") or not admin.has_view_permission(request):
        raise PermissionDenied
    schedule = admin.get_object(request, object_id)
    if schedule is None:
        raise Http404("There is no such schedule.")
    return schedule


def _run_lines(request: HttpRequest, schedule: Schedule) -> list[str]:
    lines = [
        _("It runs at once on the queue %(queue)s, beside its plan: no planned run is moved or used up.")
        % {"queue": schedule.queue}
    ]
    redis = health_of(request)[0].redis
    waiting = redis.queues.get(schedule.queue)
    if redis.is_there and waiting is not None:
        jobs = {"count": waiting.length}
        lines.append(
            " ".join(
                (
                    ngettext("%(count)d job waits there.", "%(count)d jobs wait there.", waiting.length)
                    % jobs,
                    listening(redis.workers_of(schedule.queue)),
                )
            )
        )
    if request.user.has_perm("schedules.view_payload") and (schedule.args or schedule.kwargs):
        shown = [shown_json(value) for value in (schedule.args, schedule.kwargs) if value]
        lines.append(_("It is called with %(arguments)s.") % {"arguments": " ".join(shown)})
    return lines


def _run_warning(request: HttpRequest, schedule: Schedule) -> str:
    redis = health_of(request)[0].redis
    if not redis.is_there:
        return _("Redis does not answer: nothing can be started until it is back.")
    if not redis.workers_of(schedule.queue):
        return _("No worker listens on this queue: the run will wait.")
    if Run.objects.running().filter(schedule=schedule).exists():
        return _("A run of it is still running; this one starts beside it.")
    return ""
