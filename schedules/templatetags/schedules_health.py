"""Template tags for health: `{% schedules_banners %}` and `{% schedules_health_line %}`.

Both judge by the same facts, which are gathered once a request, whatever the page shows.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse

from schedules.health import Facts, Finding, findings, gather, summary

register = template.Library()

SHOWN = 3
"""Banners in full; the others are folded."""


def health_of(request: HttpRequest | None) -> tuple[Facts, list[Finding]]:
    """Return facts and findings of this request, gathered at the first question."""
    known: tuple[Facts, list[Finding]] | None = getattr(request, "_schedules_health", None)
    if known is None:
        facts = gather()
        known = facts, findings(facts)
        if request is not None:
            request._schedules_health = known  # type: ignore[attr-defined]
    return known


@register.inclusion_tag("schedules/banners.html", takes_context=True)
def schedules_banners(context: dict[str, Any]) -> dict[str, Any]:
    """Show what operators must know: at most three banners, the rest folded; `health.js` keeps them true."""
    request: HttpRequest | None = context.get("request")
    _, found = health_of(request)
    asks = request is not None and may_see_health(request)
    return {
        "shown": found[:SHOWN],
        "folded": found[SHOWN:],
        "url": reverse("admin:schedules_schedule_health") if asks else "",
    }


def may_see_health(request: HttpRequest) -> bool:
    """Say whether this user may see any of the pages on which health is shown."""
    user = getattr(request, "user", None)
    names = ("view_schedule", "change_schedule", "add_schedule", "view_run")
    return user is not None and any(user.has_perm(f"schedules.{name}") for name in names)


@register.inclusion_tag("schedules/health_line.html", takes_context=True)
def schedules_health_line(context: dict[str, Any]) -> dict[str, Any]:
    """Show Redis, scheduler, workers and whether both sides are equal, in one line."""
    return {"parts": summary(*health_of(context.get("request")))}
