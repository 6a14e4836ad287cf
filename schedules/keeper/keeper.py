"""The keeper's loop: beside the dispatcher, in a thread of its own, never in its way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone as clock
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from schedules.conf import conf
from schedules.keeper.closing import Closing, Pass
from schedules.keeper.drain import MOST_EVENTS, Drain, Drained, NotKeeperError
from schedules.keeper.lease import RENEW_SECONDS, Lease
from schedules.keeper.notes import note_next_runs
from schedules.keeper.notify import Notifier
from schedules.keeper.prune import Pruning
from schedules.keeper.stream import EventStream, Record
from schedules.keeper.waiting import Waiting
from schedules.keeper.writing import forget_deleted
from schedules.services import SchedulerUnavailableError
from schedules.services.connection import with_bounded_waits

logger = logging.getLogger(__name__)

READ: Final = 500
"""Records that are read at once: each may carry 64 KB of output, or the events of hundreds of slots."""
GATHER_SECONDS: Final = 0.2
"""How long records are gathered before they are written: many rows in one transaction, and soon enough to be seen."""
LOOK_SECONDS: Final = 10.0
"""Seconds between two looks at the open runs."""
LOOK_SHARE: Final = 20
"""A look may take one part in so many of the time: with a long backlog it is done less often."""
PRUNE_SECONDS: Final = 600.0
PRUNE_SLICE: Final = 0.1
NOTE_SECONDS: Final = 600.0
"""Seconds between two comparisons of all schedules' next runs with Redis."""
ASK_AGAIN: Final = 0.1
FIRST_BACKOFF: Final = 0.2
LAST_BACKOFF: Final = 5.0


