"""Registering, forgetting and reading schedules in Redis.

Registering is idempotent and safe against everybody else: an entry is replaced only if its state is still
what was read, and the next slot is worked out from what was read with it. So a schedule that is
registered again, as every restart of a client does, keeps its next slot, and one that is being dispatched
or edited at the same moment is read again.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schedules.engine import keys
from schedules.engine.clock import Clock, RedisClock, rq_time
from schedules.engine.conversation import Conversation
from schedules.engine.errors import ConflictError, EngineError
from schedules.engine.state import State, new_generation
from schedules.engine.template import display_fields, own_fields, payload, queue_defaults, shared_fields
from schedules.spec import Plan, ScheduleSpec, WireError, digest, plan_from_wire, plan_to_wire
from schedules.timing import IntervalTrigger, jitter_seconds_unix, next_slot_unix, trigger_to_wire

logger = logging.getLogger(__name__)

CHUNK: Final = 250
"""Entries per script call: bounds how long one call holds Redis."""
READ_CHUNK: Final = 800
SCAN_COUNT: Final = 5000
SCORES_CHUNK: Final = 3500
PARTS_CHUNK: Final = 2500
"""Entries per plain command of a comparison; measured: each holds Redis for 1 to 3 ms."""
ATTEMPTS: Final = 20

Outcome: TypeAlias = Literal["added", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class EntryState:
    """What Redis holds for one id; '' and None are absent."""

    id: str
    source: str
    digest: str
    plan: str
    state_text: str
    state: State | None
    score: float | None
    parts: int
    """How many of template and display job there are."""

    @property
    def slot(self) -> int | None:
        """The next slot, unix seconds."""
        return self.state.slot if self.state is not None else None

    @property
    def is_whole(self) -> bool:
        """Tell whether every part of the entry is there that its state calls for."""
        if not self.plan or self.state is None:
            return False
        if self.slot is None:
            return self.score is None and self.parts >= 1
        return self.score is not None and self.parts == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a schedule has come by somebody else's books, for an entry that Redis has lost."""

    after: datetime | None = None
    """Slots up to this moment are settled; later ones that are past are late, not forgotten."""
    runs: int = 0


NOTHING_KNOWN: Final = Progress()


@dataclass(slots=True)
class _Work:
    """What a chunk of registrations asks `lua/register.lua` to do, and what becomes of each id when it is done."""

    at: str
    """The time, unix seconds."""
    bases: dict[tuple[str, ...], int] = field(default_factory=dict)
    """What several templates have in common, by its number there."""
    entries: list[Any] = field(default_factory=list)
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    def args(self) -> list[Any]:
        """Return the arguments of the script."""
        bases = [text for base in self.bases for text in (len(base), *base)]
        return [self.at, len(self.bases), *bases, *self.entries]

    def settle(self, results: Sequence[int], outcomes: dict[str, Outcome]) -> None:
        """Note the outcome of what was written; what somebody else changed meanwhile has none."""
        for (schedule_id, outcome), done in zip(self.outcomes, results, strict=True):
            if done:
                outcomes[schedule_id] = outcome


