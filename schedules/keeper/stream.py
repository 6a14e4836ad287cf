"""Reading the event stream: one consumer group, records kept by Redis until they are in the ledger."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from schedules.engine import keys
from schedules.engine.events import each_of
from schedules.services.connection import with_bounded_waits

logger = logging.getLogger(__name__)

GROUP: Final = "ledger"
CONSUMER: Final = "keeper"
"""The same name for every keeper: what one of them has read and not finished is pending for the next."""
BLOCK_SECONDS: Final = 30
GLANCE: Final = 0.5
"""Seconds between two looks, on this side of the socket, at whether to stop. They cost Redis nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the stream: the events of one atomic step."""

    id: str
    noted_at: float
    """When it happened (unix seconds), as whoever wrote it says."""
    events: tuple[Mapping[str, Any], ...]

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands in the stream."""
        return order_of(self.id)

    @property
    def added_at(self) -> float:
        """When Redis took it in (unix seconds): one clock, whatever those of the workers' hosts say."""
        return self.order[0] / 1000


def order_of(record_id: str) -> tuple[int, int]:
    """Return a record id as numbers that can be compared."""
    milliseconds, _, sequence = record_id.partition("-")
    return int(milliseconds), int(sequence or 0)


class EventStream:
    """The keeper's end of the stream."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        # A connection of its own for the one command that waits, whose answer may take as long as it blocks.
        self._blocking = with_bounded_waits(connection, connect=2.0, answer=BLOCK_SECONDS + 15.0)
        self._waiting: Any = None

    def open(self) -> bool:
        """Make sure that the group is there; return whether it had to be made."""
        try:
            self._connection.xgroup_create(keys.EVENTS, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    def pending(self, count: int) -> list[Record]:
        """Return the oldest records that were read and not finished."""
        return self._records(self._read("0", count))

    def ready(self, count: int) -> list[Record]:
        """Return new records, without waiting."""
        return self._records(self._read(">", count))

    def unfinished(self) -> int:
        """Return how many records were read, by whomever, and not finished."""
        summary: Any = self._connection.xpending(keys.EVENTS, GROUP)
        return int(summary["pending"])

    def wait(self, *, count: int, seconds: float, is_stopping: Callable[[], bool]) -> list[Record]:
        """Wait up to so many seconds for new records.

        The question stays open in between: Redis is asked once in `BLOCK_SECONDS`, however often this is called.
        """
        deadline = time.monotonic() + seconds
        if self._waiting is None:
            self._waiting = self._blocking.connection_pool.get_connection()
            self._waiting.send_command(
                *("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count),
                *("BLOCK", BLOCK_SECONDS * 1000, "STREAMS", keys.EVENTS, ">"),
            )
        while not is_stopping():
            left = deadline - time.monotonic()
            if self._waiting.can_read(timeout=max(0.0, min(left, GLANCE))):
                connection, self._waiting = self._waiting, None
                try:
                    return self._records(connection.read_response())
                finally:
                    self._blocking.connection_pool.release(connection)
            if left <= 0:
                break
        return []

    def top_up(self, records: list[Record], *, page: int, events: int) -> None:
        """Add new records, a page at a time, until there are so many events or no more records.

        By pages, so that neither many small records nor a few with long outputs decide what is held in memory.
        """
        known = sum(len(record.events) for record in records)
        while known < events:
            more = self.ready(page)
            records += more
            if len(more) < page:
                return
            known += sum(len(record.events) for record in more)

    def finish(self, records: Sequence[Record]) -> None:
        """Acknowledge records that are in the ledger, and drop them and what is older from the stream."""
        milliseconds, sequence = records[-1].order
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.xack(keys.EVENTS, GROUP, *(record.id for record in records))
            pipe.xtrim(keys.EVENTS, minid=f"{milliseconds}-{sequence + 1}", approximate=False)
            pipe.execute()

    def close(self) -> None:
        """Withdraw an open question. What Redis answered meanwhile is pending."""
        if self._waiting is not None:
            with suppress(RedisError, OSError):
                self._waiting.disconnect()
            with suppress(RedisError, OSError, ValueError):
                self._blocking.connection_pool.release(self._waiting)
            self._waiting = None

    def _read(self, after: str, count: int) -> Any:
        return self._connection.execute_command(
            *("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", keys.EVENTS, after)
        )

    def _records(self, answer: Any) -> list[Record]:
        """Read an answer in either protocol of Redis."""
        if not answer:
            return []
        streams = answer.values() if isinstance(answer, dict) else [rows for _, rows in answer]
        found: list[Record] = []
        for rows in streams:
            # The parsed form of protocol 3 has one more list around the records.
            flat = rows[0] if len(rows) == 1 and rows[0] and isinstance(rows[0][0], list | tuple) else rows
            found.extend(_record(row) for row in flat)
        return found


def _record(row: Any) -> Record:
    record_id = row[0].decode()
    fields = row[1]
    if isinstance(fields, list | tuple):
        fields = dict(zip(fields[::2], fields[1::2], strict=True))
    if not fields:  # deleted by somebody while it was pending
        return Record(record_id, 0.0, ())
    try:
        events = tuple(event for event in each_of(json.loads(fields[b"events"])) if "e" in event)
        return Record(record_id, float(fields[b"at"]), events)
    except (KeyError, TypeError, ValueError) as error:
        logger.error(
            "Record %s of the event stream cannot be read and is left out (%s: %s).",
            record_id,
            type(error).__name__,
            error,
            extra={"action": "ledger.unreadable"},
        )
        return Record(record_id, 0.0, ())
