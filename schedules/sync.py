"""Making Redis equal to the database: one row after its commit, or all of them by the difference.

Signals make it fast, `manage.py sync_schedules` makes it sure at a deploy, and the keeper makes it true for good.
All three come here. It is always a difference: what is equal is not touched, so a next run is never pushed later, and
what rows did not put into Redis is never taken out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from django.db.models import Count, Max, QuerySet, TextField
from django.db.models.base import ModelState
from django.db.models.functions import Cast

from schedules.engine import PayloadError, Progress
from schedules.keeper.notes import note_next_runs
from schedules.models import NotScheduledError, Schedule
from schedules.services import SchedulerService, SchedulerUnavailableError
from schedules.services.connection import redis_errors_as_ours, scheduler_for
from schedules.spec import ScheduleSpec, digest
from schedules.targets import TargetError, TargetMalformedError, TargetNotAllowedError, resolve
from schedules.timing import CronTrigger, check_cron

logger = logging.getLogger(__name__)

SPEC_COLUMNS: Final = (
    *("id", "name", "description", "func", "queue", "enabled", "kind", "interval", "cron", "timezone"),
    *("run_at", "starts_at", "ends_at", "max_runs", "jitter", "timeout", "result_ttl", "misfire_policy"),
    *("catchup_window", "overlap_policy", "retry_max", "retry_min_backoff", "retry_max_backoff"),
    *("paused_at", "paused_until", "resumed_at", "created_at", "updated_at"),
)
"""What a spec is made of, with the arguments: a row in which none of these changed has the digest that it had."""
RESUMED_AT: Final = SPEC_COLUMNS.index("resumed_at")
UPDATED_AT: Final = SPEC_COLUMNS.index("updated_at")
ARGUMENTS: Final = ("args", "kwargs")
SPEC_AND_ARGUMENTS: Final = SPEC_COLUMNS + ARGUMENTS
WIDTH: Final = len(SPEC_AND_ARGUMENTS)
NOTE_COLUMNS: Final = ("next_run_at", "runs_dispatched", "last_slot_at")
"""What is noted of a schedule: when it is due next, how far it has come."""
CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """What a sync would change, by id; names are for people."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    """Rows that cannot be scheduled, with the reason: they never keep the others from being synced."""
    names: dict[str, str] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    """Those of `removed` whose row is gone for good."""

    @property
    def is_empty(self) -> bool:
        """Tell whether Redis is equal to the database already."""
        return not (self.added or self.changed or self.removed)

    def name_of(self, schedule_id: str) -> str:
        """Return the row's name, or the id where the row is gone."""
        return self.names.get(schedule_id, schedule_id)


Row: TypeAlias = tuple[Any, ...]
"""The columns of a spec and the arguments, as text: decoding the JSON of 10,000 rows costs more than all the rest."""


Noted: TypeAlias = dict[str, tuple[UUID, datetime | None]]
"""By id the primary key of a row and when it is due next, as the row says."""
EMPTY: Final[Mapping[str, type]] = {"[]": list, "{}": dict}
"""What most rows have as arguments, as text; so it need not be read as JSON."""


class _Known(NamedTuple):
    """What is known of a row."""

    row: Row
    """As it was read last."""
    digest: str | None
    """Of its spec; None: it is not wanted."""
    problem: str


