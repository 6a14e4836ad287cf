"""Template tags for health: `{% schedules_banners %}` and `{% schedules_health_line %}`.

Both judge by the same facts, which are gathered once a request, whatever the page shows.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest

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
    """Show what operators must know: at most three banners, the rest folded."""
    _, found = health_of(context.get("request"))
    return {"shown": found[:SHOWN], "folded": found[SHOWN:]}


@register.inclusion_tag("schedules/health_line.html", takes_context=True)
def schedules_health_line(context: dict[str, Any]) -> dict[str, Any]:
    """Show Redis, scheduler, workers and whether both sides are equal, in one line."""
    return {"parts": summary(*health_of(context.get("request")))}
