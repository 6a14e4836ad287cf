"""From the event stream into the ledger: a batch of records, one transaction, each event exactly once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import DataError, IntegrityError, router, transaction
from redis import Redis

from schedules.conf import conf
from schedules.engine import keys
from schedules.engine.identity import JobIdentity, identity_of
from schedules.keeper import rows as ledger
from schedules.keeper.alarms import Notice, Watch
from schedules.keeper.missed import missed_slots_of
from schedules.keeper.notes import Notes, next_runs, read_notes, write_notes
from schedules.keeper.rows import Row, moment_of, new_row
from schedules.keeper.stream import Record, order_of
from schedules.keeper.writing import write_rows
from schedules.models import LedgerPosition, Run, RunStatus, RunTrigger
from schedules.models.choices import SLOT_TRIGGERS

logger = logging.getLogger(__name__)

MOST_EVENTS: Final = 2000
"""Events in one transaction: bounds how long it holds the database, and what a crash has to do again."""
NAMES_KEPT: Final = 20_000
NOBODY: Final = JobIdentity(None, None)
READ_COLUMNS: Final = (
    *("id", "job_id", "schedule_name", "scheduled_for", "trigger", "status", "reason"),
    *("queue", "attempt", "enqueued_at", "started_at", "delay"),
)
"""What `rows` and the alarms look at of a row that is there."""


class NotKeeperError(Exception):
    """Another keeper has written to the ledger since this one began to keep."""


@dataclass(slots=True)
class Drained:
    """What a batch came to."""

    events: int = 0
    left_out: int = 0
    """Events that cannot be stored, whatever is tried; each was logged."""
    schedules: set[UUID] = field(default_factory=set)
    """Schedules whose runs were written."""
    opened: bool = False
    """Whether a row may be open now that has to end some time."""
    notices: list[Notice] = field(default_factory=list)
    paused: bool = False
    """Whether an alarm switched a schedule off."""

    def add(self, other: Drained) -> None:
        """Add what another batch came to."""
        self.events += other.events
        self.left_out += other.left_out
        self.schedules |= other.schedules
        self.opened |= other.opened
        self.notices += other.notices
        self.paused |= other.paused


class Drain:
    """Writes records into the ledger. One at a time writes: the position in the database sees to it."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}
        self.using = router.db_for_write(Run)
        self.position = "0-0"
        """The last record that is in the ledger."""

    def begin(self, *, anew: bool) -> None:
        """Read how far the ledger has come; `anew`: the stream is another one, its ids say nothing about the old."""
        position, _ = LedgerPosition.objects.using(self.using).get_or_create(stream=keys.EVENTS)
        if anew and position.last_id != "0-0":
            LedgerPosition.objects.using(self.using).filter(pk=keys.EVENTS).update(last_id="0-0")
            position.last_id = "0-0"
        self.position = position.last_id

    def unwritten(self, records: Sequence[Record]) -> list[Record]:
        """Return those of redelivered records that are not in the ledger yet."""
        written = order_of(self.position)
        return [record for record in records if record.order > written]

    def write(self, records: Sequence[Record]) -> Drained:
        """Write records, and leave out what no database would take.

        Raises:
            DatabaseError: the database is away or refuses for now; what is not written can be written again.
            NotKeeperError: another keeper was faster.
        """
        total = Drained()
        for batch in _batches(records):
            total.add(self._write_carefully(batch))
        return total

    def _write_carefully(self, records: list[Record]) -> Drained:
        try:
            return self._write(records)
        except NotKeeperError:
            raise
        except (DataError, IntegrityError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            return self._write_apart(records, error)
        # Whatever else the database says (away, locked, full, not migrated) passes, and is told by the caller.

    def _write_apart(self, records: list[Record], error: Exception) -> Drained:
        """Find the events that cannot be written, so that they do not take the others with them."""
        if len(records) > 1:
            half = len(records) // 2
            total = self._write_carefully(records[:half])
            total.add(self._write_carefully(records[half:]))
            return total
        (record,) = records
        if len(record.events) > 1:
            half = len(record.events) // 2
            total = self._write_carefully([replace(record, events=record.events[:half])])
            total.add(self._write_carefully([replace(record, events=record.events[half:])]))
            return total
        logger.error(
            "An event cannot be stored and is left out of the ledger (%s: %s): %.500r",
            type(error).__name__,
            error,
            record.events,
            extra={"action": "ledger.left_out"},
        )
        self._write([replace(record, events=())])
        return Drained(left_out=len(record.events))

    def _write(self, records: Sequence[Record]) -> Drained:
        """Write one batch: position, rows and notes, all or nothing."""
        batch = _Batch(records)
        names = self._names_of(batch.strangers)
        due = next_runs(self._connection, [str(pk) for pk in batch.schedule_ids])
        with transaction.atomic(using=self.using):
            self._move_to(records[-1].id)
            batch.load(self.using, names)
            batch.fold()
            for key, notes in batch.notes.items():
                notes.set(next_run_at=due[key])
            write_rows(batch.rows.values(), using=self.using)
            write_notes(batch.notes.values(), using=self.using)
        self.position = records[-1].id
        for key, notes in batch.notes.items():
            self._remember(key, notes.name)
        return batch.drained

    def _move_to(self, record_id: str) -> None:
        moved = (
            LedgerPosition.objects.using(self.using)
            .filter(pk=keys.EVENTS, last_id=self.position)
            .update(last_id=record_id)
        )
        if not moved:
            raise NotKeeperError(f"The ledger is not at record {self.position} any more.")

    def _names_of(self, schedule_ids: Sequence[str]) -> dict[str, str]:
        """Return the names of schedules that may have no row: those of code, and deleted ones."""
        unknown = [key for key in schedule_ids if key not in self._names]
        if unknown:
            with self._connection.pipeline(transaction=False) as pipe:
                for key in unknown:
                    pipe.hget(keys.template(key), "schedule_name")
                for key, name in zip(unknown, pipe.execute(raise_on_error=False), strict=True):
                    if isinstance(name, bytes):
                        self._remember(key, name.decode("utf-8", "replace"))
        return {key: self._names.get(key, "") for key in schedule_ids}

    def _remember(self, schedule_id: str, name: str) -> None:
        if len(self._names) >= NAMES_KEPT:
            self._names.clear()
        self._names[schedule_id] = name


class _Batch:
    """The events of some records, and the rows and notes that they change."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.rows: dict[str, Row] = {}
        self.notes: dict[str, Notes] = {}
        self.names: Mapping[str, str] = {}
        self.drained = Drained()
        self.watch = Watch(self.drained.notices)
        jobs: dict[str, JobIdentity] = {}
        strangers: dict[str, None] = {}
        for record in records:
            for event in record.events:
                if "j" in event:
                    job_id = str(event["j"])
                    if job_id not in jobs:
                        identity = identity_of(job_id)
                        jobs[job_id] = identity
                        if identity.schedule_id is not None:
                            strangers[identity.schedule_id] = None
                elif "i" in event:
                    strangers[str(event["i"])] = None
                    if "s" in event:
                        jobs[f"{event['i']}_{event['s']}"] = NOBODY
                if "of" in event:
                    jobs.setdefault(str(event["of"]), NOBODY)
        self.jobs = jobs
        self.strangers = list(strangers)
        self.schedule_ids = [pk for pk in map(_uuid, strangers) if pk is not None]

    def load(self, using: str, names: Mapping[str, str]) -> None:
        """Read the rows and notes that the events are about."""
        self.names = names
        self.using = using
        self.notes = read_notes(self.schedule_ids, using=using, lock=True)
        self._load_rows(list(self.jobs))

    def _load_rows(self, job_ids: Sequence[str]) -> None:
        known = [ledger.storable("job_id", job_id) for job_id in job_ids]
        for found in Run.objects.using(self.using).of_jobs(known).values_list(*READ_COLUMNS):
            values = dict(zip(READ_COLUMNS, found, strict=True))
            pk = values.pop("id")
            self.rows[values["job_id"]] = Row(values, pk=pk)

    def fold(self) -> None:
        """Apply the events in their order."""
        for record in self.records:
            noted_at = moment_of(record.noted_at) if record.events else None
            added_at = moment_of(record.added_at)
            for event in record.events:
                assert noted_at is not None
                self._apply(event, record, noted_at, added_at)
                self.drained.events += 1

    def _apply(
        self, event: Mapping[str, Any], record: Record, noted_at: datetime, added_at: datetime
    ) -> None:
        kind = event["e"]
        if kind == "missed":
            self._miss(event)
            return
        if kind == "skipped":
            self._skip(event)
            return
        if kind not in ("queued", "started", "ended", "canceled"):
            return  # written by a newer release
        row, notes = self._row(event, noted_at)
        if kind == "queued":
            is_new = row.pk is None and row.values["enqueued_at"] is None
            ledger.queue_it(row, event, noted_at)
            if "of" in event and (origin := self.rows.get(str(event["of"]))) is not None:
                row.set(retry_of_id=origin.pk)
            if notes is not None and is_new and row.values["trigger"] in SLOT_TRIGGERS:
                notes.settle(row.values["scheduled_for"])
                notes.dispatched()
            self.drained.opened = True
        elif kind == "started":
            ledger.start_it(row, event, added_at)
            if notes is not None:
                notes.started(added_at)
            self.drained.opened = True
        elif kind == "ended":
            ledger.end_it(row, event, added_at, record.noted_at)
            self.drained.opened |= not row.has_ended
        else:
            ledger.cancel_it(row, event, noted_at)
        if notes is not None and row.has_ended:
            notes.ended(row.values["status"])
            self.drained.paused |= self.watch.run_ended(notes, row, added_at)

    def _row(self, event: Mapping[str, Any], at: datetime) -> tuple[Row, Notes | None]:
        job_id = str(event["j"])
        identity = self.jobs[job_id]
        if identity is NOBODY:
            identity = identity_of(job_id)
        job_id = ledger.storable("job_id", job_id)
        row = self.rows.get(job_id)
        notes = self.notes.get(identity.schedule_id) if identity.schedule_id is not None else None
        if row is None:
            slot = identity.scheduled_for
            if slot is None and "s" in event:
                slot = moment_of(float(event["s"]))
            row = self._new(identity.schedule_id, job_id, at if slot is None else slot)
            if identity.scheduled_for is None and event["e"] != "queued":
                # A job of no slot that nobody saw being queued: it must not count as a slot.
                row.set(trigger=RunTrigger.MANUAL)
        return row, notes

    def _new(self, schedule_id: str | None, job_id: str, scheduled_for: datetime, **values: Any) -> Row:
        row = new_row(job_id=job_id, scheduled_for=scheduled_for, **values)
        if schedule_id is not None:
            notes = self.notes.get(schedule_id)
            if notes is not None:
                row.set(
                    schedule_id=notes.pk, schedule_name=notes.name, func=notes.func, payload=notes.payload
                )
                self.drained.schedules.add(notes.pk)
            elif self.names.get(schedule_id):
                row.set(schedule_name=self.names[schedule_id])
        self.rows[job_id] = row
        return row

    def _skip(self, event: Mapping[str, Any]) -> None:
        schedule_id, slot = str(event["i"]), int(event["s"])
        job_id = ledger.storable("job_id", f"{schedule_id}_{slot}")
        if job_id in self.rows:
            return
        reason, queue = str(event.get("r", "")), str(event.get("q", ""))
        self._new(schedule_id, job_id, moment_of(slot), status=RunStatus.SKIPPED, reason=reason, queue=queue)
        notes = self.notes.get(schedule_id)
        if notes is not None:
            notes.settle(moment_of(slot))

    def _miss(self, event: Mapping[str, Any]) -> None:
        schedule_id = str(event["i"])
        notes = self.notes.get(schedule_id)
        keep = (notes.rules["keep_runs"] if notes is not None else None) or conf.keep_runs
        slots = missed_slots_of(event, keep=keep)
        starts = ([slots.first] if slots.first is not None else []) + list(slots.single)
        self._load_rows(
            [f"{schedule_id}_{slot}" for slot in starts if f"{schedule_id}_{slot}" not in self.rows]
        )
        reason, queue = str(event.get("r", "")), str(event.get("q", ""))
        told: Row | None = None
        for slot in starts:
            job_id = ledger.storable("job_id", f"{schedule_id}_{slot}")
            if job_id in self.rows:
                continue  # the ledger knows what became of it
            told = self._new(
                schedule_id, job_id, moment_of(slot), status=RunStatus.MISSED, reason=reason, queue=queue
            )
            if slot == slots.first and slots.last is not None:
                least = "" if slots.is_exact else f" At least {slots.count} slots."
                told.set(
                    scheduled_until=moment_of(slots.last), slots=max(1, slots.count), reason=reason + least
                )
        if notes is not None:
            notes.settle(moment_of(int(event["b"])))
            if told is not None:
                notes.set(last_status=RunStatus.MISSED)
                self.watch.slot_missed(notes, told, int(event["a"]), int(event["b"]))


def _batches(records: Sequence[Record]) -> list[list[Record]]:
    """Cut records into transactions."""
    batches: list[list[Record]] = []
    events = MOST_EVENTS
    for record in records:
        if events >= MOST_EVENTS:
            batches.append([])
            events = 0
        batches[-1].append(record)
        events += len(record.events)
    return batches


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
