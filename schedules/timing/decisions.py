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
REASON_FIRE_ONCE: Final = "Missed: more than %d s late, and a newer slot was due (misfire policy fire_once)."
REASON_CATCHUP: Final = "Missed: of the slots due together only the newest %d run (SCHEDULES_MAX_CATCHUP)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """What becomes of late slots. Durations are whole seconds.

    A slot more than `misfire_threshold` late is a misfire. Misfires more than `catchup_window` late are
    missed whatever the policy (None: no limit). At most `max_catchup` slots run from one decision.
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
    """What to dispatch and what is missed, both oldest first, and the next slot (None: never again)."""

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
    `misfire_threshold` late all run. Of the misfires, `fire_once` runs the newest, unless a later slot runs
    anyway; `skip` runs none, `fire_all` all. At most `max_catchup` run, the newest ones. Every slot
    considered is in `run` or in one range of `missed`, until `runs_left` runs are given: with the last of
    them the schedule is over, and nothing later was a slot.

    A caller that delays slots by jitter hands in `now` less that delay: the slot is late only beyond it.
    """
    if runs_left is not None and runs_left <= 0:
        return Decision((), (), None)
    due, now_unix = unix_floor(due_slot), unix_floor(now)
    settled = None if last_slot is None else unix_floor(last_slot)
    first, last = trigger.first_unix, trigger.last_unix
    if (settled is not None and due <= settled) or not first <= due <= last:
        # Moved back onto what has run, or put outside the bounds by an edit: go on with the grid.
        found = next_slot_unix(trigger, due if settled is None else max(due, settled))
        if found is None:
            return Decision((), (), None)
        due = found
    if due > now_unix:
        return Decision((), (), from_unix(due))

    following = next_slot_unix(trigger, due)
    if (following is not None and following <= now_unix) or due < unix_ceil(now) - policies.misfire_threshold:
        return _decide_late(trigger, policies, due, now, runs_left)
    # The ordinary case, for which the dispatcher calls: one slot, on time.
    upcoming = None if following is None or runs_left == 1 else from_unix(following)
    return Decision((from_unix(due),), (), upcoming)


def _decide_late(
    trigger: Trigger, policies: Policies, due: int, now: datetime, runs_left: int | None
) -> Decision:
    """Decide when several slots are due, or one that is late. Costs at most `max_catchup` steps."""
    now_unix, now_ceil = unix_floor(now), unix_ceil(now)
    on_time = now_ceil - policies.misfire_threshold
    window = policies.catchup_window
    # The catch-up window is about misfires: a slot that is on time is never outside it.
    in_window = due if window is None else min(on_time, now_ceil - window)
    oldest = in_window if policies.misfire_policy == "fire_all" else on_time

    run: list[int] = []
    slot = _before(trigger, due, now_unix + 1)
    while slot is not None and slot >= oldest and len(run) < policies.max_catchup:
        run.append(slot)
        slot = _before(trigger, due, slot)
    if not run and slot is not None and slot >= in_window and policies.misfire_policy == "fire_once":
        run.append(slot)
        slot = _before(trigger, due, slot)
    run.reverse()

    missed: list[Missed] = []
    if slot is not None:
        for end, reason in _causes(policies, in_window, on_time, now_ceil):
            upto = min(end, slot + 1)
            if due < upto:
                final = _before(trigger, due, upto)
                assert final is not None
                missed.append(Missed(from_unix(due), from_unix(final), reason))
                following = next_slot_unix(trigger, final)
                if following is None:
                    break
                due = following
    following = next_slot_unix(trigger, now_unix)
    if runs_left is not None and len(run) >= runs_left:
        run, following = run[:runs_left], None
    return Decision(
        tuple(map(from_unix, run)), tuple(missed), None if following is None else from_unix(following)
    )


def _causes(policies: Policies, in_window: int, on_time: int, now_ceil: int) -> list[tuple[int, str]]:
    """Tell why slots did not run, by age: each reason holds for the slots earlier than its unix second."""
    threshold = policies.misfire_threshold
    crowded = (now_ceil + 1, REASON_CATCHUP % policies.max_catchup)
    if policies.misfire_policy == "skip":
        return [(on_time, REASON_SKIP % threshold), crowded]
    causes = [crowded]
    if policies.misfire_policy == "fire_once":
        causes.insert(0, (on_time, REASON_FIRE_ONCE % threshold))
    if policies.catchup_window is not None:
        causes.insert(0, (in_window, REASON_WINDOW % policies.catchup_window))
    return causes


def _before(trigger: Trigger, due: int, before: int) -> int | None:
    """Give the last considered slot earlier than `before`: one of the grid's after `due`, or `due` itself."""
    slot = previous_slot_unix(trigger, before)
    if slot is not None and slot > due:
        return slot
    return due if due < before else None


def missed_slots(trigger: Trigger, missed: Missed, limit: int) -> list[datetime]:
    """List the slots of a missed range, ascending, the first `limit` of them."""
    return [missed.first, *slots_between(trigger, missed.first, missed.last, limit - 1)][: max(limit, 0)]


def _check_number(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TimingError(f"{name} {shown(value)} is not a whole number of at least {least}.")
