"""The admin log: every change with its old and its new value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.translation import override

from schedules.forms.stale import value_text
from schedules.models import Schedule

PAYLOAD_FIELDS: Final = ("args", "kwargs")
"""What may hold secrets: in the log by name alone for those who may not see it, see `history`."""
EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


def values_of(schedule: Schedule, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Return the values of a schedule that people set, by field; or those of some fields."""
    return {
        field.attname: getattr(schedule, field.attname)
        for field in Schedule._meta.concrete_fields
        if (field.attname in fields if fields else field.editable)
    }


def change_message(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a message for the admin log, in the form that Django translates when it shows it.

    The values stand in it as they are under `values`, and arguments under `payload`, as [old, new]: Django shows
    neither, the page of the history does. Empty: nothing differs.
    """
    fields: list[str] = []
    values: dict[str, list[Any]] = {}
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
                values[name] = [_plain(old), _plain(new)]
    if not fields:
        return []
    return [_message({"changed": {"fields": fields}}, values, payload)]


def creation_message(schedule: Schedule, *, copied_from: str = "") -> list[dict[str, Any]]:
    """Return a message for a new schedule, with all its values."""
    message: dict[str, Any] = {"added": {}}
    if copied_from:
        message["copied_from"] = copied_from
    return [_with_all_values(message, schedule, place=1)]


def deletion_message(schedule: Schedule) -> list[dict[str, Any]]:
    """Return a message for a schedule that goes, with its last values, so that it can be made again."""
    message = {"deleted": {"name": "schedule", "object": schedule.name}}
    return [_with_all_values(message, schedule, place=0)]


def start_message(job_id: str, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> Any:
    """Return a message for a run that was asked for; `before` and `after` are what it was called with."""
    changed = {name: [before.get(name), new] for name, new in after.items() if before.get(name) != new}
    message: dict[str, Any] = {"added": {"name": "run", "object": job_id}, "job": job_id}
    return [_message(message, {}, changed)]


def _with_all_values(message: dict[str, Any], schedule: Schedule, *, place: int) -> dict[str, Any]:
    """Add the values that are not empty as the new ones (1) or as the old ones (0)."""
    pairs = {
        name: [None, _plain(value)] if place else [_plain(value), None]
        for name, value in values_of(schedule).items()
        if value not in EMPTY
    }
    payload: dict[str, list[Any]] = {name: pairs.pop(name) for name in PAYLOAD_FIELDS if name in pairs}
    return _message(message, pairs, payload)


def _message(
    message: dict[str, Any], values: dict[str, list[Any]], payload: dict[str, list[Any]]
) -> dict[str, Any]:
    return {**message, **({"values": values} if values else {}), **({"payload": payload} if payload else {})}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