class Entries:
    """The entries in one Redis. Usable from any process; holds no state of its own."""

    def __init__(self, connection: Redis, *, clock: Clock | None = None) -> None:
        self.connection = connection
        self.clock: Clock = clock or RedisClock()
        self._read = connection.register_script(keys.script("read_entries"))
        self._register = connection.register_script(keys.script("register"))
        self._unregister = connection.register_script(keys.script("unregister"))

    def read(self, ids: Sequence[str]) -> tuple[float, list[EntryState]]:
        """Return Redis' time (unix seconds) and the state of each id, in order."""
        return self._states(self._read(args=self._reading(ids)), ids)

    def _reading(self, ids: Iterable[str]) -> list[str]:
        return [self.clock.argument(), *ids]

    def _states(self, answer: Any, ids: Sequence[str]) -> tuple[float, list[EntryState]]:
        seconds, microseconds, index, texts, scores, parts = answer
        return seconds + microseconds / 1_000_000, [
            _state(schedule_id, index[n], texts[2 * n], texts[2 * n + 1], scores[n], parts[n])
            for n, schedule_id in enumerate(ids)
        ]

    def read_all(self, ids: Iterable[str]) -> Iterator[EntryState]:
        """Yield the state of each id, in order, a bounded number per call."""
        for chunk in _chunks(ids, READ_CHUNK):
            yield from self.read(chunk)[1]

    def doubtful(self, ids: Sequence[str]) -> list[str]:
        """Return those of the ids that are not whole, or over: a few commands for many thousand, none of a script."""
        whole: set[str] = set()
        for chunk in _chunks(ids, SCORES_CHUNK):
            scores = self.connection.zmscore(keys.SCHEDULED, chunk)
            whole.update(key for key, score in zip(chunk, scores, strict=True) if score is not None)
        parts = (keys.plan, keys.state, keys.template, keys.job)
        for chunk in _chunks((key for key in ids if key in whole), PARTS_CHUNK):
            # A count tells that nothing is missing; of a chunk in which something is, all are doubted.
            if self.connection.exists(*(part(key) for key in chunk for part in parts)) != len(chunk) * len(
                parts
            ):
                whole.difference_update(chunk)
        return [key for key in ids if key not in whole]

    def registered(self) -> Iterator[tuple[str, str, str]]:
        """Yield (id, source, digest) of everything registered."""
        for schedule_id, value in self.connection.hscan_iter(keys.INDEX, count=SCAN_COUNT):
            source, _, fingerprint = value.decode("utf-8", "replace").partition(":")
            yield schedule_id.decode("utf-8", "replace"), source, fingerprint

    def register(
        self, specs: Iterable[ScheduleSpec], *, progress: Mapping[str, Progress] | None = None
    ) -> dict[str, Outcome]:
        """Make the engine know these schedules; return what became of each id.

        Raises:
            PayloadError: arguments cannot be carried over; nothing of that chunk is registered.
            ConflictError: an entry was changed by others at every attempt.
        """
        outcomes: dict[str, Outcome] = {}
        wanted = {spec.id: spec for spec in specs}
        if len(wanted) > CHUNK:
            # What comes of a connection that breaks is found below, where the client library tries again.
            with suppress(RedisConnectionError):
                self._register_ahead(wanted, progress or {}, outcomes)
        for chunk in _chunks(schedule_id for schedule_id in wanted if schedule_id not in outcomes):
            pending = {schedule_id: wanted[schedule_id] for schedule_id in chunk}
            for _ in range(ATTEMPTS):
                work = self._work(pending, self.read(list(pending)), progress or {}, outcomes)
                if work.outcomes:
                    work.settle(self._register(args=work.args()), outcomes)
                pending = {
                    schedule_id: wanted[schedule_id] for schedule_id in pending if schedule_id not in outcomes
                }
                if not pending:
                    break
            else:
                raise ConflictError(
                    f"Schedule {next(iter(pending))} was changed by others {ATTEMPTS} times while it was being "
                    "registered; nothing is lost, register it again."
                )
        return outcomes

    def _register_ahead(
        self,
        specs: Mapping[str, ScheduleSpec],
        progress: Mapping[str, Progress],
        outcomes: dict[str, Outcome],
    ) -> None:
        """Try to register many, each chunk worked out while Redis writes the one before; conflicts are left over."""
        chunks = [{spec.id: spec for spec in chunk} for chunk in _chunks(specs.values())]
        with Conversation(self.connection) as redis:
            redis.ask(self._read, self._reading(chunks[0]))
            before: _Work | None = None
            for n, chunk in enumerate(chunks):
                work = self._work(chunk, self._states(redis.answer(), list(chunk)), progress, outcomes)
                if before is not None:
                    before.settle(redis.answer(), outcomes)
                    before = None
                if n + 1 < len(chunks):
                    redis.ask(self._read, self._reading(chunks[n + 1]))
                if work.outcomes:
                    redis.ask(self._register, work.args())
                    before = work
            if before is not None:
                before.settle(redis.answer(), outcomes)

    def _work(
        self,
        specs: Mapping[str, ScheduleSpec],
        found: tuple[float, list[EntryState]],
        progress: Mapping[str, Progress],
        outcomes: dict[str, Outcome],
    ) -> _Work:
        """Work out what is to be written for these specs, given what Redis holds of them."""
        now, states = found
        work = _Work(f"{now:.6f}")
        created_at, generation = rq_time(now), new_generation()
        defaults = {queue: queue_defaults(queue) for queue in {spec.plan.queue for spec in specs.values()}}
        for given, state in zip(specs.values(), states, strict=True):
            spec = _with_kept_anchor(given, state)
            plan_wire = plan_to_wire(spec.plan)
            fingerprint = digest(spec)
            if state.digest == fingerprint and state.is_whole and state.plan == plan_wire:
                outcomes.setdefault(spec.id, "kept")
                continue
            known = progress.get(spec.id, NOTHING_KNOWN)
            following, events = _next_state(spec, state, known, now, generation)
            slot = following.slot
            base = shared_fields(spec, defaults[spec.plan.queue])
            own = [*own_fields(spec), "data", payload(spec.func, spec.args, spec.kwargs)]
            display = display_fields(spec, created_at)
            work.entries += [
                *(
                    spec.id,
                    state.state_text.encode("utf-8", "surrogateescape"),
                    following.to_text(),
                    plan_wire,
                ),
                "" if slot is None else score_of(spec.id, slot, spec.plan.jitter),
                f"{spec.source}:{fingerprint}",
                work.bases.setdefault(base, len(work.bases) + 1),
                *(len(own), len(display), len(events)),
                *(*own, *display, *events),
            ]
            work.outcomes.append((spec.id, "changed" if state.plan else "added"))
        return work

    def unregister(self, ids: Iterable[str], *, source: str = "", keep: bool = False) -> int:
        """Make the engine forget these ids; return how many it knew. Jobs already queued are not touched.

        Args:
            ids: what to forget; unknown ones are ignored.
            source: leave entries alone that belong to another source.
            keep: remember for good how far they had come, for schedules that may be switched on again.
        """
        known = 0
        for chunk in _chunks(ids):
            known += sum(self._unregister(args=[int(keep), new_generation(), source, *chunk]))
        return known