class Synchronizer:
    """Compares and applies. Kept between two comparisons, it rebuilds only the specs of rows that changed."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._specs: dict[str, ScheduleSpec] = {}
        """Those of `_known` that the last comparison made, and that differ from what Redis holds."""
        self._notes: dict[str, Row] = {}
        """Of rows that differ. The first comparison reads them of all rows, as many are likely to; the next do not."""

    def compare(self) -> Difference:
        """Return what differs between database and Redis. Changes nothing.

        Raises:
            SchedulerUnavailableError: Redis does not answer.
        """
        registered = {
            schedule_id: (source, fingerprint)
            for schedule_id, source, fingerprint in SchedulerService.registered()
        }
        digests, names, problems = self._wanted()
        difference = Difference(problems=problems, names=names)
        equal = [key for key, wanted in digests.items() if registered.get(key) == ("row", wanted)]
        doubtful = SchedulerService.doubtful(equal)
        kept = len(equal) - len(doubtful)
        difference.added.extend(key for key in digests if key not in registered)
        # Asked in full is only what the index has otherwise than it should be, or of which something is missing.
        different = [key for key in digests.keys() - set(equal) if key in registered]
        for state in SchedulerService.states([*doubtful, *different]):
            if not state.plan:
                difference.added.append(state.id)
            elif state.digest != digests[state.id] or not state.is_whole or state.source != "row":
                difference.changed.append(state.id)
            else:
                kept += 1
        for schedule_id, (source, _) in registered.items():
            if source == "row" and schedule_id not in digests:
                difference.removed.append(schedule_id)
                if schedule_id not in names:
                    difference.forgotten.append(schedule_id)
        differing = {*difference.added, *difference.changed}
        self._specs = {key: spec for key, spec in self._specs.items() if key in differing}
        self._notes = {key: notes for key, notes in self._notes.items() if key in differing}
        return replace(difference, kept=kept)

    def apply(self, difference: Difference) -> Difference:
        """Make Redis equal to the database where they differ; return what was done, as far as it could be."""
        problems = dict(difference.problems)
        specs, progress, noted = self._to_register([*difference.added, *difference.changed], problems)
        done = _registered(specs, progress, problems)
        # Asked again: a row that was switched on since the comparison must not be taken out.
        still_wanted = set(_wanted_among(difference.removed))
        forgotten = set(difference.forgotten)
        removed = [key for key in difference.removed if key not in still_wanted]
        gone = [key for key in removed if key in forgotten]
        off = [key for key in removed if key not in forgotten]
        if gone:
            SchedulerService.unregister(gone, source="row")
        if off:
            SchedulerService.unregister(off, source="row", keep=True)
        said_of_off = {key: (UUID(key), next_run_at) for key, (next_run_at, *_) in _notes_of(off).items()}
        _note_next_runs({key: noted[key] for key in done} | said_of_off)
        if _stand() != self._stand_compared():
            # Somebody saved or deleted meanwhile, and his signal may have been faster than what was read before.
            self.reconcile()
        return Difference(
            added=[key for key in difference.added if key in done],
            changed=[key for key in difference.changed if done.get(key) in {"changed", "added"}],
            removed=[*gone, *off],
            kept=difference.kept + sum(outcome == "kept" for outcome in done.values()),
            problems=problems,
            names=difference.names,
        )

    def reconcile(self) -> Difference:
        """Compare and apply, as the keeper does; what had to be healed is logged."""
        difference = self.compare()
        if difference.is_empty:
            return difference
        healed = self.apply(difference)
        logger.info(
            "Redis differed from the database: %d added, %d changed, %d removed.",
            len(healed.added),
            len(healed.changed),
            len(healed.removed),
            extra={"action": "sync.healed"},
        )
        return healed

    def _to_register(
        self, ids: Sequence[str], problems: dict[str, str]
    ) -> tuple[list[ScheduleSpec], dict[str, Progress], Noted]:
        """Return the specs of rows as the comparison read them, how far each has come, and what it says is next."""
        specs: list[ScheduleSpec] = []
        progress: dict[str, Progress] = {}
        noted: Noted = {}
        allowed: dict[str, str] = {}
        self._notes |= _notes_of([key for key in ids if key not in self._notes])
        for key in ids:
            row = self._known[key].row
            spec = self._specs.get(key)
            if spec is None:  # made by an earlier comparison, when Redis had it
                spec, problem = _spec_or_problem(_schedule_of(row), allowed)
                if problem:
                    problems[key] = problem
            if spec is not None and key in self._notes:
                specs.append(spec)
                next_run_at, runs, last_slot_at = self._notes[key]
                progress[key] = _progress(row[UPDATED_AT], runs, last_slot_at, row[RESUMED_AT])
                noted[key] = row[0], next_run_at
        self._specs, self._notes = {}, {}
        return specs, progress, noted

    def _stand_compared(self) -> tuple[int, datetime | None]:
        """Return what `_stand` would have returned when the rows were read."""
        return len(self._known), max((known.row[UPDATED_AT] for known in self._known.values()), default=None)

    def _wanted(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Return digests of the wanted rows, names of all, and problems, each by id."""
        digests: dict[str, str] = {}
        names: dict[str, str] = {}
        problems: dict[str, str] = {}
        seen: dict[str, _Known] = {}
        allowed: dict[str, str] = {}
        self._specs = {}
        is_first = not self._known
        for row in _rows(*(NOTE_COLUMNS if is_first else ())).iterator(chunk_size=2000):
            key = str(row[0])
            names[key] = row[1]
            if is_first:
                row, self._notes[key] = row[:WIDTH], row[WIDTH:]
            known = self._known.get(key)
            if known is None or known.row != row:
                spec, problem = _spec_or_problem(_schedule_of(row), allowed)
                known = _Known(row, None if spec is None else digest(spec), problem)
                if spec is not None:
                    self._specs[key] = spec
            seen[key] = known
            if known.digest is not None:
                digests[key] = known.digest
            elif known.problem:
                problems[key] = known.problem
        self._known = seen
        return digests, names, problems


