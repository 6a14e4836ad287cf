"""The admin log: every change with its old and its new value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import override

from schedules.forms.stale import value_text
from schedules.models import Schedule

PAYLOAD_FIELDS: Final = ("args", "kwargs")
"""What may hold secrets: in the log by name alone for those who may not see it, see `history_payload`."""


def values_of(schedule: Schedule) -> dict[str, Any]:
    """Return the values of a schedule that people set, by field."""
    return {
        field.attname: getattr(schedule, field.attname)
        for field in Schedule._meta.concrete_fields
        if field.editable
    }


def change_message(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a message for the admin log, in the form that Django translates when it shows it.

    Arguments stand in it under a key of their own, which Django does not show.
    """
    fields: list[str] = []
    payload: dict[str, list[Any]] = {}
    # The log is stored in one language, as Django's own entries are.
    with override("en"):
        for name, new in after.items():
            old = before.get(name)
            if old == new:
                continue
            label = str(Schedule._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
            if name in PAYLOAD_FIELDS:
                fields.append(label)
                payload[name] = [old, new]
            else:
                fields.append(f"{label} ({value_text(old)} → {value_text(new)})")
    if not fields:
        return []
    change: dict[str, Any] = {"changed": {"fields": fields}}
    return [{**change, "payload": payload} if payload else change]


def creation_message(schedule: Schedule, *, copied_from: str = "") -> list[dict[str, Any]]:
    """Return a message for a new schedule, with all its values."""
    values = {name: value for name, value in values_of(schedule).items() if value not in (None, "", [], {})}
    with override("en"):
        stored = {name: value_text(value) for name, value in values.items() if name not in PAYLOAD_FIELDS}
    message: dict[str, Any] = {"added": {}, "values": stored}
    if copied_from:
        message["copied_from"] = copied_from
    payload = {name: values[name] for name in PAYLOAD_FIELDS if name in values}
    return [{**message, "payload": payload} if payload else message]
