"""The pages of runs: the ledger, to be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from schedules.admin import run_actions
from schedules.admin.run_page import context_of
from schedules.models import Run
from schedules.templatetags.schedules_runs import status_word, visible

PAYLOAD_FIELDS = ("payload", "result", "traceback", "output")
"""What may hold secrets, and may be large."""
MOST_PAGED = 100_000


if TYPE_CHECKING:
    RunModelAdmin = admin.ModelAdmin[Run]
    RunPaginator = Paginator[Run]
else:  # generic for the type checker alone
    RunModelAdmin = admin.ModelAdmin
    RunPaginator = Paginator


class BoundedPaginator(RunPaginator):
    """Pages over a table that may hold millions of rows: it stops counting where nobody pages any more."""

    @cached_property
    def count(self) -> int:
        """Rows, at most `MOST_PAGED`."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_PAGED].count())


@admin.register(Run)
class RunAdmin(RunModelAdmin):
    """Runs: written by the keeper, read here."""

    list_display = (
        "scheduled_for",
        "schedule_name",
        "status",
        "trigger",
        "delay",
        "duration",
        "queue",
        "worker",
        "reason",
    )
    list_filter = ("status", "trigger", "queue")
    search_fields = ("schedule_name", "exception", "reason")
    search_help_text = _("Search in names, errors and reasons.")
    ordering = ("-scheduled_for", "-id")
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    list_select_related = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Leave the large texts in the database, except on the page of one run."""
        runs = super().get_queryset(request)
        match = request.resolver_match
        of_one = match is not None and "object_id" in match.kwargs
        return runs.select_related("schedule") if of_one else runs.defer(*PAYLOAD_FIELDS)

    def get_urls(self) -> list[URLPattern]:
        """Add what can be done with a run, and leave Django's redirect of old addresses out: it asks nobody."""

        def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(partial(view, self))

        return [
            path("job/<str:job_id>/", page(run_actions.of_job_view), name="schedules_run_of_job"),
            path("<str:object_id>/again/", page(run_actions.again_view), name="schedules_run_again"),
            path("<str:object_id>/stop/", page(run_actions.stop_view), name="schedules_run_stop"),
            *(pattern for pattern in super().get_urls() if pattern.name),
        ]

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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody writes the ledger by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Nobody rewrites it either."""
        return False
