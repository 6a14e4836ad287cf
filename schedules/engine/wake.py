"""Sleeping until the next slot is due, and being woken when an earlier one is registered.

Waiting is done on this side of the connection, by `select` with the exact time left: Redis' own blocking
commands are late by up to a tenth of a second on an idle server. While it waits it sends nothing at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redis import Redis

from schedules.engine import keys

if TYPE_CHECKING:
    from redis.client import PubSub

GLANCE: Final = 0.5
"""Seconds after which a wait looks whether the process is to stop: bounds how long SIGTERM takes."""


class Alarm:
    """A subscription to the wake channel. Messages that arrive between two waits are kept by the socket."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._pubsub: PubSub | None = None

    def arm(self) -> None:
        """Subscribe, once per connection. What was registered before is seen by the next read of the set."""
        if self._pubsub is None:
            # That a subscription has begun rings as well: a connection that broke is made anew by the client
            # library without a word, and what was registered in between rang nobody.
            pubsub = self._connection.pubsub(ignore_subscribe_messages=False)
            pubsub.subscribe(keys.WAKE)
            self._pubsub = pubsub

    def disarm(self) -> None:
        """Drop the connection; the next `arm` makes a new one."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def wait(self, *, seconds: float, is_stopping: Callable[[], bool]) -> bool:
        """Wait this long at most; return whether somebody rang."""
        self.arm()
        assert self._pubsub is not None
        deadline = time.monotonic() + seconds
        while not is_stopping():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._pubsub.get_message(timeout=min(left, GLANCE)) is not None:
                self._drain()
                return True
        return False

    def _drain(self) -> None:
        """Swallow further messages: one pass serves them all."""
        assert self._pubsub is not None
        for _ in range(10_000):
            if self._pubsub.get_message(timeout=0) is None:
                return
