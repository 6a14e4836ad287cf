"""The keeper's notes on a schedule: its last and next run, how often it failed, how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from redis import Redis

from schedules.engine import keys
from schedules.keeper.rows import moment_of
from schedules.keeper.writing import update_many
from schedules.models import Schedule
from schedules.models.choices import FAILED_STATUSES, RunStatus

CHUNK: Final = 500
NOTE_COLUMNS: Final = (
    *("next_run_at", "last_run_at", "last_status", "failures_in_a_row", "last_slot_at", "runs_dispatched"),
    *("alarm", "alarm_at", "paused_at", "paused_until", "pause_reason"),
)
RULE_COLUMNS: Final = ("name", "failure_threshold", "pause_on_failure", "notify_email", "grace", "keep_runs")


@dataclass(slots=True)
class Notes:
    """What the ledger keeps on one schedule, while a batch of events changes it."""

    pk: UUID
    name: str
    func: str
    payload: str
    """The arguments as the ledger shows them."""
    rules: dict[str, Any]
    """Columns that people set and the keeper reads: see `RULE_COLUMNS`."""
    values: dict[str, Any]
    changed: set[str] = field(default_factory=set)

    def set(self, **values: Any) -> None:
        """Set columns, and remember those that differ."""
        for name, value in values.items():
            if self.values[name] != value:
                self.values[name] = value
                self.changed.add(name)

    def settle(self, slot: datetime) -> None:
        """Note a slot that was queued, skipped or missed."""
        newest = self.values["last_slot_at"]
        if newest is None or slot > newest:
            self.set(last_slot_at=slot)

    def dispatched(self) -> None:
        """Note that a slot was queued."""
        self.set(runs_dispatched=self.values["runs_dispatched"] + 1)

    def started(self, at: datetime) -> None:
        """Note that a run started."""
        if self.values["last_run_at"] is None or at > self.values["last_run_at"]:
            self.set(last_run_at=at)

    def ended(self, status: str) -> None:
        """Note how a run ended."""
        failures = self.values["failures_in_a_row"]
        if status in FAILED_STATUSES:
            failures += 1
        elif status == RunStatus.SUCCEEDED:
            failures = 0
        self.set(last_status=status, failures_in_a_row=failures)


def read_notes(ids: Iterable[UUID], *, using: str, lock: bool = False) -> dict[str, Notes]:
    """Return the notes of those ids that are schedules, by the id as text."""
    from json import dumps

    wanted = sorted(set(ids))
    found: dict[str, Notes] = {}
    columns = ("id", "func", "args", "kwargs", *RULE_COLUMNS, *NOTE_COLUMNS)
    for start in range(0, len(wanted), CHUNK):
        rows = Schedule.objects.using(using).filter(pk__in=wanted[start : start + CHUNK]).order_by("pk")
        if lock:
            rows = rows.select_for_update(no_key=True)
        for row in rows.values_list(*columns):
            facts = dict(zip(columns, row, strict=True))
            payload = dumps({"args": facts["args"], "kwargs": facts["kwargs"]}, separators=(",", ":"))
            found[str(facts["id"])] = Notes(
                pk=facts["id"],
                name=facts["name"],
                func=facts["func"],
                payload=payload if len(payload) <= 65_536 else "",
                rules={name: facts[name] for name in RULE_COLUMNS},
                values={name: facts[name] for name in NOTE_COLUMNS},
            )
    return found


def write_notes(notes: Iterable[Notes], *, using: str) -> None:
    """Write what changed. No signal is sent, and neither `updated_at` nor `version` moves."""
    groups: dict[tuple[str, ...], list[Notes]] = {}
    for note in notes:
        if note.changed:
            groups.setdefault(tuple(sorted(note.changed)), []).append(note)
    for columns, group in groups.items():
        rows = [([note.values[name] for name in columns], note.pk) for note in group]
        update_many(Schedule, columns, rows, using=using)


def next_runs(connection: Redis, ids: Sequence[str]) -> dict[str, datetime | None]:
    """Return when each schedule is dispatched next, as Redis has it."""
    found: dict[str, datetime | None] = {}
    for start in range(0, len(ids), CHUNK):
        chunk = list(ids[start : start + CHUNK])
        scores = connection.zmscore(keys.SCHEDULED, chunk)
        for schedule_id, score in zip(chunk, scores, strict=True):
            found[schedule_id] = None if score is None else moment_of(float(score))
    return found


def note_next_runs(connection: Redis, noted: Mapping[str, tuple[UUID, datetime | None]] | None = None) -> int:
    """Note when schedules are dispatched next, for the lists that sort by it; return how many notes changed.

    For whoever changes when a schedule is due without a slot being dispatched, as `sync` does. No signal is sent, and
    neither `updated_at` nor `version` moves.

    Args:
        connection: to the Redis that knows.
        noted: by id the primary key and what the row says now, for who has read them already; None: all rows are read.
    """
    rows = Schedule.objects.order_by("pk")
    if noted is None:
        noted = {str(row[0]): row for row in rows.values_list("pk", "next_run_at").iterator(chunk_size=2000)}
    due = next_runs(connection, list(noted))
    changed = [([due[key]], pk) for key, (pk, moment) in noted.items() if due[key] != moment]
    update_many(Schedule, ["next_run_at"], changed, using=rows.db)
    return len(changed)


def copy_of(notes: Notes) -> Notes:
    """Return notes that can be changed without changing these."""
    return replace(notes, values=dict(notes.values), changed=set(notes.changed))
