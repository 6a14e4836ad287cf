"""`{% schedules_dashboard as dashboard %}`: what the first page of the app shows."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import timezone

from schedules.templatetags.schedules_health import health_of

register = template.Library()


@register.simple_tag(takes_context=True)
def schedules_dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Gather it all, for the request of this page."""
    from schedules.admin.dashboard import context_of  # the admin imports these tags

    request = context["request"]
    facts, _findings = health_of(request)
    return context_of(facts, now=timezone.now(), window=request.GET.get("window", ""))
