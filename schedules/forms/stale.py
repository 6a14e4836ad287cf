"""What to say to somebody whose form was overtaken by another edit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import LogEntry
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from schedules.models import Schedule

if TYPE_CHECKING:
    from schedules.forms.schedule import ScheduleForm

LONGEST_VALUE = 120
"""Characters of a value in a sentence."""


def differences(form: ScheduleForm, cleaned: dict[str, Any]) -> Iterator[str]:
    """Say who changed the row and when, and then each field that differs, with both values."""
    entry = (
        LogEntry.objects.filter(object_id=str(form.instance.pk), content_type__app_label="schedules")
        .select_related("user")
        .order_by("-action_time")
        .first()
    )
    ago = timesince(form.instance.updated_at, depth=1)
    if entry is None:
        yield _("This schedule was changed %(ago)s ago, after you opened it. Nothing was saved.") % {
            "ago": ago
        }
    else:
        yield _("%(user)s changed this schedule %(ago)s ago, after you opened it. Nothing was saved.") % {
            "user": entry.user.get_username(),
            "ago": ago,
        }
    for name, stored in form.before.items():
        if name in cleaned and cleaned[name] != stored and not (stored in (None, "") and not cleaned[name]):
            field: Any = Schedule._meta.get_field(name)
            yield _("%(field)s: stored is %(stored)s, here is %(here)s.") % {
                "field": field.verbose_name,
                "stored": value_text(stored),
                "here": value_text(cleaned[name]),
            }
    yield _("Save again to store what is shown here, or reload the page to see what is stored.")


def value_text(value: Any, *, longest: int = LONGEST_VALUE) -> str:
    """Return a value as one line, for people."""
    if value is None or value == "":
        return _("empty")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False)
    elif hasattr(value, "isoformat"):
        text = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    else:
        text = str(value)
    return Truncator(text).chars(longest)
