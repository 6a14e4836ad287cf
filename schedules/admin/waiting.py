"""Saying that what was saved waits for Redis: the save has succeeded, and the keeper applies it later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from schedules import sync
from schedules.models import Schedule

if TYPE_CHECKING:
    ScheduleModelAdmin = admin.ModelAdmin[Schedule]
else:  # generic for the type checker alone
    ScheduleModelAdmin = admin.ModelAdmin

_SAVED: Final = "_schedules_saved"


class SaysWhenRedisIsAway(ScheduleModelAdmin):
    """Looks, once the form's transaction is committed, whether Redis was there to be told."""

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """Save, and remember for which row to look."""
        super().save_model(request, obj, form, change)
        setattr(request, _SAVED, obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show or save the form; the wait for Redis is bounded by the service."""
        response = super().changeform_view(request, object_id, form_url, extra_context)
        saved: Schedule | None = getattr(request, _SAVED, None)
        if saved is not None and sync.is_in_sync(saved) is None:
            self.message_user(
                request,
                gettext(
                    "Saved. Redis does not answer at the moment: the change waits and is applied when it is back."
                ),
                messages.WARNING,
            )
        return response
