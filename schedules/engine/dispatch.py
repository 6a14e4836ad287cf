"""One pass: read what is due, let `timing` decide, move it. The only place that takes a slot from plan to job."""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis

from schedules.engine import keys
from schedules.engine.clock import Clock, RedisClock, rq_time
from schedules.engine.entries import missed_event, score_of
from schedules.engine.stock import StockEntry, UnreadableEntryError, pair_up, read_stock
from schedules.spec import Plan, WireError, plan_from_wire, plan_to_wire
from schedules.timing import TimingError, decide, next_slot

logger = logging.getLogger(__name__)

BATCH: Final = 250
"""Entries per move. Measured: one call holds Redis for 1 to 3 ms."""

CHANGED, NO_TEMPLATE, NO_QUEUE = -1, -2, -3
"""Why a move did nothing, as the scripts say it."""


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


@dataclass(frozen=True, slots=True)
class _Move:
    id: bytes
    wire: list[Any]


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
        seconds, microseconds, next_score, rows = self._read(args=[self.batch, self.clock.argument()])
        now = seconds + microseconds / 1_000_000
        moves: list[_Move] = []
        stock: list[tuple[bytes, bytes, StockEntry]] = []
        for row in rows:
            member, score, kind = row[0], row[1], row[2]
            try:
                if kind == b"entry":
                    moves.append(_Move(member, self._decided(row, now)))
                elif kind == b"stock":
                    fields = pair_up(row[4:])
                    stock.append(
                        (
                            member,
                            score,
                            read_stock(
                                fields,
                                has_payload=bool(row[3]),
                                due=float(score),
                                default_queue=self.default_queue,
                            ),
                        )
                    )
                else:
                    raise UnreadableEntryError(f"Redis cannot read it ({row[3].decode('utf-8', 'replace')}).")
            except (UnreadableEntryError, WireError, TimingError) as error:
                self._set_aside(member, score, str(error), now)
            except Exception as error:
                # The outermost guard of one entry: whatever is wrong with it must not stop the others.
                logger.exception(
                    "Entry %r cannot be dispatched.", member, extra={"action": "entry.quarantined"}
                )
                self._set_aside(member, score, f"{type(error).__name__}: {error}", now)
        made = [*self._moved(moves, now), *self._moved_stock(stock, now)]
        return Batch(
            now=now,
            due=len(rows),
            jobs=sum(result for result in made if result > 0),
            contended=made.count(CHANGED),
            next_due=float(next_score) if next_score else None,
        )

    def _decided(self, row: Sequence[Any], now: float) -> list[Any]:
        """Return what the move script needs to know of one due entry."""
        member, score, _, generation, wire, slot_text, last_text, runs_text, source = row
        plan = plan_from_wire(wire)
        schedule_id = member.decode()
        slot = int(slot_text) if slot_text else int(float(score))
        # A slot is as late as it is after its own, jittered, time.
        moment = now - max(0.0, float(score) - slot) if plan.jitter else now
        runs = int(runs_text or 0)
        runs_left = None if plan.max_runs is None else max(0, plan.max_runs - runs)
        at = datetime.fromtimestamp(moment, UTC)
        decision = decide(
            plan.trigger,
            plan.policies,
            datetime.fromtimestamp(slot, UTC),
            datetime.fromtimestamp(int(last_text), UTC) if last_text else None,
            at,
            runs_left=runs_left,
        )
        following = decision.next_slot
        last = max(
            slot,
            *(int(run.timestamp()) for run in decision.run),
            *(int(missed.last.timestamp()) for missed in decision.missed),
        )
        if following is None and runs_left is not None:
            # The runs may be used up; but a run that the overlap policy skips does not count.
            following = next_slot(plan.trigger, datetime.fromtimestamp(max(last, moment), UTC))
        next_unix = None if following is None else int(following.timestamp())
        threshold = plan.policies.misfire_threshold
        buffer_catchup = 1 if plan.policies.misfire_policy == "fire_all" else 0
        slots = []
        for run in decision.run:
            unix = int(run.timestamp())
            late = moment - unix > threshold
            slots.append([str(unix), "catchup" if late else "schedule", buffer_catchup if late else 0])
        return [
            schedule_id,
            score.decode(),
            (generation or b"").decode(),
            "" if next_unix is None else score_of(schedule_id, next_unix, plan.jitter),
            "" if next_unix is None else str(next_unix),
            plan.queue,
            plan.overlap_policy,
            plan.max_runs or 0,
            0 if source == b"row" else 1,
            slots,
            str(last),
            [
                missed_event(
                    schedule_id=schedule_id,
                    first=int(missed.first.timestamp()),
                    last=int(missed.last.timestamp()),
                    reason=missed.reason,
                    plan=plan,
                )
                for missed in decision.missed
            ],
        ]

    def _moved(self, moves: list[_Move], now: float) -> list[int]:
        if not moves:
            return []
        results: list[int] = self._move(
            args=[json.dumps([move.wire for move in moves]), f"{now:.6f}", rq_time(now)]
        )
        for move, result in zip(moves, results, strict=True):
            if result in (NO_TEMPLATE, NO_QUEUE):
                self._set_aside(move.id, move.wire[1].encode(), _refusal(result, move.wire[5]), now)
        return results

    def _moved_stock(self, entries: list[tuple[bytes, bytes, StockEntry]], now: float) -> list[int]:
        once = [entry for entry in entries if entry[2].plan is None]
        for member, score, entry in entries:
            if entry.plan is not None:
                self._adopted(member, score, entry.plan)
        if not once:
            return []
        wire = [[member.decode(), score.decode(), entry.queue] for member, score, entry in once]
        results: list[int] = self._move_stock(args=[json.dumps(wire), f"{now:.6f}", rq_time(now)])
        for (member, score, entry), result in zip(once, results, strict=True):
            if result in (NO_TEMPLATE, NO_QUEUE):
                self._set_aside(member, score, _refusal(result, entry.queue), now)
        return results

    def _adopted(self, member: bytes, score: bytes, plan: Plan) -> None:
        """Give a periodic entry of the stock API an entry of ours; it stays due and is dispatched by the next batch."""
        self._adopt(args=[member, score, plan_to_wire(plan), str(int(float(score))), secrets.token_hex(8), 0])
        logger.info(
            "Periodic entry %s, made with rq-scheduler's own API, is kept by the engine from now on.",
            member.decode("utf-8", "replace"),
            extra={"action": "entry.adopted"},
        )

    def _set_aside(self, member: bytes, score: bytes, reason: str, now: float) -> None:
        """Quarantine one member, so that everything else runs on."""
        logger.error("Entry %r is set aside: %s", member, reason, extra={"action": "entry.quarantined"})
        known = json.dumps({"reason": reason, "score": score.decode("utf-8", "replace"), "at": now})
        name = member.decode("utf-8", "replace")
        slot = int(now) if math.isinf(float(score)) else int(float(score))
        event = json.dumps({"e": "missed", "i": name, "a": slot, "b": slot, "r": f"Set aside: {reason}"})
        self._quarantine(args=[member, score, known, event, f"{now:.6f}"])


def _refusal(result: int, queue: str) -> str:
    if result == NO_TEMPLATE:
        return "What its jobs are made from is gone from Redis: deleted, expired or evicted."
    return f"Queue {queue!r} is not a list in Redis, so nothing can be put into it."