class Keeper:
    """Keeps while it holds the lease, waits for it otherwise. `run` is for a thread, `run_once` for tests."""

    def __init__(
        self,
        connection: Redis,
        *,
        reconcile: Callable[[], Any] | None = None,
        lease: Lease | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """Make a keeper; nothing is read or written yet.

        Args:
            connection: to the Redis of the queues; the keeper makes connections of its own from it.
            reconcile: makes Redis equal to the database; called when the keeper begins to keep, and every
                `SCHEDULES_RECONCILE_SECONDS`.
        """
        self._connection = with_bounded_waits(connection, connect=2.0, answer=10.0)
        self._reconcile = reconcile
        self._lease = lease or Lease(self._connection)
        self._notifier = notifier or Notifier()
        self._stream = EventStream(self._connection)
        self._drain = Drain(self._connection)
        self._closing = Closing(self._connection)
        self._waiting = Waiting(self._connection)
        self._pruning = Pruning()
        self._keeps = False
        self._may_be_open = True
        self._written_for: set[UUID] = set()
        self._checked_for: set[UUID] = set()
        self._due = dict.fromkeys(("look", "reconcile", "prune", "notes"), 0.0)

    def run(self, stop: threading.Event) -> None:
        """Keep until stopped. Whatever goes wrong is said and tried again: the dispatcher goes on meanwhile."""
        trouble = ""
        backoff = 0.0
        while not stop.is_set():
            try:
                self._turn(stop)
                if trouble:
                    logger.info("The keeper goes on.", extra={"action": "keeper.back"})
                trouble, backoff = "", 0.0
                continue
            except NotKeeperError as error:
                logger.info("Another keeper took over: %s", error, extra={"action": "keeper.replaced"})
                self._lease.doubt()
                self._lay_down()
            except (RedisError, SchedulerUnavailableError, OSError) as error:
                trouble = self._say_once("Redis", error, trouble)
                self._lay_down()
            except (DatabaseError, InterfaceError) as error:
                trouble = self._say_once("The database", error, trouble)
                self._stumble()
            except Exception:
                # The outermost guard of the thread: without it the ledger would end here, unnoticed.
                logger.exception("The keeper failed and tries again.", extra={"action": "keeper.failed"})
                trouble = trouble or "fault"
                self._stumble()
            backoff = min(max(backoff * 2, FIRST_BACKOFF), LAST_BACKOFF)
            self._pause(backoff, stop)
        self._end()

    def run_once(self, *, look_at: float | None = None) -> Drained:
        """Take the lease and do everything once that is due, for tests.

        Args:
            look_at: look at the open runs too, as if it were this moment (monotonic seconds).
        """
        self._lease.take()
        if not self._keeps:
            self._begin()
        total = self._write_pending()
        self._write_ready(total)
        if look_at is not None:
            self._look(now=look_at)
            self._write_ready(total)
        return total

    # --- one turn ---------------------------------------------------------------------------------------------

    def _turn(self, stop: threading.Event) -> None:
        if self._lease.renew_in <= 0 and not self._lease.take():
            if self._keeps:
                self._lay_down()
            # Asked again when it would lapse: at once after a holder that is gone, never while it renews.
            stop.wait(self._lease.others_left + ASK_AGAIN)
            return
        close_old_connections()
        if not self._keeps:
            self._begin()
            self._write_pending()
        self._write_new(stop)
        now = time.monotonic()
        if self._reconcile is not None and now >= self._due["reconcile"]:
            self._due["reconcile"] = now + conf.reconcile_seconds
            self._heal(self._reconcile)
        if self._may_be_open and now >= self._due["look"]:
            began = time.monotonic()
            self._look()
            took = time.monotonic() - began
            self._due["look"] = began + max(LOOK_SECONDS, took * LOOK_SHARE)
        if now >= self._due["notes"]:
            self._due["notes"] = now + NOTE_SECONDS
            note_next_runs(self._connection)
        if now >= self._due["prune"]:
            self._pruning.begin(clock.now(), all_schedules=self._due["prune"] == 0.0)
            self._due["prune"] = now + PRUNE_SECONDS
        if not self._pruning.is_idle:
            self._pruning.work(seconds=PRUNE_SLICE)

    def _begin(self) -> None:
        """Start to keep: find out how far the ledger has come."""
        is_new = self._stream.open()
        self._drain.begin(anew=is_new)
        self._closing.forget()
        self._waiting.forget()
        self._may_be_open = True
        self._keeps = True
        # Let a look not come before what the stream holds is written.
        self._due["look"] = time.monotonic() + FIRST_BACKOFF
        self._due["reconcile"] = 0.0
        logger.info("Keeping the ledger.", extra={"action": "keeper.keeps"})

    def _write_pending(self) -> Drained:
        """Write what a keeper before, or this one before a stumble, has read and not finished."""
        total = Drained()
        while records := self._stream.pending(READ):
            unwritten = self._drain.unwritten(records)
            if unwritten:
                total.add(self._written(self._drain.write(unwritten)))
            self._stream.finish(records)
            self._renew()
        return total

    def _write_ready(self, total: Drained) -> None:
        while records := self._stream.ready(READ):
            self._stream.top_up(records, page=READ, events=MOST_EVENTS)
            total.add(self._write(records, unfinished=self._stream.unfinished()))

    def _write(self, records: list[Record], *, unfinished: int) -> Drained:
        """Write what was just read, and all that was read before and is not finished.

        That is more than what is at hand when another read part of it, who still takes himself for the keeper (Redis
        was flushed, and the lease with it; or he stood still), or when an answer was lost on its way. Finishing what
        is at hand would drop it from the stream.
        """
        if unfinished != len(records):
            return self._write_pending()
        drained = self._written(self._drain.write(records))
        self._stream.finish(records)
        return drained

    def _write_new(self, stop: threading.Event) -> None:
        now = time.monotonic()
        wakes = [self._due["prune"], self._due["notes"]]
        if self._reconcile is not None:
            wakes.append(self._due["reconcile"])
        if self._may_be_open:
            wakes.append(self._due["look"])
        wait = min(self._lease.renew_in, min(wakes) - now)
        if not self._pruning.is_idle:
            wait = 0.0
        try:
            records = self._stream.wait(count=READ, seconds=max(0.0, wait), is_stopping=stop.is_set)
            if not records:
                return
            if len(records) < READ:
                stop.wait(GATHER_SECONDS)
            self._stream.top_up(records, page=READ, events=MOST_EVENTS)
            unfinished = self._stream.unfinished()
        except ResponseError as error:
            if "NOGROUP" not in str(error) and "UNBLOCKED" not in str(error):
                raise
            # Redis was flushed: a new stream, of which the ledger has nothing yet, and a lease that anybody may take.
            logger.warning("The event stream was gone and is begun anew.", extra={"action": "keeper.anew"})
            self._lease.doubt()
            self._lay_down()
            return
        self._write(records, unfinished=unfinished)

    def _heal(self, reconcile: Callable[[], Any]) -> None:
        try:
            reconcile()
        except (DatabaseError, InterfaceError, RedisError, SchedulerUnavailableError, OSError):
            raise
        except Exception:
            # What is wrong with comparing must not keep runs from being closed and rows from being pruned.
            logger.exception(
                "Redis could not be compared with the database.", extra={"action": "keeper.failed"}
            )

    def _written(self, drained: Drained) -> Drained:
        self._may_be_open |= drained.opened
        self._written_for |= drained.schedules
        self._pruning.look_at(drained.schedules)
        self._notifier.hand_over(drained.notices)
        if drained.paused:
            self._due["reconcile"] = 0.0  # Redis learns of the pause at once
        return drained

    def _look(self, *, now: float | None = None) -> Pass:
        found = self._closing.look(position=self._drain.position, now=now)
        self._notifier.hand_over(self._waiting.look(found, clock.now()))
        # What was written while its schedule was being deleted, now or just before, must not point to nothing.
        forget_deleted(self._written_for | self._checked_for, using=self._drain.using)
        self._checked_for, self._written_for = self._written_for, set()
        self._may_be_open = found.open > 0 or bool(self._checked_for)
        return found

    # --- around it --------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if self._lease.renew_in <= 0 and not self._lease.take():
            raise NotKeeperError("The lease has lapsed and is another's now.")

    def _lay_down(self) -> None:
        """Stop keeping until the lease is there again."""
        self._keeps = False
        self._stream.close()

    def _stumble(self) -> None:
        """Go back to what is certain: what was read and not written is read again."""
        self._keeps = False
        self._stream.close()
        with suppress(Exception):
            connections[self._drain.using].close()

    def _pause(self, seconds: float, stop: threading.Event) -> None:
        """Wait, without losing the lease over it."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            stop.wait(min(left, RENEW_SECONDS))
            with suppress(RedisError, OSError):
                if self._lease.is_held and self._lease.renew_in <= 0:
                    self._lease.take()

    def _end(self) -> None:
        self._stream.close()
        self._notifier.finish(1.0)
        self._notifier.stop()
        with suppress(RedisError, OSError):
            self._lease.release()
        # Django closes a thread's connections with a request, and this thread has none.
        connections.close_all()

    def _say_once(self, what: str, error: BaseException, before: str) -> str:
        kind = f"{what} {type(error).__name__}"
        if before != kind:
            logger.warning(
                "%s cannot be used (%s: %s). The keeper waits; events are kept in Redis, nothing is lost.",
                what,
                type(error).__name__,
                str(error).strip(),
                extra={"action": "keeper.waiting"},
            )
        return kind
