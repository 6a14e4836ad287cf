"""The addresses of our pages: each waits for Redis briefly, and none leads anywhere past the permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern

from schedules.services.pages import waits_briefly

View = Callable[..., HttpResponse]


def addresses(admin: ModelAdmin[Any], patterns: Iterable[URLPattern]) -> list[URLPattern]:
    """Return the addresses of an admin, as they are to be served."""
    found = list(patterns)
    for pattern in found:
        if pattern.name is None:
            # Django's redirect of the addresses that it had before 1.9: by itself, it asks nobody.
            pattern.callback = _for_lookers(admin, pattern.callback)
        pattern.callback = waits_briefly(pattern.callback)
    return found


def _for_lookers(admin: ModelAdmin[Any], view: View) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_staff and not admin.has_view_or_change_permission(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked
