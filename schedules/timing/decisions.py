"""What to do with the slots that are due: the whole of the misfire logic, as one pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from schedules.timing.errors import TimingError, shown
from schedules.timing.moments import from_unix, unix_ceil, unix_floor
from schedules.timing.slots import next_slot_unix, previous_slot_unix, slots_between
from schedules.timing.triggers import Trigger

MisfirePolicy: TypeAlias = Literal["fire_once", "skip", "fire_all"]
MISFIRE_POLICIES: Final = ("fire_once", "skip", "fire_all")

REASON_WINDOW: Final = "Missed: later than the schedule's catch-up window of %d s."
REASON_SKIP: Final = "Missed: more than %d s late (misfire policy skip)."
REASON_FIRE_ONCE: Final = (
    "Missed: more than %d s late, and only the newest due slot runs (misfire policy fire_once)."
)
REASON_CATCHUP: Final = (
    "Missed: only the newest %d of the slots that were due together run (SCHEDULES_MAX_CATCHUP)."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """What becomes of late slots. Durations are whole seconds.

    A slot more than `misfire_threshold` late is a misfire. `catchup_window`: misfires later than that are missed
    whatever the policy (None: no limit). `max_catchup`: at most so many slots run from one decision.
    """

    misfire_policy: MisfirePolicy = "fire_once"
    catchup_window: int | None = None
    misfire_threshold: int = 60
    max_catchup: int = 100

    def __post_init__(self) -> None:
        if self.misfire_policy not in MISFIRE_POLICIES:
            raise TimingError(
                f"misfire_policy {shown(self.misfire_policy)} is not one of {', '.join(MISFIRE_POLICIES)}."
            )
        _check_number("misfire_threshold", self.misfire_threshold, 0)
        _check_number("max_catchup", self.max_catchup, 1)
        if self.catchup_window is not None:
            _check_number("catchup_window", self.catchup_window, 0)


@dataclass(frozen=True, slots=True)
class Missed:
    """A closed range of slots that do not run, and why: `first`, `last` and every slot between them.

    It is never enumerated here; `missed_slots` does so. `first` may lie off the trigger's grid, when the
    schedule was edited while the slot was due.
    """

    first: datetime
    last: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to dispatch (oldest first), what is missed (oldest first), and the next slot (None: never again)."""

    run: tuple[datetime, ...]
    missed: tuple[Missed, ...]
    next_slot: datetime | None


def decide(
    trigger: Trigger,
    policies: Policies,
    due_slot: datetime,
    last_slot: datetime | None,
    now: datetime,
    *,
    runs_left: int | None = None,
) -> Decision:
    """Decide on a schedule whose planned slot is `due_slot`. Moments are aware.

    Considered are `due_slot` (a slot even when it is not on the trigger's grid) and every slot of the
    trigger after it up to `now`; slots up to `last_slot` are settled and never come back. Slots no more than
    `misfire_threshold` late all run. Of the misfires: `fire_once` runs the newest when no later slot runs,
    `skip` none, `fire_all` all. At most `max_catchup` run, the newest. Every considered slot is in `run` or in one
    range of `missed`, unless `runs_left` is used up: then the schedule is over, and nothing later is a slot.

    A caller that delays slots by jitter hands in `now` less that delay: the slot is late only beyond it.
    """
    if runs_left is not None and runs_left <= 0:
        return Decision((), (), None)
    due, now_unix = unix_floor(due_slot), unix_floor(now)
    settled = None if last_slot is None else unix_floor(last_slot)
    if (settled is not None and due <= settled) or not trigger.first_unix <= due <= trigger.last_unix:
        # Moved back onto what has run, or outside the bounds by an edit: go on with the grid.
        upcoming = next_slot_unix(trigger, min(due, trigger.first_unix) - 1 if settled is None else settled)
        if upcoming is None:
            return Decision((), (), None)
        due = upcoming
    if due > now_unix:
        return Decision((), (), from_unix(due))

    on_time = unix_ceil(now) - policies.misfire_threshold
    following = next_slot_unix(trigger, due)
    if due >= on_time and (following is None or following > now_unix):
        over = following is None or runs_left == 1
        return Decision((from_unix(due),), (), None if over else from_unix(following))  # type: ignore[arg-type]
    return _decide_late(trigger, policies, due, now, runs_left)


def _decide_late(
    trigger: Trigger, policies: Policies, due: int, now: datetime, runs_left: int | None
) -> Decision:
    """Decide when several slots are due, or one that is late. Costs at most `max_catchup` steps."""
    now_unix, now_ceil = unix_floor(now), unix_ceil(now)
    on_time = now_ceil - policies.misfire_threshold
    oldest = on_time
    if policies.misfire_policy == "fire_all":
        window = policies.catchup_window
        oldest = due if window is None else min(on_time, now_ceil - window)

    newest = _before(trigger, due, now_unix + 1)
    assert newest is not None
    run: list[int] = []
    slot: int | None = newest
    while slot is not None and slot >= oldest and len(run) < policies.max_catchup:
        run.append(slot)
        slot = _before(trigger, due, slot)
    if not run and policies.misfire_policy == "fire_once" and not _too_old(policies, newest, now_ceil):
        run.append(newest)
        slot = _before(trigger, due, newest)
    run.reverse()

    missed = _missed(trigger, policies, due, slot, now_ceil) if slot is not None else ()
    following = next_slot_unix(trigger, now_unix)
    if runs_left is not None and len(run) >= runs_left:
        run, following = run[:runs_left], None
    return Decision(tuple(map(from_unix, run)), missed, None if following is None else from_unix(following))


def _missed(trigger: Trigger, policies: Policies, due: int, last: int, now_ceil: int) -> tuple[Missed, ...]:
    """Sort the slots from `due` to `last` into ranges by what made them missed: oldest first."""
    ranges: list[Missed] = []
    threshold = policies.misfire_threshold
    on_time = now_ceil - threshold
    first: int | None = due
    late_reason = REASON_CATCHUP % policies.max_catchup
    if policies.misfire_policy == "skip":
        late_reason = REASON_SKIP % threshold
    elif policies.misfire_policy == "fire_once":
        late_reason = REASON_FIRE_ONCE % threshold
    bounds = [(on_time, late_reason), (now_ceil + 1, REASON_CATCHUP % policies.max_catchup)]
    if policies.catchup_window is not None and policies.misfire_policy != "skip":
        outside = min(on_time, now_ceil - policies.catchup_window)
        bounds.insert(0, (outside, REASON_WINDOW % policies.catchup_window))
    for end, reason in bounds:
        if first is None or first > last:
            break
        if first >= end:
            continue
        final = last if last < end else _before(trigger, due, end)
        assert final is not None
        ranges.append(Missed(from_unix(first), from_unix(final), reason))
        first = next_slot_unix(trigger, final)
    return tuple(ranges)


def _before(trigger: Trigger, due: int, before: int) -> int | None:
    """Give the last considered slot earlier than `before`: one of the grid's after `due`, or `due` itself."""
    slot = previous_slot_unix(trigger, before)
    if slot is not None and slot > due:
        return slot
    return due if due < before else None


def _too_old(policies: Policies, slot: int, now_ceil: int) -> bool:
    return policies.catchup_window is not None and slot < now_ceil - policies.catchup_window


def missed_slots(trigger: Trigger, missed: Missed, limit: int) -> list[datetime]:
    """List the slots of a missed range, ascending, the first `limit` of them."""
    return [missed.first, *slots_between(trigger, missed.first, missed.last, limit - 1)][: max(limit, 0)]


def _check_number(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TimingError(f"{name} {shown(value)} is not a whole number of at least {least}.")
