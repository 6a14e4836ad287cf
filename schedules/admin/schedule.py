"""The pages of schedules: a list that answers at a glance, a form in three parts."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from schedules.admin.change_list import QueueFilter, ScheduleChangeList, StateFilter, TagFilter
from schedules.admin.list_columns import ScheduleColumns
from schedules.admin.waiting import SaysWhenRedisIsAway
from schedules.forms import ScheduleForm
from schedules.models import Schedule
from schedules.targets import registered_targets

TARGET_FIELDS = ("func", "args", "kwargs")
PAYLOAD_FIELDS = ("args", "kwargs")


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
    ordering = ("name",)
    list_per_page = 50
    actions = ("enable", "disable")
    readonly_fields = ("id", "state", "created_at", "updated_at")
    fieldsets = (
        (
            _("What"),
            {"fields": ("name", "enabled", "func", "args", "kwargs", "queue", "tags", "description")},
        ),
        (
            _("When"),
            {
                "fields": (
                    "kind",
                    "interval",
                    "cron",
                    "run_at",
                    "timezone",
                    "starts_at",
                    "ends_at",
                    "max_runs",
                    "jitter",
                )
            },
        ),
        (
            _("How"),
            {
                "classes": ("collapse",),
                "fields": (
                    "timeout",
                    "result_ttl",
                    "overlap_policy",
                    "misfire_policy",
                    "catchup_window",
                    "retry_max",
                    "retry_min_backoff",
                    "retry_max_backoff",
                    "grace",
                    "failure_threshold",
                    "pause_on_failure",
                    "notify_email",
                    "keep_days",
                    "keep_runs",
                ),
            },
        ),
        (_("State"), {"fields": ("id", "state", "created_at", "updated_at")}),
    )

    @admin.display(description=_("state"))
    def state(self, schedule: Schedule) -> str | SafeString:
        """Whether it is meant to run, and why not."""
        if not schedule.enabled:
            return gettext("Disabled")
        if schedule.is_paused(timezone.now()):
            return gettext("Paused: %(reason)s") % {"reason": schedule.pause_reason or "–"}
        problem = schedule.not_scheduled_because
        if problem:
            return format_html("{} <small>{}</small>", gettext("Not scheduled"), problem)
        return gettext("Active")

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("schedules/admin.css",)}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleChangeList]:
        """Return the list with chips and strips."""
        return ScheduleChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list; where there is nothing to list yet, say what to do."""
        context: dict[str, Any] = {"title": _("Schedules"), **(extra_context or {})}
        if request.method == "GET" and not request.GET and not Schedule.objects.exists():
            context |= {"no_schedules": True, "functions": registered_targets()}
        return super().changelist_view(request, context)

    @admin.action(description=_("Enable"), permissions=("change",))
    def enable(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> None:
        """Set `enabled`, one row at a time, so that each is synced and logged."""
        self._set_enabled(request, chosen, enabled=True)

    @admin.action(description=_("Disable"), permissions=("change",))
    def disable(self, request: HttpRequest, chosen: QuerySet[Schedule]) -> None:
        """Take `enabled` away, one row at a time, so that each is synced and logged."""
        self._set_enabled(request, chosen, enabled=False)

    def get_form(
        self, request: HttpRequest, obj: Schedule | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Schedule]]:
        """Let superusers type a function, where the setting permits it."""
        form = super().get_form(request, obj, change=change, **kwargs)
        form.free_targets = request.user.is_superuser  # type: ignore[attr-defined]
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> tuple[str, ...]:
        """Show function and arguments without letting them be changed, where the right to it is missing."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is not None and not request.user.has_perm("schedules.change_target"):
            fields += TARGET_FIELDS
        return fields

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        """Leave the arguments of an existing schedule out, where the right to see them is missing."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or request.user.has_perm("schedules.view_payload"):
            return fieldsets
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in PAYLOAD_FIELDS]})
            for title, options in fieldsets
        ]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search arguments only for those who may see them: a search that hits tells what they hold."""
        fields = tuple(super().get_search_fields(request))
        if request.user.has_perm("schedules.view_payload"):
            return fields
        return tuple(name for name in fields if name not in PAYLOAD_FIELDS)

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Save, and say when what was saved is not scheduled."""
        super().save_model(request, obj, form, change)
        problem = obj.not_scheduled_because
        if problem:
            self.message_user(
                request,
                gettext("“%(name)s” is saved and will not run. %(problem)s")
                % {"name": obj.name, "problem": problem},
                messages.WARNING,
            )

    def _set_enabled(self, request: HttpRequest, chosen: QuerySet[Schedule], *, enabled: bool) -> None:
        changed = 0
        for schedule in chosen.exclude(enabled=enabled):
            schedule.enabled = enabled
            # Only this field: a row that somebody edits meanwhile keeps the edit.
            schedule.save(update_fields=["enabled", "updated_at"])
            self.log_change(request, schedule, gettext("Enabled.") if enabled else gettext("Disabled."))
            changed += 1
        text = (
            ngettext("%(count)d schedule is enabled now.", "%(count)d schedules are enabled now.", changed)
            if enabled
            else ngettext(
                "%(count)d schedule is disabled now.", "%(count)d schedules are disabled now.", changed
            )
        )
        self.message_user(request, text % {"count": changed}, messages.SUCCESS)
