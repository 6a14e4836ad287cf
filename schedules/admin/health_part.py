"""Banners and the line of health by themselves, for pages that are open while something happens."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from schedules.templatetags.schedules_health import may_see_health


def health_view(request: HttpRequest) -> HttpResponse:
    """Answer with the banners and the line of health of this moment.

    Raises:
        PermissionDenied: this user may see none of the pages on which they are shown.
    """
    if not may_see_health(request):
        raise PermissionDenied
    return TemplateResponse(request, "schedules/health_part.html")
