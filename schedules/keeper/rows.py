"""What each event makes of its row. Nothing here reads or writes a database.

Events come in the order in which they happened, so each sets what it knows and the last one wins; what came before
a slot's row was there (a replayed `queued`) changes nothing. So the same events twice give the same row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from schedules.models import Run, RunStatus, RunTrigger
from schedules.models.run import OUTPUT_BYTES

COLUMNS: Final = tuple(field.attname for field in Run._meta.concrete_fields if not field.primary_key)
TEXT_LIMITS: Final = {
    field.attname: field.max_length
    for field in Run._meta.concrete_fields
    if field.get_internal_type() == "CharField"
}
TEXT_BYTES: Final = OUTPUT_BYTES + 4096
"""No text of a row is longer than the longest output with its mark."""
SURELY_SHORT: Final = 100
"""Characters that every column of free text takes; those that are shorter hold words of our own."""
TRIGGERS: Final = frozenset(RunTrigger.values)
ENDINGS: Final = frozenset({"succeeded", "failed", "canceled", "abandoned"})
DEFAULTS: Final[Mapping[str, Any]] = {
    field.attname: (field.get_default() if field.has_default() else None if field.null else "")
    for field in Run._meta.concrete_fields
    if not field.primary_key
}
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class Row:
    """One row of the ledger in the making: its columns, and which of them are not in the database yet."""

    __slots__ = ("changed", "pk", "values")

    def __init__(self, values: dict[str, Any], *, pk: int | None) -> None:
        self.values = values
        self.pk = pk
        """None: not in the database yet."""
        self.changed: set[str] = set()

    def set(self, **values: Any) -> None:
        """Set columns; texts are cut to what the database takes."""
        for name, value in values.items():
            if value and isinstance(value, str):
                values[name] = storable(name, value)
        self.values.update(values)
        self.changed.update(values)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more becomes of it by itself."""
        return self.values["status"] not in (RunStatus.QUEUED, RunStatus.RUNNING)


def new_row(*, job_id: str, scheduled_for: datetime, **values: Any) -> Row:
    """Return a row that the database does not have."""
    row = Row(dict(DEFAULTS), pk=None)
    row.set(job_id=job_id, scheduled_for=scheduled_for, **values)
    return row


def storable(column: str, text: str) -> str:
    """Return a text as every database takes it: without NUL and half characters, and not too long."""
    if len(text) <= SURELY_SHORT and text.isascii() and "\x00" not in text:
        return text
    if not text.isascii() or "\x00" in text:
        text = _UNSTORABLE.sub("\ufffd", text)
    limit = TEXT_LIMITS.get(column)
    return text[: limit if limit is not None else TEXT_BYTES]


def moment_of(unix: float) -> datetime:
    """Return unix seconds as a moment."""
    return datetime.fromtimestamp(unix, UTC)


def queue_it(row: Row, event: Mapping[str, Any], at: datetime) -> None:
    """`queued`: it waits for a worker."""
    if row.pk is not None or row.values["enqueued_at"] is not None:
        return
    trigger = event.get("t")
    row.set(
        enqueued_at=at,
        queue=str(event.get("q", "")),
        trigger=trigger if trigger in TRIGGERS else RunTrigger.SCHEDULE,
        started_by=str(event.get("by") or ""),
    )
    if event.get("f"):
        row.set(func=str(event["f"]))


def start_it(row: Row, event: Mapping[str, Any], at: datetime) -> None:
    """`started`: an attempt is running."""
    attempt = max(1, int(event.get("n") or 1))
    row.set(
        status=RunStatus.RUNNING,
        started_at=at,
        finished_at=None,
        next_attempt_at=None,
        duration=None,
        attempt=attempt,
        worker=str(event.get("w", "")),
        queue=str(event.get("q") or row.values["queue"]),
        reason="",
        exception="",
        traceback="",
    )
    if event.get("f"):
        row.set(func=str(event["f"]))
    if event.get("name") and not row.values["schedule_name"]:
        row.set(schedule_name=str(event["name"]))
    if attempt == 1 or row.values["delay"] is None:
        row.set(delay=(at - row.values["scheduled_for"]).total_seconds())


def end_it(row: Row, event: Mapping[str, Any], at: datetime, noted_at: float) -> None:
    """`ended`: an attempt is over, and with it the run unless another follows."""
    status = event.get("st")
    row.set(
        reason=str(event.get("r") or ""),
        exception=str(event.get("x") or ""),
        traceback=str(event.get("tb") or ""),
        result=str(event.get("res") or ""),
        output=str(event.get("out") or ""),
        attempt=max(1, int(event.get("n") or row.values["attempt"])),
    )
    if event.get("w"):
        row.set(worker=str(event["w"]))
    if status == "retry":
        wait = max(0.0, float(event.get("next") or noted_at) - noted_at)
        row.set(status=RunStatus.QUEUED, finished_at=None, next_attempt_at=moment_of(at.timestamp() + wait))
        return
    row.set(status=status if status in ENDINGS else RunStatus.ABANDONED, finished_at=at, next_attempt_at=None)
    started_at = row.values["started_at"]
    row.set(duration=None if started_at is None else max(0.0, (at - started_at).total_seconds()))


def cancel_it(row: Row, event: Mapping[str, Any], at: datetime) -> None:
    """`canceled`: it will not run."""
    row.set(
        status=RunStatus.CANCELED,
        reason=str(event.get("r") or ""),
        finished_at=at,
        next_attempt_at=None,
    )
