"""The demo backend: what the schedule `breaking-news` calls over HTTP."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseForbidden, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


@csrf_exempt  # called by a worker, which has no session; guarded by the address below
@require_POST
def breaking_news(request: HttpRequest) -> HttpResponseBase:
    """Answer with the time; only on the machine itself and only in DEBUG."""
    if not (settings.DEBUG and request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"}):
        return HttpResponseForbidden("The demo endpoint serves this machine alone.")
    return JsonResponse({"news": "Nothing is broken.", "at": timezone.now().isoformat()})
