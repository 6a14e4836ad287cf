"""Brute force: what the clocks on the walls show, minute by minute, and what a cron expression makes of it.

Written apart from the implementation: it shares no code with `schedules.timing` and reads expressions
itself. It asks `zoneinfo` for the local time of *every* minute, and applies the two rules to the table:

- wildcard form: a minute is a slot when its local time matches;
- fixed form: each local time of the calendar is a slot once, at the first minute that shows it, or, where
  the clocks skip it, at the first minute after the gap.

    python -m tests.unit.timing.oracle            every zone × every expression × two full years
    python -m tests.unit.timing.oracle --fast     the covering set of the suite: around the clock changes
"""

from __future__ import annotations

import sys
import time
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import product
from multiprocessing import Pool
from zoneinfo import ZoneInfo

from schedules.timing import CronTrigger, next_slot_unix, previous_slot_unix

ZONES = {
    # zone: the first of the two years
    "UTC": 2026,
    "Etc/GMT+5": 2026,
    "Africa/Cairo": 2026,  # midnight vanishes
    "Africa/Casablanca": 2026,  # negative daylight saving, in Ramadan
    "America/Asuncion": 2023,  # midnight vanishes, then daylight saving is given up
    "America/Caracas": 2006,  # half an hour back, for good
    "America/Havana": 2026,  # midnight vanishes, 00:00 to 00:59 twice
    "America/New_York": 2026,
    "America/Santiago": 2026,  # midnight vanishes
    "America/St_Johns": 2010,  # the clocks change at 00:01
    "Antarctica/Casey": 2018,  # three hours
    "Antarctica/Troll": 2026,  # two hours
    "Asia/Beirut": 2026,  # midnight vanishes
    "Asia/Kathmandu": 1985,  # fifteen minutes forward
    "Asia/Kolkata": 2026,
    "Asia/Pyongyang": 2018,  # half an hour forward, one minute before midnight
    "Asia/Tehran": 2021,  # midnight vanishes
    "Australia/Lord_Howe": 2026,  # half an hour
    "Europe/Dublin": 2026,  # negative daylight saving in winter
    "Europe/London": 2026,
    "Europe/Moscow": 2010,  # two kinds of change
    "Europe/Paris": 2026,
    "Pacific/Apia": 2011,  # a whole day skipped
    "Pacific/Chatham": 2026,  # at 02:45
    "Pacific/Kwajalein": 1993,  # a whole day skipped
}

_FIXED_TIMES = [
    f"{minute} {hour}"
    for minute, hour in product(
        ("0", "30", "59", "1,31", "0-59/7"), ("0", "1", "2", "3", "23", "1,2,3", "0-23", "0-23/2")
    )
]
_WILDCARD_TIMES = [
    f"{minute} {hour}"
    for minute, hour in product(("*", "*/7", "*/15", "*/30"), ("*", "0", "1", "2", "1-3", "*/2"))
] + [f"{minute} {hour}" for minute, hour in product(("0", "30", "15,45", "59"), ("*", "*/2", "*/3", "*/5"))]
_DAYS = (
    "* * *", "1 * *", "L * *", "LW * *", "15,31 * *", "* * MON-FRI", "* * 0", "* * 7", "* * SUN#1", "* * 6L",
    "29 2 *", "13 * 5", "*/2 * 1", "1-7 * SAT", "* 3,4,9-11 *", "25-31 3,10 SUN", "* * 0,3",
)  # fmt: skip
EXPRESSIONS = [
    *[f"{times} * * *" for times in (*_FIXED_TIMES, *_WILDCARD_TIMES)],
    *[f"{times} {days}" for times in ("30 2", "0 0", "15 1,2", "30 23") for days in _DAYS[1:]],
    *[f"{times} {days}" for times in ("*/15 2", "30 */2", "0 *", "*/20 *") for days in _DAYS[1:]],
]