def score_of(schedule_id: str, slot: int, jitter: int) -> str:
    """Return when (unix seconds) a slot is dispatched: its time and its share of the jitter."""
    if not jitter:
        return str(slot)
    return f"{slot + jitter_seconds_unix(schedule_id, slot, jitter):.3f}"


def missed_event(*, schedule_id: str, first: int, last: int, reason: str, plan: Plan) -> str:
    """Return the ledger's event for a range of slots that will not run."""
    return json.dumps(
        {"e": "missed", "i": schedule_id, "a": first, "b": last, "r": reason, "q": plan.queue}
        | {"w": trigger_to_wire(plan.trigger)}
    )


def _state(schedule_id: str, index: bytes, plan: bytes, state: bytes, score: bytes, parts: int) -> EntryState:
    if not (index or plan or state or score or parts):
        return EntryState(schedule_id, "", "", "", "", None, None, 0)
    source, _, fingerprint = index.decode("utf-8", "replace").partition(":")
    state_text = state.decode("utf-8", "surrogateescape")
    try:
        progress = State.from_text(state_text)
    except EngineError:
        progress = None  # absent, or written over by somebody else: the next registering writes it anew
    return EntryState(
        id=schedule_id,
        source=source,
        digest=fingerprint,
        plan=plan.decode("utf-8", "replace"),
        state_text=state_text,
        state=progress,
        score=float(score) if score else None,
        parts=parts,
    )


def _chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _readable_plan(state: EntryState) -> Plan | None:
    if not state.plan:
        return None
    try:
        return plan_from_wire(state.plan)
    except WireError:
        logger.warning(
            "Entry %s could not be read and is written anew.", state.id, extra={"action": "entry.rewritten"}
        )
        return None


def _with_kept_anchor(spec: ScheduleSpec, state: EntryState) -> ScheduleSpec:
    """Let an ad-hoc interval keep the phase it has: code that registers it again has no memory of its own."""
    trigger = spec.plan.trigger
    if spec.source != "code" or not isinstance(trigger, IntervalTrigger):
        return spec
    held = _readable_plan(state)
    if held is None or not isinstance(held.trigger, IntervalTrigger) or held.trigger.every != trigger.every:
        return spec
    return replace(spec, plan=replace(spec.plan, trigger=replace(trigger, anchor=held.trigger.anchor)))


def _next_state(
    spec: ScheduleSpec, entry: EntryState, progress: Progress, now: float, generation: str
) -> tuple[State, list[str]]:
    """Return the state of an entry about to be written, and the ledger's events about what it replaces."""
    plan = spec.plan
    last_slot = entry.state.last_slot if entry.state is not None else None
    runs = max(entry.state.runs if entry.state is not None else 0, progress.runs)
    active = entry.state.active if entry.state is not None else ""
    used_up = plan.max_runs is not None and runs >= plan.max_runs
    events: list[str] = []
    held = _readable_plan(entry)
    if held is not None and entry.slot is not None and _same_slots(held, plan):
        return State(generation, None if used_up else entry.slot, last_slot, runs, active), events
    if held is not None and entry.slot is not None and entry.slot <= now:
        reason = "The schedule was changed before this late slot was dispatched."
        events.append(
            missed_event(schedule_id=spec.id, first=entry.slot, last=int(now), reason=reason, plan=held)
        )
    after = now
    if held is None and (entry.state is None or entry.plan) and progress.after is not None:
        # Lost or damaged. (What was switched off or cancelled has a state and no plan: nothing is owed for that time.)
        after = min(progress.after.timestamp(), now)
    if last_slot is not None:
        after = max(after, last_slot)
    if plan.paused_until is not None:
        after = max(after, plan.paused_until.timestamp())
    slot = None if used_up else next_slot_unix(plan.trigger, math.floor(after))
    return State(generation, slot, last_slot, runs, active), events


def _same_slots(held: Plan, wanted: Plan) -> bool:
    """Tell whether the same slots come; jitter, policies and max_runs may differ."""
    return held.trigger == wanted.trigger and held.paused_until == wanted.paused_until