def push(*schedule_ids: UUID) -> bool:
    """Bring rows to Redis as they are now, in few round trips; return whether that was done.

    Also for what changes many at once with `QuerySet.update`, which sends no signal. Rows that are gone are dropped.
    With Redis away, or a row that cannot be scheduled, it is logged and left to the keeper: saving has succeeded.
    """
    problems: dict[str, str] = {}
    try:
        for start in range(0, len(schedule_ids), CHUNK):
            _push(schedule_ids[start : start + CHUNK], problems)
    except SchedulerUnavailableError as error:
        _log_waiting(*schedule_ids, error=error)
        return False
    for key, problem in problems.items():
        logger.error(
            "Schedule %s cannot be scheduled: %s",
            key,
            problem,
            extra={"action": "sync.refused", "schedule_id": key},
        )
    return not problems


def _push(schedule_ids: Sequence[UUID], problems: dict[str, str]) -> None:
    allowed: dict[str, str] = {}
    specs: list[ScheduleSpec] = []
    progress: dict[str, Progress] = {}
    noted: Noted = {}
    for row in Schedule.objects.filter(pk__in=schedule_ids):
        key = str(row.pk)
        noted[key] = row.pk, row.next_run_at
        spec, problem = _spec_or_problem(row, allowed)
        if problem:
            problems[key] = problem
        if spec is not None:
            specs.append(spec)
            progress[key] = _progress(row.updated_at, row.runs_dispatched, row.last_slot_at, row.resumed_at)
    done = _registered(specs, progress, problems)
    off = [key for key in noted if key not in done]
    gone = [str(pk) for pk in schedule_ids if str(pk) not in noted]
    if off:
        SchedulerService.unregister(off, source="row", keep=True)
    if gone:
        SchedulerService.unregister(gone, source="row")
    _note_next_runs(noted)


def drop(schedule_id: UUID) -> bool:
    """Take a deleted row out of Redis; return whether Redis was there to be told."""
    try:
        SchedulerService.unregister([str(schedule_id)], source="row")
    except SchedulerUnavailableError as error:
        _log_waiting(schedule_id, error=error)
        return False
    return True


def is_in_sync(schedule: Schedule) -> bool | None:
    """Tell whether Redis holds what the row says; None if Redis does not answer."""
    try:
        (state,) = SchedulerService.states([str(schedule.pk)])
    except SchedulerUnavailableError:
        return None
    if not schedule.wanted:
        return not state.plan
    try:
        return state.is_whole and state.digest == digest(_spec_of(schedule, {}))
    except ValueError:
        return False


def _stand() -> tuple[int, datetime | None]:
    """Return how many rows there are, and when one of them was saved last."""
    found = Schedule.objects.aggregate(count=Count("pk"), newest=Max("updated_at"))
    return found["count"], found["newest"]


def _rows(*more: str) -> QuerySet[Schedule, Any]:
    """Return a query for all rows as `Row`, with more columns at the end."""
    texts = [Cast(name, TextField()) for name in ARGUMENTS]
    return Schedule.objects.order_by().values_list(*SPEC_COLUMNS, *texts, *more)


