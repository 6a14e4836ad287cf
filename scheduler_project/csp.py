"""The Content-Security-Policy of every answer: scripts, styles and pictures are this server's own, none inline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER: Final = "Content-Security-Policy"
POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",  # the icons in the admin's own style sheets
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

POLICY_OF_DJANGO_RQ: Final = f"{POLICY}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""The templates of django-rq's pages choose all jobs, and open a result, by scripts that stand in them."""


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Send the policy with every answer that has none of its own."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        # Django's own pages about a mistake, which only DEBUG shows, have their style inline.
        if not (settings.DEBUG and response.status_code in (404, 500)):
            address = request.resolver_match
            is_of_django_rq = address is not None and (address.url_name or "").startswith("django_rq_")
            response.headers.setdefault(HEADER, POLICY_OF_DJANGO_RQ if is_of_django_rq else POLICY)
        return response

    return answer
