"""The history of a schedule or a run: each entry of the admin log, with what was and what is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.admin.utils import unquote
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import DateTimeField
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _

from schedules.admin.masking import MASK, shown_json
from schedules.forms.stale import value_text
from schedules.models import Schedule
from schedules.templatetags.schedules_runs import visible

LONGEST: Final = 2000
"""Characters of a value that are shown."""
PER_PAGE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value that changed, as text; empty: there was, or there is, none."""

    label: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that somebody did."""

    at: datetime
    user: str
    text: str
    changes: tuple[Change, ...]
    link: str
    """Where the run is that was started; empty: none was."""


def history_page(admin: ModelAdmin[Any], request: HttpRequest, object_id: str) -> HttpResponse:
    """Show what was done to an object, the newest first; also to one that has been deleted.

    Raises:
        PermissionDenied: this user may not see objects of its kind.
    """
    found = admin.get_object(request, unquote(object_id))
    if request.method not in ("GET", "HEAD") or not admin.has_view_or_change_permission(request, found):
        raise PermissionDenied
    logged = (
        LogEntry.objects.filter(
            object_id=unquote(object_id), content_type=get_content_type_for_model(admin.model)
        )
        .select_related("user")
        .order_by("-action_time", "-pk")
    )
    page = Paginator(logged, PER_PAGE).get_page(request.GET.get("p", 1))
    if found is None and not page.object_list:
        raise Http404("There is no such object, and nothing of it in the log.")
    context = {
        **admin.admin_site.each_context(request),
        "title": _("History"),
        "action_list": page,
        "page_var": "p",
        "pagination_required": page.has_other_pages(),
        "module_name": capfirst(admin.opts.verbose_name_plural),
        "object": found if found is not None else page.object_list[0].object_repr,
        "opts": admin.opts,
    }
    return TemplateResponse(request, "admin/schedules/object_history.html", context)


def entry_of(logged: LogEntry, *, may_see_payload: bool) -> Entry:
    """Return what the page says of an entry; of what may hold secrets only that it changed, unless it may be seen."""
    parts = _parts(logged)
    changes: list[Change] = []
    for part in parts:
        for name, pair in _pairs(part, "values"):
            changes.append(Change(label=_label(name), old=_shown(name, pair[0]), new=_shown(name, pair[1])))
        for name, pair in _pairs(part, "payload"):
            old, new = (_payload(value, may_see=may_see_payload) for value in pair)
            changes.append(Change(label=_label(name), old=old, new=new))
    job = next((str(part["job"]) for part in parts if part.get("job")), "")
    return Entry(
        at=logged.action_time,
        user=logged.user.get_username(),
        text=_text(logged, parts),
        changes=tuple(changes),
        link=reverse("admin:schedules_run_of_job", args=[job]) if job else "",
    )


def _parts(logged: LogEntry) -> list[dict[str, Any]]:
    try:
        found = json.loads(logged.change_message)
    except ValueError:
        return []
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _pairs(part: dict[str, Any], key: str) -> list[tuple[str, list[Any]]]:
    found = part.get(key)
    if not isinstance(found, dict):
        return []
    return [(name, pair) for name, pair in found.items() if isinstance(pair, list) and len(pair) == 2]


def _text(logged: LogEntry, parts: list[dict[str, Any]]) -> str:
    """Say what was done in a few words: the values stand in a table of their own."""
    part = parts[0] if parts else {}
    if "job" in part:
        return _("Run now, with other arguments.") if part.get("payload") else _("Run now.")
    if "copied_from" in part:
        return _("Copied from “%(name)s”.") % {"name": part["copied_from"]}
    if "values" in part or "payload" in part:
        if "added" in part:
            return _("Added.")
        return _("Deleted.") if "deleted" in part else _("Changed.")
    try:
        told = logged.get_change_message()
    except (TypeError, KeyError, AttributeError):  # JSON of another hand, which Django takes for its own
        told = logged.change_message
    return told or (_("Deleted.") if logged.is_deletion() else "–")


def _label(name: str) -> str:
    try:
        return str(Schedule._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    except FieldDoesNotExist:  # an older version had it
        return name


def _shown(name: str, value: Any) -> str:
    """Return a value as people read it."""
    if value is None or value == "":
        return ""
    try:
        field: Any = Schedule._meta.get_field(name)
    except FieldDoesNotExist:
        return _cut(value_text(value))
    if isinstance(field, DateTimeField) and isinstance(value, str):
        value = parse_datetime(value) or value
    elif field.choices and isinstance(value, str):
        value = dict(field.flatchoices).get(value, value)
    return _cut(value_text(value, longest=LONGEST))


def _payload(value: Any, *, may_see: bool) -> str:
    if value is None:
        return ""
    return _cut(shown_json(value)) if may_see else MASK


def _cut(text: str) -> str:
    return visible(Truncator(text).chars(LONGEST))
