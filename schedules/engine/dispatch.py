"""One batch: read what is due, let `timing` decide, move it. The only place that takes a slot from plan to job."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import Redis

from schedules.engine import keys
from schedules.engine.clock import Clock, RedisClock, rq_time
from schedules.engine.conversation import Conversation
from schedules.engine.entries import missed_event, score_of
from schedules.engine.errors import EngineError
from schedules.engine.state import State, new_generation
from schedules.engine.stock import StockEntry, UnreadableEntryError, pair_up, read_stock
from schedules.engine.template import default_timeout
from schedules.spec import Plan, WireError, plan_from_wire, plan_to_wire
from schedules.timing import Missed, TimingError, decide, from_unix, next_slot_unix, unix_floor

logger = logging.getLogger(__name__)

BATCH: Final = 160
"""Entries per reading, and jobs per move. Measured: one call holds Redis for 1 to 2 ms."""

PART: Final = 64
"""Jobs per move where it is about how late a job is, not about how many a second."""

CHANGED, NO_TEMPLATE, NO_QUEUE, REFUSED = -1, -2, -3, -4
"""Why a move did nothing, as the scripts say it."""

_ID: Final = re.compile(rb"[A-Za-z0-9_-]+")
"""What RQ accepts as the id of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one batch came to. Moments are unix seconds by the engine's clock."""

    now: float
    due: int
    """Members that were due; as many as the batch holds means that there may be more."""
    jobs: int
    """Jobs that were put into queues."""
    contended: int
    """Members that somebody else changed between the read and the move."""
    next_due: float | None
    """When the next member is due that was not, if the batch saw that far."""


