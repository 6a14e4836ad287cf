"""The pages of runs: the ledger, to be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone as clock
from django.utils.translation import gettext

from schedules.admin import run_actions, runs_page
from schedules.admin.addresses import addresses
from schedules.admin.history import history_page
from schedules.admin.run_page import context_of
from schedules.models import Run
from schedules.templatetags.schedules_runs import status_word, visible

PAYLOAD_FIELDS = ("payload", "result", "traceback", "output")
"""What may hold secrets, and may be large."""


if TYPE_CHECKING:
    RunModelAdmin = admin.ModelAdmin[Run]
else:  # generic for the type checker alone
    RunModelAdmin = admin.ModelAdmin


@admin.register(Run)
class RunAdmin(RunModelAdmin):
    """Runs: written by the keeper, read here."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Leave the large texts in the database, except on the page of one run."""
        runs = super().get_queryset(request)
        match = request.resolver_match
        of_one = match is not None and "object_id" in match.kwargs
        return runs.select_related("schedule") if of_one else runs.defer(*PAYLOAD_FIELDS)

    def get_urls(self) -> list[URLPattern]:
        """Add what can be done with a run."""

        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(partial(view, self))

        own = [
            path("job/<str:job_id>/", page(run_actions.of_job_view), name="schedules_run_of_job"),
            path("<str:object_id>/again/", page(run_actions.again_view), name="schedules_run_again"),
            path("<str:object_id>/stop/", page(run_actions.stop_view), name="schedules_run_stop"),
        ]
        return addresses(self, [*own, *super().get_urls()])

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show all runs, page after page."""
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Runs"),
            **runs_page.context_of(request.GET, now=clock.now()),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "schedules/runs.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one run."""
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404("There is no such run; old ones are removed.")
        may_see_payload = request.user.has_perm("schedules.view_payload")
        context = {
            **self.admin_site.each_context(request),
            **context_of(run, may_see_payload=may_see_payload),
            "title": f"{visible(run.schedule_name or run.func)} · {status_word(run.status)}",
            "may_run_again": run_actions.may_run_again(request, run),
            "may_stop": run_actions.may_stop(request, run),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "schedules/run.html", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who ran it again or stopped it."""
        return history_page(self, request, object_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody writes the ledger by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Nobody rewrites it either."""
        return False
