"""The first page of the app, at the address where Django has the list of its models."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from schedules.services.pages import waits_briefly


@waits_briefly
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show it to those who may see schedules.

    Raises:
        PermissionDenied: the user may not.
    """
    if not request.user.has_perm("schedules.view_schedule") or request.method not in ("GET", "HEAD"):
        raise PermissionDenied
    context = {**admin.site.each_context(request), "title": _("Schedules"), "app_label": "schedules"}
    return TemplateResponse(request, "schedules/dashboard.html", context)