class _Move(NamedTuple):
    """A member as it was read, and what is to become of it."""

    member: bytes
    score: bytes
    kind: tuple[str, str, int, int]
    """Queue, overlap policy, max runs (0: any number), whether it is forgotten when over."""
    before: str
    after: str
    """The move as `lua/move.lua` reads it, without the number of its kind between the two."""
    jobs: int
    """How many it makes at the most."""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """What was read and decided, before it is moved."""

    now: float
    due: int
    next_due: float | None
    moves: list[_Move] = field(default_factory=list)
    strangers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Dispatcher:
    """Moves due slots into their queues. Any number may run at once, on any number of hosts."""

    def __init__(
        self,
        connection: Redis,
        *,
        default_queue: str = "default",
        clock: Clock | None = None,
        batch: int = BATCH,
    ) -> None:
        self.connection = connection
        self.default_queue = default_queue
        self.clock: Clock = clock or RedisClock()
        self.batch = batch
        self._read = connection.register_script(keys.script("read_due"))
        self._read_stock = connection.register_script(keys.script("read_stock"))
        self._move = connection.register_script(keys.script("move"))
        self._move_stock = connection.register_script(keys.script("move_stock"))
        self._adopt = connection.register_script(keys.script("adopt"))
        self._quarantine = connection.register_script(keys.script("quarantine"))
        self._promote = connection.register_script(keys.script("promote"))

    def promote_retries(self) -> tuple[int, float | None]:
        """Queue the retries that are due; return how many, and when (unix seconds) the next one is."""
        stamp = rq_time(datetime.now(UTC).timestamp())
        moved, next_due = self._promote(args=[self.batch, self.clock.argument(), stamp])
        return moved, float(next_due) if next_due else None

    def run_batch(self) -> Batch:
        """Read one batch of due members, oldest first, and dispatch it."""
        return self.send(self._decide(self._read(args=self._reading(0))))

    def prepare(self, *, until: float) -> _Batch:
        """Read and decide what is due up to a moment (unix seconds) that is still to come, for `send`."""
        reply: list[Any] = self._read(args=[self.batch, f"{until:.6f}", 0])
        return self._decide(reply)

    def send(self, prepared: _Batch) -> Batch:
        """Dispatch what was prepared. What was changed since then is left alone, and read again by the next batch.

        In parts: the first jobs are in their queues while the last are still being moved.
        """
        with Conversation(self.connection) as redis:
            asked = self._ask(redis, prepared, most=PART)
            results = [result for _ in range(asked) for result in redis.answer()]
        return self._settled(prepared, results)

    def run_backlog(self, is_stopping: Callable[[], bool]) -> Iterator[Batch]:
        """Dispatch batch after batch until nothing is due; the next is decided while Redis executes the one before.

        What the next batch is read behind is still in the set, for it was not moved yet. Should others move it at the
        same moment, a few members are passed over, and are due again in the following batch.
        """
        batch = self._decide(self._read(args=self._reading(0)))
        while batch.due:
            is_last = is_stopping()
            with Conversation(self.connection) as redis:
                redis.ask(self._read, self._reading(batch.due))
                asked = self._ask(redis, batch, most=self.batch)
                following = redis.answer()
                decided = None if is_last else self._decide(following)
                results = [result for _ in range(asked) for result in redis.answer()]
            yield self._settled(batch, results)
            if decided is None:
                return
            # Nothing was due behind it; but meanwhile something may be, before it as well.
            batch = decided if decided.due else self._decide(self._read(args=self._reading(0)))
        yield self._settled(batch, [])

    def _reading(self, offset: int) -> list[Any]:
        """Return what to ask for a batch, behind so many due members."""
        return [self.batch, self.clock.argument(), offset]

    def _ask(self, redis: Conversation, batch: _Batch, *, most: int) -> int:
        """Ask for the moves of a batch, at most so many jobs at a time; return how many answers there will be."""
        parts = list(_parts(batch.moves, most))
        for part in parts:
            redis.ask(self._move, self._moving(part, batch.now))
        return len(parts)

    def _moving(self, moves: Sequence[_Move], now: float) -> list[Any]:
        """Return what to ask for moves that were decided at a moment."""
        kinds: dict[tuple[str, str, int, int], int] = {}
        wires = [f"{move.before}{kinds.setdefault(move.kind, len(kinds) + 1)}{move.after}" for move in moves]
        return [
            *(json.dumps(list(kinds)), f"[{','.join(wires)}]"),
            *(f"{now:.6f}", rq_time(now), self.clock.argument()),
        ]

    def _decide(self, reply: list[Any]) -> _Batch:
        """Decide on every member that was read; what cannot be read is set aside at once."""
        seconds, microseconds, next_score, due, entries = reply
        now = seconds + microseconds / 1_000_000
        batch = _Batch(now=now, due=len(due) // 2, next_due=float(next_score) if next_score else None)
        for n in range(0, len(due), 2):
            member, score, wire = due[n], due[n + 1], entries[n]
            if not wire:
                batch.strangers.append((member, score))
                continue
            try:
                batch.moves.append(_decided(member, score, wire, entries[n + 1], now))
            except (EngineError, WireError, TimingError) as error:
                self._set_aside(member, score, str(error), now)
            except Exception as error:  # noqa: BLE001 - the outermost guard of one entry, which logs
                self._give_up(member, score, error, now)
        return batch

    def _settled(self, batch: _Batch, results: list[Any]) -> Batch:
        """Set aside what could not be moved, dispatch the strangers, and sum up."""
        for n, (move, result) in enumerate(zip(batch.moves, results, strict=True)):
            if isinstance(result, bytes):
                results[n] = REFUSED
                said = result.decode("utf-8", "replace")
                self._set_aside(move.member, move.score, f"Redis cannot use a key of it ({said}).", batch.now)
            elif result in (NO_TEMPLATE, NO_QUEUE):
                self._set_aside(move.member, move.score, _refusal(result, move.kind[0]), batch.now)
        results = [*results, *self._moved_stock(batch.strangers, batch.now)]
        return Batch(
            now=batch.now,
            due=batch.due,
            jobs=sum(result for result in results if result > 0),
            contended=results.count(CHANGED),
            next_due=batch.next_due,
        )

    def _moved_stock(self, strangers: list[tuple[bytes, bytes]], now: float) -> list[int]:
        """Dispatch members without an entry of ours: those of rq-scheduler's own API."""
        if not strangers:
            return []
        rows = self._read_stock(args=[member for member, _ in strangers])
        once: list[tuple[bytes, bytes, StockEntry]] = []
        for (member, score), row in zip(strangers, rows, strict=True):
            try:
                _checked_id(member)
                entry = self._read_stranger(score, row)
            except EngineError as error:
                self._set_aside(member, score, str(error), now)
                continue
            except Exception as error:  # noqa: BLE001 - the outermost guard of one entry, which logs
                self._give_up(member, score, error, now)
                continue
            if entry.plan is None:
                once.append((member, score, entry))
            else:
                self._adopt_periodic(member, score, entry.plan)
        if not once:
            return []
        wire = [
            [member.decode(), score.decode(), entry.queue, default_timeout(entry.queue)]
            for member, score, entry in once
        ]
        results: list[int] = self._move_stock(args=[json.dumps(wire), f"{now:.6f}", rq_time(now)])
        for (member, score, entry), result in zip(once, results, strict=True):
            if result in (NO_TEMPLATE, NO_QUEUE):
                self._set_aside(member, score, _refusal(result, entry.queue), now)
        return results

    def _read_stranger(self, score: bytes, row: Sequence[bytes]) -> StockEntry:
        if row[0]:
            raise UnreadableEntryError(f"Redis cannot read its job ({row[0].decode('utf-8', 'replace')}).")
        if row[2] and not row[2].startswith(b"stock:"):
            # Its job is there for dashboards only: to take it for a one-off would run it without a slot.
            raise UnreadableEntryError("Its plan is gone from Redis: deleted, evicted or overwritten.")
        return read_stock(
            pair_up(row[3:]), has_payload=bool(row[1]), due=float(score), default_queue=self.default_queue
        )

    def _adopt_periodic(self, member: bytes, score: bytes, plan: Plan) -> None:
        """Give a periodic stranger an entry of ours; it stays due and is dispatched by the next batch."""
        slot, timeout = str(int(float(score))), default_timeout(plan.queue)
        self._adopt(args=[member, score, plan_to_wire(plan), slot, new_generation(), 0, timeout])
        logger.info(
            "Periodic entry %s, made with rq-scheduler's own API, is kept by the engine from now on.",
            member.decode("utf-8", "replace"),
            extra={"action": "entry.adopted"},
        )

    def _give_up(self, member: bytes, score: bytes, error: Exception, now: float) -> None:
        """Quarantine one member for what nobody foresaw: whatever is wrong with it must not stop the others."""
        logger.error(
            "Entry %r cannot be dispatched.", member, exc_info=error, extra={"action": "entry.quarantined"}
        )
        self._set_aside(member, score, f"{type(error).__name__}: {error}", now)

    def _set_aside(self, member: bytes, score: bytes, reason: str, now: float) -> None:
        """Quarantine one member, so that everything else runs on."""
        logger.error("Entry %r is set aside: %s", member, reason, extra={"action": "entry.quarantined"})
        known = json.dumps({"reason": reason, "score": score.decode("utf-8", "replace"), "at": now})
        name = member.decode("utf-8", "replace")
        slot = int(now) if math.isinf(float(score)) else int(float(score))
        event = json.dumps({"e": "missed", "i": name, "a": slot, "b": slot, "r": f"Set aside: {reason}"})
        self._quarantine(args=[member, score, known, event, f"{now:.6f}"])


def _decided(member: bytes, score_text: bytes, wire: bytes, state_text: bytes, now: float) -> _Move:
    """Decide on one due entry, and say it as the move script reads it (see `lua/move.lua`)."""
    plan = plan_from_wire(wire)
    schedule_id = _checked_id(member)
    text = state_text.decode()
    state = State.from_text(text)
    score = float(score_text)
    slot = state.slot if state.slot is not None else int(score)
    # A slot is as late as it is after its own, jittered, time.
    moment = now - max(0.0, score - slot) if plan.jitter else now
    following = _following_if_on_time(plan, slot, state.last_slot, moment)
    late, last, jobs = "", slot, 1
    if following is None:
        last, following, late, jobs = _decided_late(schedule_id, plan, state, slot, moment)
    next_score = "" if following is None else score_of(schedule_id, following, plan.jitter)
    next_slot = "-" if following is None else following
    return _Move(
        member,
        score_text,
        (plan.queue, plan.overlap_policy, plan.max_runs or 0, int(not plan.is_kept_when_over)),
        f'["{schedule_id}","{score_text.decode()}","{text}",',
        f',"{slot}","{next_score}","{state.generation}",'
        f'"{next_slot}","{last}",{state.runs},"{state.active}"{late}]',
        jobs,
    )


def _parts(moves: Sequence[_Move], most: int) -> Iterator[Sequence[_Move]]:
    """Cut moves into parts of at most so many jobs; one move that makes more is a part by itself."""
    start = jobs = 0
    for n, move in enumerate(moves):
        if n > start and jobs + move.jobs > most:
            yield moves[start:n]
            start, jobs = n, 0
        jobs += move.jobs
    if start < len(moves):
        yield moves[start:]


def _checked_id(member: bytes) -> str:
    """Return a member as text; one that RQ refuses as a job's id can be run by no worker."""
    if not _ID.fullmatch(member):
        raise UnreadableEntryError(
            "Its id has other characters than the letters, digits, _ and - that RQ allows."
        )
    return member.decode()


def _following_if_on_time(plan: Plan, slot: int, last_slot: int | None, moment: float) -> int | None:
    """Return the slot after a single one that is on time, or None if `decide` must look at it.

    The ordinary case of `decide`, without its dates: it is what a dispatcher does 10,000 times over.
    """
    trigger = plan.trigger
    if (
        slot < moment - plan.policies.misfire_threshold
        or (last_slot is not None and slot <= last_slot)
        or not trigger.first_unix <= slot <= trigger.last_unix
    ):
        return None
    following = next_slot_unix(trigger, slot)
    return following if following is not None and following > moment else None


def _decided_late(
    schedule_id: str, plan: Plan, state: State, slot: int, moment: float
) -> tuple[int, int | None, str, int]:
    """Let `decide` look at late or several slots.

    Returns the last and the next slot, what runs and what is missed as the script reads it, and how many run.
    """
    runs_left = None if plan.max_runs is None else max(0, plan.max_runs - state.runs)
    decision = decide(
        plan.trigger,
        plan.policies,
        from_unix(slot),
        None if state.last_slot is None else from_unix(state.last_slot),
        datetime.fromtimestamp(moment, UTC),
        runs_left=runs_left,
    )
    is_held = plan.policies.misfire_policy == "fire_all"
    runs = []
    for run in map(unix_floor, decision.run):
        is_late = moment - run > plan.policies.misfire_threshold
        # Of the late ones that all run, each waits for the one before it, whatever the overlap policy.
        runs.append([str(run), "catchup" if is_late else "schedule", int(is_late and is_held)])
    settled = [
        slot,
        *(int(run) for run, _, _ in runs),
        *(unix_floor(missed.last) for missed in decision.missed),
    ]
    last = max(settled if state.last_slot is None else [state.last_slot, *settled])
    following = None if decision.next_slot is None else unix_floor(decision.next_slot)
    if following is None and runs_left is not None:
        # The runs may be used up; but a run that the overlap policy skips does not count.
        following = next_slot_unix(plan.trigger, max(last, int(moment)))
    missed = [_missed(schedule_id, missed, plan) for missed in decision.missed]
    return last, following, f",{json.dumps(runs)},{json.dumps(missed)}", max(1, len(runs))


def _missed(schedule_id: str, missed: Missed, plan: Plan) -> str:
    first, last = unix_floor(missed.first), unix_floor(missed.last)
    return missed_event(schedule_id=schedule_id, first=first, last=last, reason=missed.reason, plan=plan)


def _refusal(result: int, queue: str) -> str:
    if result == NO_TEMPLATE:
        return "What its jobs are made from is gone from Redis: deleted, expired or evicted."
    return f"Queue {queue!r} is not a list in Redis, so nothing can be put into it."