def _schedule_of(row: Row) -> Schedule:
    """Return a row as the model that knows what to make of it, without reading it again."""
    values = dict(zip(SPEC_AND_ARGUMENTS, row, strict=True))
    for name in ARGUMENTS:
        text = values[name]
        if text is not None:
            values[name] = EMPTY[text]() if text in EMPTY else json.loads(text)
    schedule = Schedule.__new__(Schedule)
    # What `from_db` comes to for columns that are not deferred; it takes 30 us of a row's 100.
    schedule.__dict__.update(values, _state=ModelState())
    return schedule


def _spec_or_problem(schedule: Schedule, allowed: dict[str, str]) -> tuple[ScheduleSpec | None, str]:
    """Return the spec that Redis should hold (None: nothing), and why a row that wants one cannot have it."""
    if not schedule.is_on:
        return None, ""
    try:
        return _spec_of(schedule, allowed), ""
    except NotScheduledError:
        return None, ""
    except ValueError as error:
        return None, str(error)


def _registered(
    specs: Sequence[ScheduleSpec], progress: Mapping[str, Progress], problems: dict[str, str]
) -> dict[str, str]:
    """Register specs, each by itself where one of them cannot be; return what became of each."""
    try:
        return dict(SchedulerService.register(specs, progress=progress))
    except PayloadError:
        done: dict[str, str] = {}
        for spec in specs:
            try:
                done |= SchedulerService.register([spec], progress=progress)
            except PayloadError as error:
                problems[spec.id] = str(error)
        return done


def _spec_of(schedule: Schedule, allowed: dict[str, str]) -> ScheduleSpec:
    """Return the row's spec if its function may be scheduled.

    A function that is only missing is let through: its runs fail, with the reason, until a deploy brings it back.

    Args:
        schedule: the row.
        allowed: what is known of functions, each asked about once: why it may not be scheduled, '' if it may.

    Raises:
        ValueError: the row cannot be scheduled.
    """
    spec = schedule.to_spec()
    trigger = spec.plan.trigger
    if isinstance(trigger, CronTrigger):
        check_cron(trigger.expression, trigger.timezone)
    if spec.func not in allowed:
        allowed[spec.func] = _refusal_of(spec.func)
    if allowed[spec.func]:
        raise ValueError(allowed[spec.func])
    return spec


def _refusal_of(func: str) -> str:
    try:
        resolve(func)
    except (TargetNotAllowedError, TargetMalformedError) as error:
        return str(error)
    except TargetError:
        pass
    return ""


def _progress(
    updated_at: datetime, runs: int, last_slot_at: datetime | None, resumed_at: datetime | None
) -> Progress:
    """Return up to where the slots of a row are settled, for an entry that Redis has lost.

    The newest of: the last change of the row, the last slot that the keeper saw, the end of its last pause.
    """
    moments = (updated_at, last_slot_at, resumed_at)
    return Progress(after=max(moment for moment in moments if moment is not None), runs=runs)


def _note_next_runs(noted: Noted) -> None:
    """Note when rows are due next, given what they say now."""
    connection = scheduler_for().connection
    with redis_errors_as_ours(connection):
        note_next_runs(connection, noted)


def _notes_of(ids: Sequence[str]) -> dict[str, Row]:
    """Return the notes of rows by id; there are none of one that is gone."""
    found: dict[str, Row] = {}
    for start in range(0, len(ids), CHUNK):
        keys = [UUID(key) for key in ids[start : start + CHUNK]]
        for pk, *notes in Schedule.objects.filter(pk__in=keys).values_list("pk", *NOTE_COLUMNS):
            found[str(pk)] = tuple(notes)
    return found


def _wanted_among(ids: Iterable[str]) -> list[str]:
    keys = [UUID(key) for key in ids if _is_uuid(key)]
    allowed: dict[str, str] = {}
    return [
        str(row.pk)
        for start in range(0, len(keys), CHUNK)
        for row in Schedule.objects.filter(pk__in=keys[start : start + CHUNK])
        if _spec_or_problem(row, allowed)[0] is not None
    ]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _log_waiting(*schedule_ids: UUID, error: Exception) -> None:
    first, others = schedule_ids[0], len(schedule_ids) - 1
    logger.warning(
        "Schedule %s is saved and waits for Redis: %s",
        f"{first} (and {others} more)" if others else first,
        error,
        extra={"action": "sync.waiting", "schedule_id": str(first)},
    )
