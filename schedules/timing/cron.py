"""The slots of a cron expression in a zone: wall times put on the line of real time.

Debian's rule (`man 8 cron`, "daylight saving"), taken to every size of clock change:

- *fixed* form (neither the minute nor the hour field begins with ``*``): each wall time runs once. A wall
  time that is shown twice runs the first time; one that is skipped runs right after the gap.
- *wildcard* form: real time is walked, and a moment is a slot when the clock on the wall matches. Nothing
  runs for skipped wall times, repeated ones run again, so that real intervals are kept.
"""

from __future__ import annotations

from functools import lru_cache

from schedules.timing.errors import TimingError, shown
from schedules.timing.fields import CronFields, never_fires, read_fields
from schedules.timing.moments import DAY, FIRST, LAST
from schedules.timing.wall import WallTimes
from schedules.timing.zones import Zone, zone

_NEAR = 3 * DAY
"""Longer than any clock change: beyond it, a wall time cannot come back."""


class CronTimes:
    """The slots of one expression in one zone, as unix seconds."""

    __slots__ = ("fields", "walls", "zone")

    def __init__(self, fields: CronFields, in_zone: Zone) -> None:
        self.fields = fields
        self.walls = WallTimes(fields)
        self.zone = in_zone

    def next(self, after: int) -> int | None:
        """Give the first slot strictly later than a unix second, None when there is none before 10000."""
        found = self._next_fixed(after) if self.fields.fixed else self._next_wildcard(after + 1)
        return found if found is not None and FIRST <= found <= LAST else None

    def previous(self, before: int) -> int | None:
        """Give the last slot strictly earlier than a unix second, None when there is none from year 1 on."""
        found = self._previous_fixed(before - 1) if self.fields.fixed else self._previous_wildcard(before - 1)
        return found if found is not None and FIRST <= found <= LAST else None

    def _next_fixed(self, after: int) -> int | None:
        wall = self.walls.next(self.zone.latest_shown(after) + 1)
        return None if wall is None else self.zone.first_showing(wall)

    def _previous_fixed(self, latest: int) -> int | None:
        wall = self.walls.previous(self.zone.latest_shown(latest))
        return None if wall is None else self.zone.first_showing(wall)

    def _next_wildcard(self, unix: int) -> int | None:
        zone, walls = self.zone, self.walls
        while True:
            day = unix // DAY
            calm = zone.day(day)
            offset = zone.offset(unix) if calm is None else calm
            wall = walls.next(unix + offset)
            if wall is None:
                return None
            found = wall - offset
            if calm is not None and found // DAY == day:
                return found
            horizon = min(found, unix + _NEAR)
            change = next(zone.changes(unix, horizon), None)
            if change is not None:
                unix = change.at
            elif found == horizon:
                return found
            else:
                unix = max(horizon, wall - _NEAR)

    def _previous_wildcard(self, unix: int) -> int | None:
        zone, walls = self.zone, self.walls
        while True:
            offset = zone.offset(unix)
            wall = walls.previous(unix + offset)
            if wall is None:
                return None
            found = wall - offset
            horizon = max(found, unix - _NEAR)
            changes = tuple(zone.changes(horizon, unix))
            if changes:
                unix = changes[-1].at - 1
            elif found == horizon:
                return found
            else:
                unix = min(horizon, wall + _NEAR)


@lru_cache(maxsize=8_192)
def cron_times(expression: str, timezone: str) -> CronTimes:
    """Compile an expression for a zone; the last 8,192 are kept.

    Raises `TimingError` for an expression or a zone that cannot be read, or that can never fire.
    """
    times = CronTimes(read_fields(expression), zone(timezone))
    if not times.walls.can_fire():
        raise TimingError(never_fires(expression))
    return times


def check_timezone(name: str) -> None:
    """Raise `TimingError` unless `name` is the IANA name of a time zone."""
    if not isinstance(name, str):
        raise TimingError(f"The time zone {shown(name)} is not a text.")
    zone(name)


def check_cron(expression: str, timezone: str = "UTC") -> None:
    """Raise `TimingError` unless the expression can be read and fires some day, and the zone is known."""
    if not isinstance(expression, str):
        raise TimingError(f"The cron expression {shown(expression)} is not a text.")
    check_timezone(timezone)
    cron_times(expression, timezone)
