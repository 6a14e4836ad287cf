"""`/health`: 200 or 503 with the codes of what is wrong; for load balancers and monitors, so without any detail."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from schedules.health import findings, gather, summary


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 when nothing of S100 to S105 is found, 503 otherwise.

    Anybody may ask: no name, address, argument or message of an error is told. Those are in the admin, and in
    `manage.py schedules_status`.
    """
    facts = gather()
    found = findings(facts)
    wrong = any(finding.is_wrong for finding in found)
    states = dict(zip(("redis", "scheduler", "workers", "in_sync"), summary(facts, found), strict=True))
    body = {
        "status": "wrong" if wrong else "ok",
        "codes": sorted({finding.code for finding in found}),
        **{name: part.level for name, part in states.items()},
        "database": "error" if facts.database.problem else "ok",
    }
    return JsonResponse(body, status=503 if wrong else 200)
