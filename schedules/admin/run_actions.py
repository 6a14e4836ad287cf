"""What can be done with a run: run it again, stop it. Each asks first, says what will happen, and does it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from schedules import texts
from schedules.keeper.starting import run_again, run_schedule
from schedules.models import Run, RunStatus
from schedules.services import ServiceError, once
from schedules.services.stopping import stop_job
from schedules.templatetags.schedules_health import health_of
from schedules.translating import translated
from schedules.validators import visible_text

if TYPE_CHECKING:
    from schedules.admin.run import RunAdmin


def may_run_again(request: HttpRequest, run: Run) -> bool:
    """Say whether this user may start this run's schedule, and whether it is there."""
    return run.schedule_id is not None and request.user.has_perms(
        ("schedules.view_run", "schedules.run_schedule")
    )


def may_stop(request: HttpRequest, run: Run) -> bool:
    """Say whether this user may stop this run, and whether it is running."""
    return run.status == RunStatus.RUNNING and request.user.has_perms(
        ("schedules.view_run", "schedules.stop_run")
    )


def again_view(admin: RunAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then start one run of the schedule beside its plan."""
    _need(request, "schedules.run_schedule")
    run = _run(admin, request, object_id)
    schedule = run.schedule
    if schedule is None:
        raise Http404("The schedule of this run has been deleted.")
    if request.method != "POST":
        workers = health_of(request)[0].redis.workers_of(schedule.queue)
        lines = [
            _("It runs at once on the queue %(queue)s, beside its plan: no planned run is moved or used up.")
            % {"queue": schedule.queue},
            _("It gets the arguments that this run had.")
            if run.payload
            else _(
                "What this run was called with was not kept: it gets the arguments that the schedule has today."
            ),
        ]
        warning = ""
        if not workers:
            warning = _("No worker listens on this queue: the run will wait.")
        elif Run.objects.running().filter(schedule=schedule).exists():
            warning = _("A run of it is still running; this one starts beside it.")
        question = _("Run “%(name)s” again?") % {"name": str(schedule)}
        return _ask(admin, request, run, question, _("Run again"), lines, warning)
    try:
        if not once.is_first(request.POST.get("token", "")):
            messages.info(request, _("This was asked for already; it runs once."))
            return _back(run)
        name = request.user.get_username()
        job = run_again(run, started_by=name) if run.payload else run_schedule(schedule, started_by=name)
    except ServiceError as error:
        messages.error(request, translated(error))
        return _back(run)
    admin.log_change(request, run, texts.gettext("Ran it again as %(job)s.") % {"job": job.id})
    place = reverse("admin:schedules_run_of_job", args=[job.id])
    text = _("“%(name)s” is queued.") % {"name": str(schedule)}
    messages.success(request, format_html('{} <a href="{}">{}</a>', text, place, _("See the run")))
    return _back(run)


def stop_view(admin: RunAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask, and then tell the worker to stop the job."""
    _need(request, "schedules.stop_run")
    run = _run(admin, request, object_id)
    if request.method != "POST":
        lines = [
            _("Its worker %(worker)s ends it. The work that it has done so far stays done.")
            % {"worker": run.worker},
            _("The plan goes on: the next run comes when it is due."),
        ]
        warning = "" if run.status == RunStatus.RUNNING else _("By the ledger, it is not running.")
        question = _("Stop this run of “%(name)s”?") % {"name": run.schedule_name or run.func}
        return _ask(admin, request, run, question, _("Stop"), lines, warning, kind="danger")
    try:
        stop_job(run.job_id or "")
    except ServiceError as error:
        messages.error(request, translated(error))
        return _back(run)
    admin.log_change(request, run, texts.gettext("Stopped it."))
    messages.success(request, _("The worker has been told to stop it."))
    return _back(run)


def of_job_view(admin: RunAdmin, request: HttpRequest, job_id: str) -> HttpResponse:
    """Lead to the run of a job; say so while the ledger does not have it yet."""
    _need(request)
    found = Run.objects.filter(job_id=job_id).values_list("pk", flat=True).first()
    if found is not None:
        return redirect("admin:schedules_run_change", found)
    context = {**admin.admin_site.each_context(request), "title": _("A run to come"), "job_id": job_id}
    return TemplateResponse(request, "schedules/run_awaited.html", context)


def _need(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms(("schedules.view_run", *permissions)):
        raise PermissionDenied


def _run(admin: RunAdmin, request: HttpRequest, object_id: str) -> Run:
    run: Run | None = admin.get_object(request, object_id)
    if run is None:
        raise Http404("There is no such run; old ones are removed.")
    return run


def _back(run: Run) -> HttpResponseRedirect:
    return redirect("admin:schedules_run_change", run.pk)


def _ask(
    admin: RunAdmin,
    request: HttpRequest,
    run: Run,
    question: str,
    verb: str,
    lines: list[str],
    warning: str,
    *,
    kind: str = "main",
) -> HttpResponse:
    question = visible_text(question)
    context: dict[str, Any] = {
        **admin.admin_site.each_context(request),
        "title": question,
        "question": question,
        "verb": verb,
        "lines": lines,
        "warning": warning,
        "kind": kind,
        "token": once.new_token(),
        "run": run,
    }
    return TemplateResponse(request, "schedules/run_confirm.html", context)
