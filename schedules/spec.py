"""What the outside world needs to know of a schedule, and its wire form.

A `ScheduleSpec` says what runs and when. It is made by `Schedule.to_spec()` or by a call of
`SchedulerService`, and it is all that the engine ever learns of a schedule. The *timing* half of it
(its `Plan`: trigger, policies, bounds) travels to Redis as compact JSON that the dispatcher can read without
executing anything; the function's arguments travel only inside RQ's own job payload, which the dispatcher never opens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

from schedules.timing import Policies, TimingError, Trigger, trigger_from_wire, trigger_to_wire

OverlapPolicy: TypeAlias = Literal["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"]
OVERLAP_POLICIES: Final = ("skip", "buffer_one", "buffer_all", "terminate_other", "allow_all")
Source: TypeAlias = Literal["row", "code", "stock"]

WIRE_VERSION: Final = 1


_encode: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
"""Made once: `json.dumps` with options of one's own makes an encoder for each call."""


class WireError(ValueError):
    """A stored plan cannot be read: it is damaged, or was written by a newer version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The half of a spec that decides when: all that the dispatcher reads of a schedule."""

    trigger: Trigger
    policies: Policies = field(default_factory=Policies)
    overlap_policy: OverlapPolicy = "skip"
    jitter: int = 0
    """Seconds; each slot is delayed by a stable share of it."""
    max_runs: int | None = None
    queue: str = "default"
    paused_until: datetime | None = None
    """No slot up to this moment; what a pause leaves out is neither late nor missed."""
    is_kept_when_over: bool = True
    """A row's entry stays when no slot is left; what only code registered is forgotten then."""
    wire: str = field(default="", init=False, repr=False, compare=False)
    """What `plan_to_wire` gave, once it was asked."""


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
    plan: Plan
    timeout: int | None = None
    """Seconds a run may take; None: the queue's default."""
    result_ttl: int | None = None
    """Seconds RQ keeps the job of a successful run; None: RQ's default; -1: for ever."""
    retry_max: int = 0
    retry_intervals: tuple[int, ...] = ()
    """Seconds to wait before each retry; empty: at once. See `backoff_intervals`."""
    description: str = ""
    source: Source = "row"
    """Who owns the entry: `sync` touches only those of rows."""
    digest: str = field(default="", init=False, repr=False, compare=False)
    """What `digest` gave, once it was asked."""


def backoff_intervals(*, retries: int, minimum: int, maximum: int) -> tuple[int, ...]:
    """Return the seconds to wait before each of `retries` retries: minimum, doubled, capped at maximum.

    >>> backoff_intervals(retries=4, minimum=10, maximum=60)
    (10, 20, 40, 60)
    """
    if retries <= 0 or minimum <= 0:
        return ()
    cap = max(minimum, maximum)
    # 2**20 seconds are twelve days: beyond that only the cap is left, and the power must not grow.
    return tuple(min(minimum * 2 ** min(n, 20), cap) for n in range(retries))


def plan_to_wire(plan: Plan) -> str:
    """Return the plan as compact JSON; equal plans give equal texts. Worked out once for each plan."""
    if plan.wire:
        return plan.wire
    policies = plan.policies
    wire: dict[str, Any] = {
        "v": WIRE_VERSION,
        "t": trigger_to_wire(plan.trigger),
        "p": [
            policies.misfire_policy,
            policies.catchup_window,
            policies.misfire_threshold,
            policies.max_catchup,
        ],
        "o": plan.overlap_policy,
        "q": plan.queue,
    }
    if plan.jitter:
        wire["j"] = plan.jitter
    if plan.max_runs is not None:
        wire["m"] = plan.max_runs
    if not plan.is_kept_when_over:
        wire["k"] = 0
    if plan.paused_until is not None:
        wire["u"] = int(plan.paused_until.timestamp())
    object.__setattr__(plan, "wire", _encode(wire))
    return plan.wire


@lru_cache(maxsize=65536)
def plan_from_wire(text: str | bytes) -> Plan:
    """Read a plan back; the dispatcher's hot path, so remembered by its text.

    Raises:
        WireError: the text is not a plan of a version known here.
    """
    try:
        wire = json.loads(text)
        if wire["v"] != WIRE_VERSION:
            raise WireError(f"The plan has version {wire['v']!r}; this release reads version {WIRE_VERSION}.")
        misfire_policy, catchup_window, misfire_threshold, max_catchup = wire["p"]
        if wire["o"] not in OVERLAP_POLICIES:
            raise WireError(f"Overlap policy {wire['o']!r} is not one of {', '.join(OVERLAP_POLICIES)}.")
        if not isinstance(wire["q"], str):
            raise WireError(f"The queue {wire['q']!r} is not a text.")
        paused_until = wire.get("u")
        return Plan(
            trigger=trigger_from_wire(wire["t"]),
            policies=Policies(
                misfire_policy=misfire_policy,
                catchup_window=catchup_window,
                misfire_threshold=misfire_threshold,
                max_catchup=max_catchup,
            ),
            overlap_policy=wire["o"],
            jitter=_count(wire.get("j", 0)),
            max_runs=None if wire.get("m") is None else _count(wire["m"]),
            queue=wire["q"],
            is_kept_when_over=bool(wire.get("k", 1)),
            paused_until=None if paused_until is None else datetime.fromtimestamp(paused_until, UTC),
        )
    except (KeyError, TypeError, AttributeError, OverflowError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, WireError):
            raise
        detail = str(error) if isinstance(error, TimingError) else f"{type(error).__name__}: {error}"
        raise WireError(f"The plan cannot be read ({detail}).") from error


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WireError(f"{value!r} is not a whole number of 0 or more.")
    return value


def digest(spec: ScheduleSpec) -> str:
    """Return a fingerprint of everything in the spec: equal specs, equal digests, on every host. Worked out once.

    Arguments are taken as JSON where they are JSON, else by `repr`: pickles of equal values may differ.
    """
    if spec.digest:
        return spec.digest
    try:
        arguments = _encode([spec.args, spec.kwargs])
    except (TypeError, ValueError):
        arguments = repr((spec.args, sorted(spec.kwargs.items(), key=lambda item: str(item[0]))))
    parts = (
        spec.name,
        spec.func,
        arguments,
        plan_to_wire(spec.plan),
        str(spec.timeout),
        str(spec.result_ttl),
        str(spec.retry_max),
        str(spec.retry_intervals),
        spec.description,
        spec.source,
    )
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    object.__setattr__(spec, "digest", blake2b(text, digest_size=12).hexdigest())
    return spec.digest
