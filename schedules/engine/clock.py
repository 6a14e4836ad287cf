"""The engine's clock is Redis': hosts whose clocks differ agree on when a slot is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What tells the scripts the time."""

    def argument(self) -> str:
        """Return the moment (unix seconds as text) for a script, or '' for Redis' own `TIME`."""


class RedisClock:
    """Redis' own `TIME`."""

    def argument(self) -> str:
        """Leave it to Redis."""
        return ""


class ManualClock:
    """A clock that stands still until it is moved: for tests."""

    def __init__(self, now: datetime) -> None:
        self.now = now.astimezone(UTC)

    def argument(self) -> str:
        """Hand in the moment it was set to."""
        return f"{self.now.timestamp():.6f}"

    def set(self, now: datetime) -> None:
        """Set it to a moment, also an earlier one."""
        self.now = now.astimezone(UTC)

    def advance(self, *, seconds: float) -> None:
        """Move it on."""
        self.now += timedelta(seconds=seconds)


def rq_time(unix: float) -> str:
    """Return a moment the way RQ writes it into a job's hash (`%Y-%m-%dT%H:%M:%S.%fZ`)."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