class Table:
    """Every minute of a stretch of time with its local date and minute of the day, in UTC order."""

    def __init__(self, zone: str, since: int, until: int) -> None:
        self.since, self.until = since, until
        info = ZoneInfo(zone)
        self.shown: dict[int, list[tuple[int, int]]] = {}
        """Local day: (minute of the day, unix minute), as the clock shows them."""
        self.first: dict[int, dict[int, int]] = {}
        """Local day: minute of the day: the first unix minute that shows it or comes after its gap."""
        before = None
        for minute in range(since, until):
            local = minute + _offset(minute, info)
            day, of_day = divmod(local, 1440)
            self.shown.setdefault(day, []).append((of_day, minute))
            self.first.setdefault(day, {}).setdefault(of_day, minute)
            if before is not None:
                for skipped in range(before + 1, local):
                    day, of_day = divmod(skipped, 1440)
                    self.first.setdefault(day, {}).setdefault(of_day, minute)
            before = local
        # Which day the rest is the same for: lists are long, and most days are alike.
        ordinary = list(range(1440))
        self.plain = {
            day: rows[0][1]
            for day, rows in self.shown.items()
            if [row[0] for row in rows] == ordinary and rows[-1][1] - rows[0][1] == 1439
            and list(self.first[day].values()) == [row[1] for row in rows]
        }  # fmt: skip

    def slots(self, expression: str) -> list[int]:
        """Give the unix minutes at which an expression fires within the table."""
        minute, hour, *_ = expression.split()
        fixed = not minute.startswith("*") and not hour.startswith("*")
        minutes, hours = _numbers(minute, 0, 59), _numbers(hour, 0, 23)
        wanted = [of_day for of_day in range(1440) if of_day // 60 in hours and of_day % 60 in minutes]
        found: set[int] = set()
        allowed = set(wanted)
        for day in self.first:
            if not _is_day(expression, day):
                continue
            if day in self.plain:
                base = self.plain[day]
                found.update([base + of_day for of_day in wanted])
            elif fixed:
                found.update(at for of_day, at in self.first[day].items() if of_day in allowed)
            else:
                found.update(at for of_day, at in self.shown.get(day, ()) if of_day in allowed)
        return sorted(found)


def _offset(minute: int, info: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(minute * 60, info).utcoffset()
    assert offset is not None
    return offset.days * 1440 + offset.seconds // 60


@cache
def _is_day(expression: str, day: int) -> bool:
    _, _, of_month, month, of_week = expression.split()
    at = date(1970, 1, 1) + timedelta(days=day)
    if at.month not in _numbers(month, 1, 12):
        return False
    length = monthrange(at.year, at.month)[1]
    workdays = [number for number in range(1, length + 1) if at.replace(day=number).weekday() < 5]
    month_matches = False
    for term in of_month.split(","):
        if term in ("L", "LW"):
            month_matches |= at.day == (length if term == "L" else workdays[-1])
        else:
            month_matches |= at.day in _numbers(term, 1, 31)
    week_matches = False
    for term in of_week.split(","):
        name, _, place = term.partition("#")
        if term.endswith("L"):
            week_matches |= at.isoweekday() % 7 == int(term[:-1]) % 7 and at.day + 7 > length
        elif place:
            week_matches |= at.isoweekday() % 7 in _numbers(name, 0, 7) and (at.day - 1) // 7 + 1 == int(
                place
            )
        else:
            week_matches |= bool({at.isoweekday(), at.isoweekday() % 7} & _numbers(term, 0, 7))
    if of_month.startswith("*") or of_week.startswith("*"):
        return month_matches and week_matches
    return month_matches or week_matches


@cache
def _numbers(text: str, low: int, high: int) -> frozenset[int]:
    for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")):
        text = text.replace(name, str(number))
    numbers: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        start, _, end = span.partition("-")
        first = low if start == "*" else int(start)
        last = high if start == "*" or (step and not end) else int(end or start)
        numbers.update(range(first, last + 1, int(step or 1)))
    return frozenset(numbers)


def differences(table: Table, zone: str, expression: str, margin: int = 2 * 1440) -> tuple[int, list[str]]:
    """Compare with the implementation, both ways; give how many slots were compared and what differs.

    The table's `margin` minutes at either end are left out: gaps that begin outside are not seen there.
    """
    since, until = (table.since + margin) * 60, (table.until - margin) * 60
    expected = [minute * 60 for minute in table.slots(expression) if since <= minute * 60 < until]
    trigger = CronTrigger(expression=expression, timezone=zone)
    ahead: list[int] = []
    slot = next_slot_unix(trigger, since - 1)
    while slot is not None and slot < until:
        ahead.append(slot)
        slot = next_slot_unix(trigger, slot)
    back: list[int] = []
    slot = previous_slot_unix(trigger, until)
    while slot is not None and slot >= since:
        back.append(slot)
        slot = previous_slot_unix(trigger, slot)
    back.reverse()
    found = []
    for name, slots in (("next_slot", ahead), ("previous_slot", back)):
        if slots != expected:
            odd = sorted(set(slots) ^ set(expected))[:3] or ["not increasing"]
            shown = [datetime.fromtimestamp(at, UTC).isoformat() if isinstance(at, int) else at for at in odd]
            found.append(f"{zone} {expression!r} {name}: {', '.join(shown)}")
    return len(expected), found


def two_years(zone: str) -> Iterator[tuple[int, int]]:
    """Give the two years of a zone, in unix minutes, with a margin."""
    year = ZONES[zone]
    yield (
        _minute(datetime(year, 1, 1, tzinfo=UTC)) - 2880,
        _minute(datetime(year + 2, 1, 1, tzinfo=UTC)) + 2880,
    )


def around_changes(zone: str) -> Iterator[tuple[int, int]]:
    """Give the days around each clock change and the year's end, with a margin, in unix minutes."""
    info = ZoneInfo(zone)
    since, until = next(two_years(zone))
    year_end = (since + until) // 2880 * 1440
    yield year_end - 4 * 1440, year_end + 5 * 1440
    for minute in range(since, until, 60):
        if _offset(minute, info) != _offset(minute + 60, info):
            day = minute - minute % 1440
            yield day - 4 * 1440, day + 5 * 1440


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def examine(zone: str, fast: bool = False) -> tuple[int, int, list[str]]:
    """Compare all expressions in one zone; give minutes looked at, slots compared, and what differs."""
    minutes, slots, found = 0, 0, []
    for since, until in around_changes(zone) if fast else two_years(zone):
        table = Table(zone, since, until)
        minutes += until - since - 5760
        for expression in EXPRESSIONS:
            count, differing = differences(table, zone, expression)
            slots += count
            found += differing
    return minutes, slots, found


def _full(zone: str) -> tuple[str, tuple[int, int, list[str]]]:
    return zone, examine(zone)


def _fast(zone: str) -> tuple[str, tuple[int, int, list[str]]]:
    return zone, examine(zone, fast=True)


def main() -> int:
    """Run it over all zones, in as many processes as there are cores."""
    began, total, wrong = time.monotonic(), 0, 0
    with Pool() as pool:
        work = _fast if "--fast" in sys.argv else _full
        for zone, (minutes, slots, found) in pool.imap_unordered(work, ZONES):
            print(f"{zone:22} {minutes:9,} minutes {slots:11,} slots {len(found):4} differences", flush=True)
            for line in found[:10]:
                print("   ", line)
            total, wrong = total + slots, wrong + len(found)
    print(
        f"{len(ZONES)} zones × {len(EXPRESSIONS)} expressions: {total:,} slots, each way, "
        f"{wrong} differences, {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
