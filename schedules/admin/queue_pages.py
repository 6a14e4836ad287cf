"""django-rq's pages inside the admin, each behind a permission of ours: by itself it lets any staff user in.

| page | permission |
| --- | --- |
| lists, figures, workers, schedulers | `view_run` |
| one job, its results, a cron job: they show arguments, results and tracebacks | `view_run` and `view_payload` |
| requeue, enqueue | `run_schedule` |
| stop | `stop_run` |
| delete, empty a queue | `delete_run` |
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.translation import gettext_lazy as _
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from redis.exceptions import RedisError
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from schedules.services.pages import waits_briefly
from schedules.templatetags.schedules_health import health_of

View = Callable[..., HttpResponse]

LOOK: Final = ("schedules.view_run",)
PAYLOAD: Final = (*LOOK, "schedules.view_payload")
RUN: Final = (*LOOK, "schedules.run_schedule")
STOP: Final = (*LOOK, "schedules.stop_run")
DELETE: Final = (*LOOK, "schedules.delete_run")

PAGES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            *("home", "jobs", "queue_details", "finished_jobs", "failed_jobs", "scheduled_jobs"),
            *("started_jobs", "deferred_jobs", "workers", "worker_details", "scheduler_jobs"),
            *("cron_scheduler_detail", "home_json", "metrics"),
        ),
        LOOK,
    ),
    **dict.fromkeys(("job_detail", "result_detail", "cron_job_detail"), PAYLOAD),
    **dict.fromkeys(("requeue_job", "enqueue_job", "requeue_all"), RUN),
    "stop_job": STOP,
    **dict.fromkeys(("delete_job", "delete_failed_jobs", "clear"), DELETE),
}
"""What each page asks for, by the name of its address; see `needed` for the two that act on many jobs."""
BY_TOKEN: Final = ("home_json", "metrics")
"""These let a token in, too, and anybody who is staff."""
ACTIONS: Final = {"delete": DELETE, "requeue": RUN, "stop": STOP}
EVERYTHING: Final = tuple(dict.fromkeys((*PAYLOAD, *RUN, *STOP, *DELETE)))
"""What is asked for a page that a later django-rq may add, and that nobody has judged yet."""


NOT_THERE: Final = (NoSuchJobError, InvalidJobOperation, IndexError, AttributeError, ValueError)
"""What django-rq raises for addresses of jobs, queues and workers that are not there."""


def needed(page: str, request: HttpRequest) -> tuple[str, ...]:
    """Return the permissions, all of them, that a request for a page needs."""
    if page in {"actions", "confirm_action"}:
        return ACTIONS.get(request.POST.get("action", ""), LOOK)
    return PAGES.get(page, EVERYTHING)


def guarded(view: View, page: str) -> View:
    """Return the view behind its permissions, with an answer within a second when Redis is away."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        may = (
            request.user.is_active and request.user.is_staff and request.user.has_perms(needed(page, request))
        )
        if page in BY_TOKEN and not may:
            return _by_token(view, request, *args, **kwargs)
        if not request.user.is_staff:
            return view(request, *args, **kwargs)  # the admin's own door: it asks to log in
        if not may:
            raise PermissionDenied
        facts, _found = health_of(request)
        if not facts.redis.is_there:
            return _redis_away(request)
        try:
            return view(request, *args, **kwargs)
        except NOT_THERE as error:
            raise Http404(str(error)) from error
        except RedisError:
            return _redis_away(request)

    checked.is_guarded = True  # type: ignore[attr-defined]
    return checked


def for_lookers(view: View) -> View:
    """Return a view of Django's own behind the permission to look; some of them only redirect, and ask nobody."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_staff and not request.user.has_perms(LOOK):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked


def _by_token(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Let a request in by its token alone: being staff is not enough."""
    user, request.user = request.user, AnonymousUser()
    try:
        response = view(request, *args, **kwargs)
    finally:
        request.user = user
    if response.status_code == 401 and user.is_authenticated:
        raise PermissionDenied
    return response


def _redis_away(request: HttpRequest) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": _("Queues")}
    return TemplateResponse(request, "schedules/redis_away.html", context, status=503)


class GuardedQueueAdmin(QueueAdmin):
    """django-rq's pages, behind the permissions of this app."""

    def get_urls(self) -> list[URLPattern]:
        """Put every page of django-rq behind its permissions."""
        urls: list[URLPattern] = super().get_urls()  # type: ignore[no-untyped-call]
        for pattern in urls:
            name = pattern.name or ""
            if name.startswith("django_rq_") and pattern.callback.__module__.startswith("django_rq"):
                pattern.callback = guarded(pattern.callback, name.removeprefix("django_rq_"))
            else:
                pattern.callback = for_lookers(pattern.callback)
            pattern.callback = waits_briefly(pattern.callback)
        return urls

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the pages on the first page of the admin to those who may look."""
        return request.user.has_perms(LOOK)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those look who may see runs."""
        return request.user.has_perms(LOOK)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is no row to change; django-rq's answer to this is how its link is shown."""
        return request.user.has_perms(LOOK)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is no row to delete."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the queues."""
        view: View = super().changelist_view
        return guarded(view, "home")(request, extra_context)

    def change_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is no row: the model has no table."""
        raise PermissionDenied

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is no row: the model has no table."""
        raise PermissionDenied

    def delete_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is no row: the model has no table."""
        raise PermissionDenied


def register(site: admin.AdminSite) -> None:
    """Take the place of django-rq's own pages, where the project shows them."""
    if site.is_registered(Dashboard):
        site.unregister(Dashboard)
        site.register(Dashboard, GuardedQueueAdmin)


def unguarded(patterns: Any, prefix: str = "") -> list[str]:
    """Return the addresses that lead to pages of django-rq past this door."""
    found: list[str] = []
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            found += unguarded(pattern.url_patterns, route)
        elif getattr(pattern.callback, "__module__", "").startswith("django_rq") and not getattr(
            pattern.callback, "is_guarded", False
        ):
            found.append(route)
    return found
