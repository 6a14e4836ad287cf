"""The times that a cron expression asks for, on a wall clock that never changes.

Seconds count as if the wall clock were UTC; `cron.py` puts zones on top of it.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from schedules.timing.fields import LAST_DAY, LAST_WEEKDAY, CronFields, DayOfWeek
from schedules.timing.moments import DAY, FIRST, LAST

_ORDINAL_OF_1970 = 719_163
_FIRST_DAY = FIRST // DAY
_LAST_DAY = LAST // DAY
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class WallTimes:
    """Step through the wall times of one expression, both ways, in constant time per step."""

    __slots__ = (
        "_day_and",
        "_days",
        "_first",
        "_first_ms",
        "_first_s",
        "_hours",
        "_hours_back",
        "_last",
        "_last_ms",
        "_last_s",
        "_masks",
        "_minutes",
        "_minutes_back",
        "_months",
        "_seconds",
        "_seconds_back",
        "_weekdays",
        "every_day",
    )  # fmt: skip

    def __init__(self, fields: CronFields) -> None:
        self._days, self._weekdays, self._day_and = fields.days, fields.weekdays, fields.day_and
        self._months = frozenset(fields.months)
        self._hours, self._hours_back = _steps(fields.hours, 24)
        self._minutes, self._minutes_back = _steps(fields.minutes, 60)
        self._seconds, self._seconds_back = _steps(fields.seconds, 60)
        self._first_s, self._last_s = fields.seconds[0], fields.seconds[-1]
        self._first_ms = fields.minutes[0] * 60 + self._first_s
        self._last_ms = fields.minutes[-1] * 60 + self._last_s
        self._first = fields.hours[0] * 3_600 + self._first_ms
        self._last = fields.hours[-1] * 3_600 + self._last_ms
        self._masks: dict[tuple[int, int], int] = {}
        every_month = len(self._months) == 12
        whole_month = fields.days >= frozenset(range(1, 32))
        whole_week = fields.weekdays >= frozenset(range(7))
        all_days = (whole_month and whole_week) if fields.day_and else (whole_month or whole_week)
        self.every_day = every_month and all_days

    def can_fire(self) -> bool:
        """Tell whether any day of the calendar matches.

        Every month begins on every weekday at some time, leap Februaries too, so 7 × 13 months tell it all.
        """
        lengths = {_LENGTHS[month] for month in self._months} | ({29} if 2 in self._months else set())
        return any(self._mask(length, first) for length in lengths for first in range(7))

    def next(self, wall: int) -> int | None:
        """Give the first matching wall second that is not earlier than `wall`, None after the year 9999."""
        day, time = divmod(wall, DAY)
        if time <= self._last and self._matches(day):
            return day * DAY + self._next_time(time)
        found = day + 1 if self.every_day and _FIRST_DAY <= day < _LAST_DAY else self._next_day(day + 1)
        return None if found is None else found * DAY + self._first

    def previous(self, wall: int) -> int | None:
        """Give the last matching wall second that is not later than `wall`, None before the year 1."""
        day, time = divmod(wall, DAY)
        if time >= self._first and self._matches(day):
            return day * DAY + self._previous_time(time)
        found = day - 1 if self.every_day and _FIRST_DAY < day <= _LAST_DAY else self._previous_day(day - 1)
        return None if found is None else found * DAY + self._last

    def _next_time(self, time: int) -> int:
        hour, rest = divmod(time, 3_600)
        at_hour = self._hours[hour]
        if at_hour == hour:
            minute, second = divmod(rest, 60)
            at_minute = self._minutes[minute]
            if at_minute == minute:
                at_second = self._seconds[second]
                if at_second >= 0:
                    return time - second + at_second
                at_minute = self._minutes[minute + 1]
            if at_minute >= 0:
                return hour * 3_600 + at_minute * 60 + self._first_s
            at_hour = self._hours[hour + 1]
        return at_hour * 3_600 + self._first_ms

    def _previous_time(self, time: int) -> int:
        hour, rest = divmod(time, 3_600)
        at_hour = self._hours_back[hour]
        if at_hour == hour:
            minute, second = divmod(rest, 60)
            at_minute = self._minutes_back[minute]
            if at_minute == minute:
                at_second = self._seconds_back[second]
                if at_second >= 0:
                    return time - second + at_second
                at_minute = self._minutes_back[minute - 1]
            if at_minute >= 0:
                return hour * 3_600 + at_minute * 60 + self._last_s
            at_hour = self._hours_back[hour - 1]
        return at_hour * 3_600 + self._last_ms

    def _matches(self, day: int) -> bool:
        if not _FIRST_DAY <= day <= _LAST_DAY:
            return False
        if self.every_day:
            return True
        at = date.fromordinal(day + _ORDINAL_OF_1970)
        return bool(self._month_mask(at.year, at.month, day - at.day + 1) >> at.day & 1)

    def _next_day(self, day: int) -> int | None:
        if day > _LAST_DAY:
            return None
        at = date.fromordinal(max(day, _FIRST_DAY) + _ORDINAL_OF_1970)
        year, month, from_day = at.year, at.month, at.day
        while year <= 9_999:
            if month in self._months:
                first = date(year, month, 1).toordinal() - _ORDINAL_OF_1970
                left = self._month_mask(year, month, first) >> from_day
                if left:
                    return first + from_day + (left & -left).bit_length() - 2
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            from_day = 1
        return None

    def _previous_day(self, day: int) -> int | None:
        if day < _FIRST_DAY:
            return None
        at = date.fromordinal(min(day, _LAST_DAY) + _ORDINAL_OF_1970)
        year, month, until_day = at.year, at.month, at.day
        while year >= 1:
            if month in self._months:
                first = date(year, month, 1).toordinal() - _ORDINAL_OF_1970
                left = self._month_mask(year, month, first) & ((2 << until_day) - 1)
                if left:
                    return first + left.bit_length() - 2
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
            until_day = 31
        return None

    def _month_mask(self, year: int, month: int, first_day: int) -> int:
        if month not in self._months:
            return 0
        leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return self._mask(_LENGTHS[month] + leap, (first_day + 3) % 7)

    def _mask(self, length: int, first_weekday: int) -> int:
        """Give the matching days of a month (bit n: day n) that begins on a weekday (0: Monday)."""
        try:
            return self._masks[length, first_weekday]
        except KeyError:
            of_month = _days_of_month(self._days, length, first_weekday)
            of_week = _days_of_week(self._weekdays, length, first_weekday)
            mask = of_month & of_week if self._day_and else of_month | of_week
            self._masks[length, first_weekday] = mask
            return mask


@lru_cache(maxsize=4_096)
def _days_of_month(days: frozenset[int], length: int, first_weekday: int) -> int:
    """Give the days (bit n: day n) that the day-of-month field allows in such a month."""
    mask = 0
    for day in days:
        if 0 < day <= length:
            mask |= 1 << day
    if LAST_DAY in days:
        mask |= 1 << length
    if LAST_WEEKDAY in days:
        mask |= 1 << length - max(0, (first_weekday + length - 1) % 7 - 4)
    return mask


@lru_cache(maxsize=4_096)
def _days_of_week(weekdays: frozenset[DayOfWeek], length: int, first_weekday: int) -> int:
    """Give the days (bit n: day n) that the day-of-week field allows in such a month."""
    mask = 0
    for item in weekdays:
        weekday, place = item if isinstance(item, tuple) else (item, 0)
        first = (weekday - first_weekday) % 7 + 1
        if place == LAST_DAY:
            mask |= 1 << first + (length - first) // 7 * 7
        else:
            for number, day in enumerate(range(first, length + 1, 7), start=1):
                if place in (0, number):
                    mask |= 1 << day
    return mask


@lru_cache(maxsize=512)
def _steps(values: tuple[int, ...], size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tabulate, for each value, the next and the previous allowed one (-1: none).

    The tables have one place more than values, for "the one after the last" and, as [-1], "before the first".
    """
    allowed = frozenset(values)
    ahead, back = [-1] * (size + 1), [-1] * (size + 1)
    for value in range(size - 1, -1, -1):
        ahead[value] = value if value in allowed else ahead[value + 1]
    for value in range(size):
        back[value] = value if value in allowed else back[value - 1]
    return tuple(ahead), tuple(back)
