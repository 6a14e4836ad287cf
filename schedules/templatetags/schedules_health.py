"""Template tags for health: `{% schedules_banners %}` and `{% schedules_health_line %}`.

Both judge by the same facts, which are gathered once a request, whatever the page shows.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

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
    _facts, found = health_of(request)
    asks = request is not None and may_see_health(request)
    return {
        "shown": found[:SHOWN],
        "folded": found[SHOWN:],
        "remedies": _remedies(request),
        "url": reverse("admin:schedules_schedule_health") if asks else "",
    }


def may_see_health(request: HttpRequest) -> bool:
    """Say whether this user may see any of the pages on which health is shown."""
    user = getattr(request, "user", None)
    names = ("view_schedule", "change_schedule", "add_schedule", "view_run")
    return user is not None and any(user.has_perm(f"schedules.{name}") for name in names)


def _remedies(request: HttpRequest | None) -> dict[str, Any]:
    """Return where what a code tells of can be mended, by code; what this user may not do is left out."""
    user = getattr(request, "user", None)
    remedies = {
        "S104": ("change_schedule", "resync", _("Resync")),
        "S110": ("pause_schedule", "resume_all", _("Resume all…")),
    }
    return {
        code: {"url": reverse(f"admin:schedules_schedule_{name}"), "word": word}
        for code, (right, name, word) in remedies.items()
        if user is not None and user.has_perms((f"schedules.{right}", "schedules.view_schedule"))
    }


@register.filter
def of_code(remedies: dict[str, Any], code: str) -> Any:
    """Return what is there for a code."""
    return remedies.get(code)


@register.inclusion_tag("schedules/health_line.html", takes_context=True)
def schedules_health_line(context: dict[str, Any]) -> dict[str, Any]:
    """Show Redis, scheduler, workers and whether both sides are equal, in one line."""
    return {"parts": summary(*health_of(context.get("request")))}
