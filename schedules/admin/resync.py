"""How Redis differs from the database, row by row, and making both equal at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin.asking import ask
from schedules.services import SchedulerUnavailableError
from schedules.sync import Difference, Synchronizer
from schedules.translating import translated

if TYPE_CHECKING:
    from schedules.admin.schedule import ScheduleAdmin

MOST_NAMED: Final = 50


def resync_view(admin: ScheduleAdmin, request: HttpRequest) -> HttpResponse:
    """Show what differs, and then apply it, as the keeper does by itself.

    Raises:
        PermissionDenied: this user may not change schedules.
    """
    if not admin.has_change_permission(request):
        raise PermissionDenied
    try:
        if request.method == "POST":
            done = Synchronizer().reconcile()
            count = len(done.added) + len(done.changed) + len(done.removed)
            text = ngettext("%(count)d difference is mended.", "%(count)d differences are mended.", count) % {
                "count": count
            }
            messages.success(request, text)
            return redirect("admin:app_list", "schedules")
        difference = Synchronizer().compare()
    except SchedulerUnavailableError as error:
        messages.error(request, translated(error))
        return redirect("admin:app_list", "schedules")
    return ask(
        admin,
        request,
        question=_("Make Redis equal to the database?"),
        verb=_("Resync"),
        lines=_lines(difference),
        has_nothing_to_do=difference.is_empty,
        back=reverse("admin:app_list", args=["schedules"]),
    )


def _lines(difference: Difference) -> list[str]:
    if difference.is_empty and not difference.problems:
        return [_("They are equal: there is nothing to do.")]
    lines = []
    for text, ids in (
        (_("Redis lacks: %(names)s"), difference.added),
        (_("Redis has an older state of: %(names)s"), difference.changed),
        (_("Redis has left over: %(names)s"), difference.removed),
        (_("These cannot be scheduled: %(names)s"), list(difference.problems)),
    ):
        if ids:
            names = ", ".join(difference.name_of(key) for key in ids[:MOST_NAMED])
            lines.append(text % {"names": names})
            if len(ids) > MOST_NAMED:
                more = len(ids) - MOST_NAMED
                lines.append(ngettext("and %(count)d more", "and %(count)d more", more) % {"count": more})
    lines.append(_("No planned run is moved. The scheduler does this by itself within a minute."))
    return lines
