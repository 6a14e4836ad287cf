"""What can be done with many schedules: those that are chosen in the list, or all. Each asks first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin.asking import MOST_NAMED, ask, ask_many, left_out_text
from schedules.admin.plan import left_out
from schedules.admin.schedule_deeds import (
    is_again,
    make_copy,
    pause,
    remove,
    resume,
    start,
    switch,
    tell_with_link,
)
from schedules.forms.actions import PauseForm
from schedules.models import Schedule

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin

MOST_AT_ONCE: Final = 500
"""Schedules that are run or copied at once: each costs a few milliseconds, and a page must answer."""


def run_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then start one run of each."""
    schedules = list(chosen)
    count = len(schedules)
    if _too_many(request, count):
        return None
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
    return ask_many(
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
    if confirmed and form.is_valid() and not form.is_counted:
        pause(request, schedules, form)
        return None
    count = len(schedules)
    return ask_many(
        admin,
        request,
        schedules,
        action="pause",
        question=ngettext("Pause %(count)d schedule?", "Pause %(count)d schedules?", count)
        % {"count": count},
        **_pause_context(schedules, form),
    )


def resume_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then resume each."""
    schedules = [schedule for schedule in chosen if schedule.paused_at is not None]
    if "confirmed" in request.POST:
        resume(request, schedules)
        return None
    if not schedules:
        messages.info(request, _("None of them is paused."))
        return None
    count = len(schedules)
    return ask_many(
        admin,
        request,
        schedules,
        action="resume",
        question=ngettext("Resume %(count)d schedule?", "Resume %(count)d schedules?", count)
        % {"count": count},
        verb=_("Resume"),
        lines=[_("What the pause left out is not made up for.")],
    )


def switch_many(
    admin: ScheduleAdmin, request: HttpRequest, chosen: Any, *, enabled: bool
) -> HttpResponse | None:
    """Ask, and then set `enabled` of each, or take it away."""
    schedules = list(chosen.exclude(enabled=enabled))
    if "confirmed" in request.POST:
        switch(request, schedules, enabled=enabled)
        return None
    if not schedules:
        messages.info(
            request,
            _("All of them are enabled already.") if enabled else _("All of them are disabled already."),
        )
        return None
    count = len(schedules)
    question = (
        ngettext("Enable %(count)d schedule?", "Enable %(count)d schedules?", count)
        if enabled
        else ngettext("Disable %(count)d schedule?", "Disable %(count)d schedules?", count)
    )
    return ask_many(
        admin,
        request,
        schedules,
        action="enable" if enabled else "disable",
        question=question % {"count": count},
        verb=_("Enable") if enabled else _("Disable"),
        lines=[
            _("Each runs from its next planned time on; what lies before is not made up for.")
            if enabled
            else _("None of them runs any more until somebody enables it. Runs that have started go on.")
        ],
    )


def copy_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then make a copy of each, switched off."""
    schedules = list(chosen)
    count = len(schedules)
    if _too_many(request, count):
        return None
    if "confirmed" in request.POST:
        if not is_again(request):
            for schedule in schedules:
                make_copy(admin, request, schedule)
            text = ngettext("%(count)d copy is made.", "%(count)d copies are made.", count) % {"count": count}
            place = reverse("admin:schedules_schedule_changelist") + "?state=disabled"
            tell_with_link(request, text, place, _("See them"))
        return None
    return ask_many(
        admin,
        request,
        schedules,
        action="copy",
        question=ngettext("Copy %(count)d schedule?", "Copy %(count)d schedules?", count) % {"count": count},
        verb=_("Copy"),
        lines=[_("The copies are switched off until you enable them.")],
    )


def remove_many(admin: ScheduleAdmin, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Ask, and then delete each."""
    schedules = list(chosen)
    count = len(schedules)
    if "confirmed" in request.POST:
        remove(admin, request, schedules)
        return None
    return ask_many(
        admin,
        request,
        schedules,
        action="remove",
        question=ngettext("Delete %(count)d schedule?", "Delete %(count)d schedules?", count)
        % {"count": count},
        verb=_("Delete"),
        kind="danger",
        lines=[
            _("Their runs stay under Runs until they are too old to be kept."),
            _("Jobs that are queued already still run. The last values of each are kept in the log."),
        ],
    )


# --- all ------------------------------------------------------------------------------------------------------


def pause_all_view(admin: ScheduleAdmin, request: HttpRequest) -> HttpResponse:
    """Ask until when and why, and then pause every schedule that is enabled and not paused."""
    now = timezone.now()
    schedules = _all(admin, request, Q(enabled=True) & (Q(paused_at__isnull=True) | Q(paused_until__lte=now)))
    form = PauseForm(
        request.POST or None, zone_name=timezone.get_current_timezone_name(), reason_required=True
    )
    if request.method == "POST" and form.is_valid() and not form.is_counted:
        pause(request, schedules, form)
        return redirect("admin:app_list", "schedules")
    count = len(schedules)
    return _ask_all(
        admin,
        request,
        schedules,
        question=ngettext(
            "Pause all schedules that are active (%(count)d)?",
            "Pause all schedules that are active (%(count)d)?",
            count,
        )
        % {"count": count},
        **_pause_context(schedules, form),
    )


def resume_all_view(admin: ScheduleAdmin, request: HttpRequest) -> HttpResponse:
    """Ask, and then resume every schedule that is paused."""
    schedules = _all(admin, request, Q(paused_at__isnull=False))
    if request.method == "POST":
        resume(request, schedules)
        return redirect("admin:app_list", "schedules")
    count = len(schedules)
    return _ask_all(
        admin,
        request,
        schedules,
        question=ngettext(
            "Resume all schedules that are paused (%(count)d)?",
            "Resume all schedules that are paused (%(count)d)?",
            count,
        )
        % {"count": count},
        verb=_("Resume"),
        lines=[_("What the pause left out is not made up for.")],
    )


def _all(admin: ScheduleAdmin, request: HttpRequest, condition: Q) -> list[Schedule]:
    if not admin.has_pause_permission(request) or not admin.has_view_permission(request):
        raise PermissionDenied
    return list(admin.get_queryset(request).filter(condition).order_by("name"))


def _ask_all(
    admin: ScheduleAdmin, request: HttpRequest, schedules: list[Schedule], **context: Any
) -> HttpResponse:
    return ask(
        admin,
        request,
        schedules=schedules[:MOST_NAMED],
        more=max(len(schedules) - MOST_NAMED, 0),
        back=reverse("admin:app_list", args=["schedules"]),
        **context,
    )


def _pause_context(schedules: list[Schedule], form: PauseForm) -> dict[str, Any]:
    now = timezone.now()
    found = left_out(schedules, now=now, until=form.end)
    return {
        "verb": _("Pause"),
        "lines": [_("Runs that have started go on. What a pause leaves out is not made up for.")],
        "left_out": found,
        "left_out_text": left_out_text(found, zone_name=str(form.zone), now=now),
        "form": form,
    }


def _too_many(request: HttpRequest, count: int) -> bool:
    if count <= MOST_AT_ONCE:
        return False
    text = _("These are %(count)d schedules; choose at most %(most)d at a time.")
    messages.error(request, text % {"count": count, "most": MOST_AT_ONCE})
    return True
