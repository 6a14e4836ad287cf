"""What the outside world needs to know of a schedule, and its wire form.

A `ScheduleSpec` says what runs and when. It is made by `Schedule.to_spec()` or by a call of
`SchedulerService`, and it is all that the engine ever learns of a schedule. The *timing* half of it
(trigger, policies, bounds) travels to Redis as compact JSON that the dispatcher can read without
executing anything; the function's arguments travel only inside RQ's own job payload, which the dispatcher never opens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger, Policies, Trigger

OverlapPolicy: TypeAlias = Literal["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"]
OVERLAP_POLICIES: Final = ("skip", "buffer_one", "buffer_all", "terminate_other", "allow_all")
Source: TypeAlias = Literal["row", "code", "stock"]


class WireError(ValueError):
    """A stored spec cannot be read: it is not ours, damaged, or of a newer version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleSpec:
    """One schedule as the engine sees it. Durations are seconds, moments are aware and UTC."""

    id: str
    """The schedule's UUID as text; any id that RQ accepts for entries of rq-scheduler's own API."""
    name: str
    func: str
    """Dotted path of the function."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    trigger: Trigger
    policies: Policies = Policies()
    overlap_policy: OverlapPolicy = "skip"
    queue: str = "default"
    timeout: int | None = None
    """Seconds a run may take; None: the queue's default."""
    result_ttl: int | None = None
    """Seconds RQ keeps the job of a successful run; None: RQ's default; -1: for ever."""
    jitter: int = 0
    max_runs: int | None = None
    retry_max: int = 0
    retry_min_backoff: int = 0
    retry_max_backoff: int = 0
    paused_until: datetime | None = None
    """No slot before this moment; the slots up to it are not misfires."""
    description: str = ""
    source: Source = "row"
    """Who owns the entry: `sync` touches only those of rows."""
