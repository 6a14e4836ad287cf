"""The pages of runs: the ledger, to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from schedules.admin.rq_links import job_link
from schedules.models import Run

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
    fieldsets = (
        (None, {"fields": ("schedule_name", "status", "reason", "exception", "traceback")}),
        (
            _("When"),
            {
                "fields": (
                    "scheduled_for",
                    "scheduled_until",
                    "slots",
                    "enqueued_at",
                    "started_at",
                    "finished_at",
                    "next_attempt_at",
                    "delay",
                    "duration",
                )
            },
        ),
        (_("What"), {"fields": ("func", "payload", "result", "output")}),
        (_("How"), {"fields": ("trigger", "started_by", "attempt", "queue", "worker", "rq_job")}),
    )
    readonly_fields = ("rq_job",)

    @admin.display(description=_("job"))
    def rq_job(self, run: Run) -> str | SafeString:
        """Link to what RQ knows of the job, for as long as RQ keeps it."""
        return job_link(run.queue, run.job_id) if run.job_id else "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Leave the large texts in the database, except on the page of one run."""
        runs = super().get_queryset(request)
        match = request.resolver_match
        of_one = match is not None and "object_id" in match.kwargs
        return runs if of_one else runs.defer(*PAYLOAD_FIELDS)

    def get_fieldsets(self, request: HttpRequest, obj: Run | None = None) -> Any:
        """Show arguments, results, tracebacks and output only with the permission for them."""
        if request.user.has_perm("schedules.view_payload"):
            return self.fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in PAYLOAD_FIELDS]})
            for title, options in self.fieldsets
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody writes the ledger by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Run | None = None) -> bool:
        """Nobody rewrites it either."""
        return False
