"""What the templates of the admin pages ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

if TYPE_CHECKING:
    from django.contrib.admin.models import LogEntry

    from schedules.admin.history import Entry

register = template.Library()


@register.filter
def has_errors(fieldset: Any) -> bool:
    """Say whether a field of this fieldset has an error, so that what is folded is opened."""
    return any(line.errors() for line in fieldset)


@register.simple_tag(takes_context=True)
def log_entry(context: dict[str, Any], logged: LogEntry) -> Entry:
    """Return an entry of the admin log, as far as whoever asks may see it."""
    from schedules.admin.history import entry_of  # the admin imports these tags

    return entry_of(logged, may_see_payload=context["request"].user.has_perm("schedules.view_payload"))
