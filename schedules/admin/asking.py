"""The page that asks before something is done with schedules: what will happen, to how many, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin import moments
from schedules.admin.plan import LeftOut
from schedules.models import Schedule
from schedules.services import once
from schedules.validators import visible_text

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin

MOST_NAMED: Final = 20
"""Schedules that a question names; the others are counted."""


def ask(admin: ScheduleAdmin, request: HttpRequest, *, question: str, **context: Any) -> HttpResponse:
    """Show the question."""
    question = visible_text(question)
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


def ask_many(
    admin: ScheduleAdmin, request: HttpRequest, schedules: Sequence[Schedule], *, action: str, **context: Any
) -> HttpResponse:
    """Show the question of an action of the list; its answer comes back to the action, with `confirmed`."""
    is_across = request.POST.get("select_across", "0") == "1"
    chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
    return ask(
        admin,
        request,
        action=action,
        schedules=schedules[:MOST_NAMED],
        more=max(len(schedules) - MOST_NAMED, 0),
        # One is enough where all are meant; Django looks for it to know that it is an action.
        selected=chosen[:1] if is_across else chosen,
        is_across=is_across,
        back=reverse("admin:schedules_schedule_changelist"),
        **context,
    )


def left_out_text(found: LeftOut, *, zone_name: str, now: datetime) -> str:
    """Say how many planned runs a pause leaves out."""
    numbers: dict[str, Any] = {"count": found.count}
    if found.is_open:
        if not found.count:
            return _("No run is planned within a day.")
        text = (
            ngettext(
                "Until somebody resumes, planned runs are left out: more than %(count)d within the next day.",
                "Until somebody resumes, planned runs are left out: more than %(count)d within the next day.",
                found.count,
            )
            if found.is_more
            else ngettext(
                "Until somebody resumes, planned runs are left out: %(count)d within the next day.",
                "Until somebody resumes, planned runs are left out: %(count)d within the next day.",
                found.count,
            )
        )
        return text % numbers
    numbers["moment"] = moments.short(found.until, zone=moments.zone_named(zone_name), now=now)
    if not found.count:
        return _("No run is planned until %(moment)s.") % numbers
    text = (
        ngettext(
            "More than %(count)d planned run is left out until %(moment)s.",
            "More than %(count)d planned runs are left out until %(moment)s.",
            found.count,
        )
        if found.is_more
        else ngettext(
            "%(count)d planned run is left out until %(moment)s.",
            "%(count)d planned runs are left out until %(moment)s.",
            found.count,
        )
    )
    return text % numbers
