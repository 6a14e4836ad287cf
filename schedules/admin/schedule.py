"""The pages of schedules: a list that answers at a glance, a form in three parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.utils import flatten_fieldsets
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from schedules.admin import many_actions, schedule_actions
from schedules.admin.addresses import addresses
from schedules.admin.change_list import QueueFilter, ScheduleChangeList, StateFilter, TagFilter
from schedules.admin.changes import (
    PAYLOAD_FIELDS,
    change_message,
    creation_message,
    deletion_message,
    values_of,
)
from schedules.admin.form_page import page_context, preview_view, test_view
from schedules.admin.health_part import health_view
from schedules.admin.history import history_page
from schedules.admin.list_columns import ScheduleColumns
from schedules.admin.resync import resync_view
from schedules.admin.waiting import SaysWhenRedisIsAway
from schedules.forms import REQUEST_FIELDS, ScheduleForm
from schedules.models import Kind, Schedule
from schedules.targets import registered_targets
from schedules.translating import translated
from schedules.validators import visible_text

TARGET_FIELDS = ("func", *PAYLOAD_FIELDS)
FORM_ONLY = ("what", *REQUEST_FIELDS)


@admin.register(Schedule)
class ScheduleAdmin(ScheduleColumns, SaysWhenRedisIsAway):
    """Schedules: What, When, How."""

    form = ScheduleForm
    list_display = (
        "schedule_cell",
        "when_cell",
        "next_run_cell",
        "last_run_cell",
        "strip_cell",
        "queue_cell",
    )
    list_display_links = None
    list_filter = (StateFilter, QueueFilter, TagFilter)
    show_full_result_count = False
    search_fields = ("name", "func", "description", "tags", "args", "kwargs")
    search_help_text = _("Name, function, description, tags, arguments.")
    ordering = ("name",)
    list_per_page = 50
    actions = ("run_now", "pause", "resume", "enable", "disable", "copy", "remove")
    fieldsets = (
        (
            _("What"),
            {
                "classes": ("sch-what",),
                "fields": (
                    ("name", "enabled"),
                    "what",
                    "func",
                    ("args", "kwargs"),
                    ("request_method", "request_url"),
                    "request_headers",
                    ("request_body_kind", "request_body"),
                    ("request_success", "request_timeout", "request_follow"),
                    ("queue", "tags"),
                    "description",
                ),
            },
        ),
        (
            _("When"),
            {
                "classes": ("sch-when",),
                "fields": (
                    "kind",
                    "cron",
                    "interval",
                    "run_at",
                    "timezone",
                    ("starts_at", "ends_at"),
                    ("max_runs", "jitter"),
                ),
            },
        ),
        (
            _("How"),
            {
                "classes": ("sch-how",),
                "fields": (
                    ("timeout", "result_ttl"),
                    "overlap_policy",
                    ("misfire_policy", "catchup_window"),
                    ("retry_max", "retry_min_backoff", "retry_max_backoff"),
                    ("grace", "failure_threshold", "pause_on_failure"),
                    "notify_email",
                    ("keep_days", "keep_runs"),
                ),
            },
        ),
    )

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("schedules/admin.css",)}

    # --- the list ---------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleChangeList]:
        """Return the list with chips and strips."""
        return ScheduleChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list; where there is nothing to list yet, say what to do."""
        # A function, which the template calls only where there are none.
        context = {"title": _("Schedules"), "functions": registered_targets, **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Leave Django's own deletion out: its page lists every row, and its form cannot send more than 1,000."""
        found = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search arguments only for those who may see them: a search that hits tells what they hold."""
        fields = tuple(super().get_search_fields(request))
        if request.user.has_perm("schedules.view_payload"):
            return fields
        return tuple(name for name in fields if name not in PAYLOAD_FIELDS)

    # --- the form ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the preview and the test of a request."""
        view = self.admin_site.admin_view

        def ask(question: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return view(partial(question, self))

        own = [
            path("<path:object_id>/run/", ask(schedule_actions.run_view), name="schedules_schedule_run"),
            path(
                "<path:object_id>/pause/", ask(schedule_actions.pause_view), name="schedules_schedule_pause"
            ),
            path(
                "<path:object_id>/resume/",
                ask(schedule_actions.resume_view),
                name="schedules_schedule_resume",
            ),
            path("pause-all/", ask(many_actions.pause_all_view), name="schedules_schedule_pause_all"),
            path("resume-all/", ask(many_actions.resume_all_view), name="schedules_schedule_resume_all"),
            path("resync/", ask(resync_view), name="schedules_schedule_resync"),
            path("preview/", view(preview_view), name="schedules_schedule_preview"),
            path("health/", view(health_view), name="schedules_schedule_health"),
            path("test-request/", view(self.test_request), name="schedules_schedule_test"),
        ]
        return addresses(self, [*own, *super().get_urls()])

    def test_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request that is filled in, once."""
        return test_view(request, self.admin_site.each_context(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Schedule | None:
        """Lock the row for whoever saves it, so that of two forms one is told; see `ScheduleForm`."""
        schedule = super().get_object(request, object_id, from_field)
        if schedule is not None and request.method == "POST" and transaction.get_connection().in_atomic_block:
            Schedule.objects.select_for_update().filter(pk=schedule.pk).first()
            schedule.refresh_from_db()
        return schedule

    def get_form(
        self, request: HttpRequest, obj: Schedule | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Schedule]]:
        """Let superusers type a function, where the setting permits it; leave out what is not shown."""
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.free_targets = request.user.is_superuser
        form.is_preview = request.method == "POST" and "_preview" in request.POST
        shown = flatten_fieldsets(self.get_fieldsets(request, obj))
        for name in FORM_ONLY:
            if name not in shown:
                form.base_fields.pop(name, None)
        return form  # type: ignore[no-any-return]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin a new schedule with a cron expression, or with the values of the one that is copied."""
        initial: dict[str, Any] = {"kind": Kind.CRON, **super().get_changeform_initial_data(request)}
        source = self.get_object(request, initial.pop("copy", ""))
        if source is None or not self.has_view_permission(request, source):
            return initial
        values = values_of(source)
        if not request.user.has_perm("schedules.view_payload"):
            values = {name: value for name, value in values.items() if name not in PAYLOAD_FIELDS}
        return values | {"name": gettext("%(name)s (copy)") % {"name": source.name[:190]}, "enabled": False}

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[str, ...]:
        """Show function and arguments without letting them be changed, where the right to it is missing."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is not None and not request.user.has_perm("schedules.change_target"):
            fields += TARGET_FIELDS
        return fields

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        """Leave out the arguments of an existing schedule where the right to see them is missing, and what
        stands for them in the form where they cannot be changed."""
        may = request.user.has_perm
        hidden: set[str] = set()
        if obj is not None and not may("schedules.view_payload"):
            hidden |= {*PAYLOAD_FIELDS, *FORM_ONLY}
        if obj is not None and not (
            may("schedules.change_target") and self.has_change_permission(request, obj)
        ):
            hidden |= set(FORM_ONLY)
        fieldsets = super().get_fieldsets(request, obj)
        if not hidden:
            return fieldsets
        return [
            (title, {**options, "fields": _without(options["fields"], hidden)})
            for title, options in fieldsets
        ]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Schedule | None = None,
    ) -> Any:
        """Add the preview, the standing of the schedule and the presets."""
        context |= page_context(request, form=context["adminform"].form, schedule=obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Save, count the edit, and say when what was saved is not scheduled."""
        if change:
            obj.version += 1
        super().save_model(request, obj, form, change)
        problem = obj.not_scheduled_because
        if problem:
            self.message_user(
                request,
                gettext("“%(name)s” is saved and will not run. %(problem)s")
                % {"name": str(obj), "problem": visible_text(translated(problem))},
                messages.WARNING,
            )

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Tell the log the old and the new value of each field."""
        if add:
            return creation_message(form.instance)
        return change_message(form.before, values_of(form.instance))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show every change with its old and its new value."""
        return history_page(self, request, object_id)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Keep the last values of what is deleted, so that it can be made again."""
        return [
            LogEntry.objects.log_actions(
                user_id=request.user.pk or 0,
                queryset=[schedule],
                action_flag=DELETION,
                change_message=deletion_message(schedule),
                single_object=True,
            )
            for schedule in queryset
        ]

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        """Say where the last values of what was deleted can be read."""
        response: HttpResponse = super().response_delete(request, obj_display, obj_id)
        place = reverse("admin:schedules_schedule_history", args=[obj_id])
        messages.info(request, format_html('<a href="{}">{}</a>', place, gettext("See what it was")))
        return response

    # --- what can be done: see schedule_actions, many_actions -------------------------------------------------

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether this user may start runs."""
        return request.user.has_perm("schedules.run_schedule")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether this user may pause and resume."""
        return request.user.has_perm("schedules.pause_schedule")

    @admin.action(description=_("Run now…"), permissions=("run",))
    def run_now(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Start one run of each."""
        return many_actions.run_many(self, request, chosen)

    @admin.action(description=_("Pause…"), permissions=("pause",))
    def pause(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Pause each."""
        return many_actions.pause_many(self, request, chosen)

    @admin.action(description=_("Resume…"), permissions=("pause",))
    def resume(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Resume each."""
        return many_actions.resume_many(self, request, chosen)

    @admin.action(description=_("Copy…"), permissions=("add",))
    def copy(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Copy each."""
        return many_actions.copy_many(self, request, chosen)

    @admin.action(description=_("Enable…"), permissions=("change",))
    def enable(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Set `enabled`: the intent."""
        return many_actions.switch_many(self, request, chosen, enabled=True)

    @admin.action(description=_("Disable…"), permissions=("change",))
    def disable(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Take `enabled` away."""
        return many_actions.switch_many(self, request, chosen, enabled=False)

    @admin.action(description=_("Delete…"), permissions=("delete",))
    def remove(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> HttpResponse | None:
        """Delete each."""
        return many_actions.remove_many(self, request, chosen)


def _without(fields: Any, hidden: set[str]) -> list[Any]:
    """Return the fields of a fieldset, rows of several included, without some."""
    kept: list[Any] = []
    for entry in fields:
        if isinstance(entry, tuple | list):
            row = tuple(name for name in entry if name not in hidden)
            if row:
                kept.append(row)
        elif entry not in hidden:
            kept.append(entry)
    return kept
