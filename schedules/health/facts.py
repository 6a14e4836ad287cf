"""The facts that findings are made of: one pipeline of Redis, two queries to the database."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Q
from django.utils import timezone as clock

from schedules.conf import conf
from schedules.engine.presence import zone_data_version
from schedules.environment import PREFIX, SUFFIX
from schedules.health.redis_facts import RedisFacts, ask_redis, queues_of_default
from schedules.models import Kind, Run, Schedule
from schedules.services import SchedulerUnavailableError
from schedules.sync import Difference, Synchronizer
from schedules.targets import TargetError, check_arguments, resolve
from schedules.texts import text_of

RESOLVED_SECONDS: Final = 30.0
"""How long a page believes what it found out about a function: a module that fails at import is slow."""
LATE_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRun:
    """A slot that is queued and has not started."""

    name: str
    scheduled_for: datetime
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What the database said. With `problem`, it did not answer."""

    problem: str = ""
    schedules: int = 0
    active: int = 0
    """Enabled, and not paused."""
    paused: int = 0
    wanted: int = 0
    """Those that Redis should hold."""
    queues: Mapping[str, int] = field(default_factory=dict)
    """Active schedules by the queue that they use."""
    functions: Mapping[str, int] = field(default_factory=dict)
    """Enabled schedules by function."""
    late: tuple[LateRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All there is to judge by, at one moment."""

    now: datetime
    redis: RedisFacts
    database: DatabaseFacts
    broken: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Functions that cannot run: what is wrong, and how many enabled schedules are affected."""
    difference: Difference | None = None
    """How Redis differs from the database, row by row; None: only counted."""
    overdue_names: Mapping[str, str] = field(default_factory=dict)
    pause: tuple[str, datetime | None, datetime | None] | None = None
    """Reason, since and until, where every schedule is paused."""
    zone_data: str = ""
    """Version of this process' time zone rules."""
    grace: int = 300


def gather(*, exact: bool = False) -> Facts:
    """Ask Redis and the database once; neither being away raises, and neither is waited for long.

    Args:
        exact: compare Redis with the database row by row, and the arguments of every row with its function. Costs
            a look at every row: for commands, not for pages.
    """
    now = clock.now()
    database = _ask_database(now)
    queues = list(dict.fromkeys([*queues_of_default()]))
    redis = ask_redis(queues, overdue_seconds=max(conf.misfire_threshold, 10))
    difference: Difference | None = None
    broken = _broken(database.functions)
    if exact and not database.problem:
        broken |= _broken_arguments(broken)
        if redis.is_there:
            try:
                difference = Synchronizer().compare()
            except (SchedulerUnavailableError, DatabaseError):
                difference = None
    return Facts(
        now=now,
        redis=redis,
        database=database,
        broken=broken,
        difference=difference,
        overdue_names=_names(redis.overdue) if not database.problem else {},
        pause=_pause() if database.paused and not database.active else None,
        zone_data=zone_data_version(),
        grace=conf.grace,
    )


def switched_off() -> int:
    """Return how many intervals the environment sets to zero or less: rows that Redis does not hold."""
    found = 0
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and name.endswith(SUFFIX):
            found += value.strip().lstrip("+").startswith("-") or value.strip().strip("0") == ""
    return found


def _ask_database(now: datetime) -> DatabaseFacts:
    is_paused = Q(paused_at__isnull=False) & (Q(paused_until__isnull=True) | Q(paused_until__gt=now))
    is_enabled = Q(enabled=True)
    is_held = Q(paused_at__isnull=True) | Q(paused_until__isnull=False)
    has_slots = ~Q(kind=Kind.INTERVAL) | Q(interval__gt=0)
    try:
        groups = list(
            Schedule.objects.order_by()
            .values_list("queue", "func")
            .annotate(
                n=Count("pk"),
                n_enabled=Count("pk", filter=is_enabled),
                n_paused=Count("pk", filter=is_enabled & is_paused),
                n_wanted=Count("pk", filter=is_enabled & has_slots & is_held),
            )
        )
        late = Run.objects.queued().filter(scheduled_for__lt=now - timedelta(seconds=conf.grace))
        rows = list(late.values_list("schedule_name", "scheduled_for", "queue")[:LATE_SHOWN])
    except (DatabaseError, InterfaceError) as error:
        return DatabaseFacts(problem=str(error) or type(error).__name__)
    queues: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for queue, func, _, enabled, paused, _ in groups:
        queues[queue] += enabled - paused
        functions[func] += enabled
    return DatabaseFacts(
        schedules=sum(group[2] for group in groups),
        active=sum(group[3] - group[4] for group in groups),
        paused=sum(group[4] for group in groups),
        wanted=sum(group[5] for group in groups),
        queues={name: count for name, count in queues.items() if count},
        functions={name: count for name, count in functions.items() if count},
        late=tuple(LateRun(name=name, scheduled_for=slot, queue=queue) for name, slot, queue in rows),
    )


_resolved: dict[str, tuple[float, str]] = {}


def _broken(functions: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    broken: dict[str, tuple[str, int]] = {}
    for path, count in functions.items():
        asked_at, problem = _resolved.get(path, (0.0, ""))
        if not asked_at or time.monotonic() - asked_at > RESOLVED_SECONDS:
            problem = _problem_of(path)
            _resolved[path] = (time.monotonic(), problem)
        if problem:
            broken[path] = (problem, count)
    return broken


def _problem_of(path: str) -> str:
    try:
        resolve(path)
    except TargetError as error:
        return text_of(error)
    return ""


def _broken_arguments(broken: Mapping[str, object]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    rows = Schedule.objects.filter(enabled=True).order_by().values_list("func", "args", "kwargs")
    for path, args, kwargs in rows.iterator(chunk_size=2000):
        if path in broken:
            continue
        try:
            check_arguments(resolve(path).func, args or [], kwargs or {})
        except TargetError as error:
            found[path] = (text_of(error), found.get(path, ("", 0))[1] + 1)
    return found


def _names(overdue: tuple[tuple[str, datetime], ...]) -> dict[str, str]:
    ids = []
    for member, _ in overdue:
        try:
            ids.append(UUID(member))
        except ValueError:
            continue  # an entry of rq-scheduler's own API
    if not ids:
        return {}
    return {str(pk): name for pk, name in Schedule.objects.filter(pk__in=ids).values_list("pk", "name")}


def _pause() -> tuple[str, datetime | None, datetime | None] | None:
    return (
        Schedule.objects.filter(enabled=True, paused_at__isnull=False)
        .order_by("-paused_at")
        .values_list("pause_reason", "paused_at", "paused_until")
        .first()
    )
