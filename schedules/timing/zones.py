"""Time zones as seconds: which offset holds when, and when it changes.

`zoneinfo` tells an offset for a moment but not where the changes lie. This module asks it for the offset
at each UTC midnight, keeps the answers, and searches inside the few days whose two midnights differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schedules.texts import gettext as _
from schedules.timing.errors import TimingError, shown
from schedules.timing.moments import DAY, FIRST, LAST, seconds

_KEPT_DAYS: Final = 4_096
_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
# Not names of the IANA database: what they mean differs between hosts, and `right/` counts leap seconds.
_OF_THE_HOST = re.compile(r"localtime|posixrules|(?:posix|right)/.*")


class Change(NamedTuple):
    """The clocks of a zone change: from the unix second `at` on, `after` holds instead of `before`."""

    at: int
    before: int
    after: int


class Zone:
    """The offsets of one zone, in seconds east of UTC, by unix second. Answers are kept by UTC day."""

    __slots__ = ("_around", "_changes", "_days", "info", "name")

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self.info = info
        self._days: dict[int, int | None] = {}
        self._around: dict[int, int | None] = {}
        self._changes: dict[int, tuple[Change, ...]] = {}

    def day(self, day: int) -> int | None:
        """Give the offset of UTC day `day` (days since 1970), None when it changes on that day."""
        try:
            return self._days[day]
        except KeyError:
            start, end = self._ask(day * DAY), self._ask(day * DAY + DAY)
            if len(self._days) >= _KEPT_DAYS:
                self._days.clear()
            self._days[day] = answer = start if start == end else None
            return answer

    def around(self, day: int) -> int | None:
        """Give the offset of UTC day `day` and of the days before and after, None when they differ."""
        try:
            return self._around[day]
        except KeyError:
            offset = self.day(day)
            if self.day(day - 1) is None or self.day(day + 1) is None:
                offset = None
            if len(self._around) >= _KEPT_DAYS:
                self._around.clear()
            self._around[day] = offset
            return offset

    def offset(self, unix: int) -> int:
        """Give the offset that holds at a moment."""
        known = self.day(unix // DAY)
        return self._ask(unix) if known is None else known

    def changes(self, since: int, until: int) -> Iterator[Change]:
        """Give the changes with since < at <= until, in order."""
        for day in range(since // DAY, until // DAY + 1):
            if self.day(day) is None:
                for change in self._changes_of(day):
                    if since < change.at <= until:
                        yield change

    def first_showing(self, wall: int) -> int:
        """Give the unix second at which the wall clock first shows `wall` (seconds as if it were UTC).

        A wall time that is skipped gives the first second after the gap.
        """
        day = wall // DAY
        calm = self.around(day)
        if calm is not None:
            return wall - calm
        since = (day - 2) * DAY
        offset, begins = self.offset(since), since
        for change in self.changes(since, since + 5 * DAY):
            if wall - offset < change.at:
                break
            offset, begins = change.after, change.at
        return max(wall - offset, begins)

    def latest_shown(self, unix: int) -> int:
        """Give the latest wall time that the clock has shown or skipped up to a moment, included."""
        day = unix // DAY
        calm = self.around(day)
        if calm is not None:
            return unix + calm
        latest = unix + self.offset(unix)
        for change in self.changes(unix - 2 * DAY, unix):
            latest = max(latest, change.at + change.before - 1)
        return latest

    def _changes_of(self, day: int) -> tuple[Change, ...]:
        """Find the changes in (start, end] of a UTC day whose two midnights differ."""
        try:
            return self._changes[day]
        except KeyError:
            found = []
            for start in range(day * DAY, day * DAY + DAY, 1_800):
                low, high = start, start + 1_800
                before, after = self._ask(low), self._ask(high)
                if before != after:
                    while high - low > 1:
                        middle = (low + high) // 2
                        if self._ask(middle) == before:
                            low = middle
                        else:
                            high = middle
                    found.append(Change(high, before, after))
            if len(self._changes) >= _KEPT_DAYS:
                self._changes.clear()
            self._changes[day] = answer = tuple(found)
            return answer

    def _ask(self, unix: int) -> int:
        # A day inside the ends of what a datetime can hold: the local time must fit as well.
        unix = min(max(unix, FIRST + DAY), LAST - DAY)
        offset = datetime.fromtimestamp(unix, self.info).utcoffset()
        assert offset is not None
        return seconds(offset)


@lru_cache(maxsize=1_024)
def zone(name: str) -> Zone:
    """Find a zone by its IANA name, in the system's data or in the `tzdata` package.

    Raises `TimingError` for anything else.
    """
    if len(name) <= 64 and _NAME.fullmatch(name) and not _OF_THE_HOST.fullmatch(name):
        try:
            return Zone(name, ZoneInfo(name))
        except (KeyError, ValueError, OSError):
            # OSError: the name of a folder of the database ("Europe").
            pass
    raise TimingError(
        _("The time zone %(name)s is not known: use an IANA name such as Europe/Paris or UTC.")
        % {"name": shown(name)}
    )
