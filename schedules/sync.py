"""Making Redis equal to the database: one row after its commit, or all of them by the difference.

Signals make it fast, `manage.py sync_schedules` makes it sure at a deploy, and the keeper makes it true for good.
All three come here. It is always a difference: what is equal is not touched, so a next run is never pushed later, and
what rows did not put into Redis is never taken out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast

from schedules.engine import PayloadError, Progress
from schedules.models import Schedule
from schedules.services import SchedulerService, SchedulerUnavailableError
from schedules.spec import ScheduleSpec, digest
from schedules.targets import TargetError, TargetMalformedError, TargetNotAllowedError, resolve
from schedules.timing import CronTrigger, check_cron

logger = logging.getLogger(__name__)

SPEC_COLUMNS: Final = (
    *("id", "name", "description", "func", "queue", "enabled", "kind", "interval", "cron", "timezone"),
    *("run_at", "starts_at", "ends_at", "max_runs", "jitter", "timeout", "result_ttl", "misfire_policy"),
    *("catchup_window", "overlap_policy", "retry_max", "retry_min_backoff", "retry_max_backoff"),
    *("paused_at", "paused_until", "resumed_at", "created_at"),
)
"""What a spec is made of: a row in which none of these changed has the digest that it had."""


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


class Synchronizer:
    """Compares and applies. Kept between two comparisons, it rebuilds only the specs of rows that changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[Any, ...], str | None, str]] = {}

    def compare(self) -> Difference:
        """Return what differs between database and Redis. Changes nothing.

        Raises:
            SchedulerUnavailableError: Redis does not answer.
        """
        digests, names, problems = self._wanted()
        difference = Difference(problems=problems, names=names)
        kept = 0
        for state in SchedulerService.states(digests):
            if not state.plan:
                difference.added.append(state.id)
            elif state.digest != digests[state.id] or not state.is_whole or state.source != "row":
                difference.changed.append(state.id)
            else:
                kept += 1
        for schedule_id, source, _ in SchedulerService.registered():
            if source == "row" and schedule_id not in digests:
                difference.removed.append(schedule_id)
                if schedule_id not in names:
                    difference.forgotten.append(schedule_id)
        return replace(difference, kept=kept)

    def apply(self, difference: Difference) -> Difference:
        """Make Redis equal to the database where they differ; return what was done, as far as it could be."""
        problems = dict(difference.problems)
        wanted = [*difference.added, *difference.changed]
        done: dict[str, str] = {}
        for start in range(0, len(wanted), 500):
            rows = Schedule.objects.filter(pk__in=[UUID(key) for key in wanted[start : start + 500]])
            done |= _registered([row for row in rows if row.wanted], problems)
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
        _note_next_runs([*done, *off])
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

    def _wanted(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Return digests of the wanted rows, names of all, and problems, each by id."""
        digests: dict[str, str] = {}
        names: dict[str, str] = {}
        problems: dict[str, str] = {}
        seen: dict[str, tuple[tuple[Any, ...], str | None, str]] = {}
        # As text: decoding the JSON of 10,000 unchanged rows costs more than all the rest.
        rows = Schedule.objects.order_by().values_list(
            *SPEC_COLUMNS, Cast("args", TextField()), Cast("kwargs", TextField())
        )
        stale: list[tuple[str, tuple[Any, ...]]] = []
        for row in rows.iterator(chunk_size=2000):
            schedule_id = str(row[0])
            names[schedule_id] = row[1]
            known = self._known.get(schedule_id)
            if known is None or known[0] != row:
                stale.append((schedule_id, row))
            else:
                seen[schedule_id] = known
        for start in range(0, len(stale), 500):
            chunk = dict(stale[start : start + 500])
            for schedule in Schedule.objects.filter(pk__in=[UUID(key) for key in chunk]):
                key = str(schedule.pk)
                fingerprint, problem = None, ""
                if schedule.wanted:
                    try:
                        fingerprint = digest(_spec_of(schedule))
                    except ValueError as error:
                        problem = str(error)
                seen[key] = (chunk[key], fingerprint, problem)
        for key, (_, fingerprint, problem) in seen.items():
            if fingerprint is not None:
                digests[key] = fingerprint
            elif problem:
                problems[key] = problem
        self._known = seen
        return digests, names, problems


def push(schedule_id: UUID) -> bool:
    """Bring one row to Redis as it is now; return whether that was done.

    With Redis away, or a row that cannot be scheduled, it is logged and left to the keeper: saving has succeeded.
    """
    schedule = Schedule.objects.filter(pk=schedule_id).first()
    if schedule is None:
        return drop(schedule_id)
    problems: dict[str, str] = {}
    try:
        if not (schedule.wanted and _registered([schedule], problems)):
            SchedulerService.unregister([str(schedule_id)], source="row", keep=True)
        _note_next_runs([str(schedule_id)])
    except SchedulerUnavailableError as error:
        _log_waiting(str(schedule_id), error)
        return False
    for problem in problems.values():
        logger.error(
            "Schedule %s cannot be scheduled: %s",
            schedule.name,
            problem,
            extra={"action": "sync.refused", "schedule_id": str(schedule_id)},
        )
    return not problems


def push_many(schedule_ids: Iterable[UUID]) -> bool:
    """Bring rows to Redis as they are now, in few round trips; return whether Redis was there to be told.

    For what changes many at once with `QuerySet.update`, which sends no signal. Rows that are gone are dropped.
    """
    ids = list(schedule_ids)
    problems: dict[str, str] = {}
    try:
        for start in range(0, len(ids), 500):
            chunk = ids[start : start + 500]
            rows = list(Schedule.objects.filter(pk__in=chunk))
            done = _registered([row for row in rows if row.wanted], problems)
            off = [str(row.pk) for row in rows if str(row.pk) not in done]
            gone = [str(key) for key in set(chunk) - {row.pk for row in rows}]
            if off:
                SchedulerService.unregister(off, source="row", keep=True)
            if gone:
                SchedulerService.unregister(gone, source="row")
            _note_next_runs(str(row.pk) for row in rows)
    except SchedulerUnavailableError as error:
        _log_waiting(f"of {len(ids)}", error)
        return False
    for key, problem in problems.items():
        logger.error(
            "Schedule %s cannot be scheduled: %s",
            key,
            problem,
            extra={"action": "sync.refused", "schedule_id": key},
        )
    return True


def drop(schedule_id: UUID) -> bool:
    """Take a deleted row out of Redis; return whether Redis was there to be told."""
    try:
        SchedulerService.unregister([str(schedule_id)], source="row")
    except SchedulerUnavailableError as error:
        _log_waiting(str(schedule_id), error)
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
        return state.is_whole and state.digest == digest(_spec_of(schedule))
    except ValueError:
        return False


def _registered(schedules: Iterable[Schedule], problems: dict[str, str]) -> dict[str, str]:
    """Register rows, each by itself where one of them cannot be; return what became of each."""
    specs: list[ScheduleSpec] = []
    progress: dict[str, Progress] = {}
    for schedule in schedules:
        key = str(schedule.pk)
        try:
            specs.append(_spec_of(schedule))
        except ValueError as error:
            problems[key] = str(error)
            continue
        progress[key] = _progress_of(schedule)
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


def _spec_of(schedule: Schedule) -> ScheduleSpec:
    """Return the row's spec if its function may be scheduled.

    A function that is only missing is let through: its runs fail, with the reason, until a deploy brings it back.

    Raises:
        ValueError: the row cannot be scheduled.
    """
    spec = schedule.to_spec()
    trigger = spec.plan.trigger
    if isinstance(trigger, CronTrigger):
        check_cron(trigger.expression, trigger.timezone)
    try:
        resolve(spec.func)
    except (TargetNotAllowedError, TargetMalformedError) as error:
        raise ValueError(str(error)) from error
    except TargetError:
        pass
    return spec


def _progress_of(schedule: Schedule) -> Progress:
    """Return up to where the slots of a row are settled, for an entry that Redis has lost.

    The newest of: the last slot that the keeper saw, the last change of the row, the end of its last pause.
    """
    moments: list[datetime | None] = [schedule.last_slot_at, schedule.updated_at, schedule.resumed_at]
    return Progress(
        after=max(moment for moment in moments if moment is not None), runs=schedule.runs_dispatched
    )


def _note_next_runs(ids: Iterable[str]) -> None:
    """Note when rows are due next, for the lists that sort by it; no signal, and no change of the row itself."""
    due = {
        UUID(state.id): None if state.score is None else datetime.fromtimestamp(state.score, UTC)
        for state in SchedulerService.states(ids)
    }
    keys = list(due)
    for start in range(0, len(keys), 500):
        rows = Schedule.objects.filter(pk__in=keys[start : start + 500]).only("pk", "next_run_at")
        changed = [row for row in rows if row.next_run_at != due[row.pk]]
        for row in changed:
            row.next_run_at = due[row.pk]
        Schedule.objects.bulk_update(changed, ["next_run_at"])


def _wanted_among(ids: Iterable[str]) -> list[str]:
    keys = [UUID(key) for key in ids if _is_uuid(key)]
    wanted: list[str] = []
    for start in range(0, len(keys), 500):
        rows = Schedule.objects.filter(pk__in=keys[start : start + 500])
        for row in rows:
            try:
                if row.wanted and _spec_of(row):
                    wanted.append(str(row.pk))
            except ValueError:
                continue
    return wanted


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _log_waiting(schedule_id: str, error: Exception) -> None:
    logger.warning(
        "Schedule %s is saved and waits for Redis: %s",
        schedule_id,
        error,
        extra={"action": "sync.waiting", "schedule_id": schedule_id},
    )
