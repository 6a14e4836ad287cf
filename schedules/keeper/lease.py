"""Who keeps, when several `rqscheduler` run: a lease in Redis, owned by token."""

from __future__ import annotations

import secrets
import time
from typing import Final

from redis import Redis

from schedules.engine import keys

LEASE_SECONDS: Final = 14.0
RENEW_SECONDS: Final = 8.0
"""How long a holder waits before it renews: seldom enough to cost nothing, and often enough to stumble once."""


class Lease:
    """One process' claim to be the keeper. Redis' own expiry decides when it lapses, so no clocks are compared."""

    def __init__(self, connection: Redis, *, token: str | None = None) -> None:
        self._connection = connection
        self.token = token or secrets.token_hex(12)
        self._take = connection.register_script(keys.script("lease"))
        self._release = connection.register_script(keys.script("release"))
        self._sure_until = 0.0
        self.others_left = 0.0
        """Seconds for which another holds it, as of the last question: whoever waits need not ask before."""

    @property
    def is_held(self) -> bool:
        """Whether it is ours for certain, by this process' own clock; also false when a renewal is overdue."""
        return time.monotonic() < self._sure_until

    @property
    def renew_in(self) -> float:
        """Seconds until it should be renewed; zero or less: now."""
        return self._sure_until - LEASE_SECONDS + RENEW_SECONDS - time.monotonic()

    def take(self) -> bool:
        """Take or renew it; return whether it is ours now."""
        asked_at = time.monotonic()
        left = 0 if self.is_held and self._renew() else int(self._take(args=[self.token, _milliseconds()]))
        # Counted from before the question: a slow answer must not make us believe too long.
        self._sure_until = asked_at + LEASE_SECONDS if left == 0 else 0.0
        self.others_left = left / 1000
        return left == 0

    def doubt(self) -> None:
        """Ask again before it is relied on: somebody else may have it."""
        self._sure_until = 0.0

    def _renew(self) -> bool:
        """Renew it in one command, as a holder does for as long as it lives; return whether it is ours still.

        Should another hold it after all, its lease is prolonged by the question, once: then we are no holder any more.
        """
        return self._connection.getex(keys.LEASE, px=_milliseconds()) == self.token.encode()

    def release(self) -> None:
        """Give it back, so that another need not wait for it to lapse."""
        self._sure_until = 0.0
        self._release(args=[self.token])


def _milliseconds() -> int:
    return int(LEASE_SECONDS * 1000)
