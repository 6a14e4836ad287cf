"""Read a cron expression into its fields, or say in one sentence what is wrong with it.

`cronsim` reads the fields (Debian's dialect, with ``L``, ``LW``, ``#`` and an optional leading seconds
field) and its judgement is final; this module adds the ``@`` names, bounds what reaches it, and words
the errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from cronsim import CronSim, CronSimError

from schedules.texts import Text, ngettext
from schedules.texts import gettext as _
from schedules.timing.errors import TimingError, shown

LONGEST_EXPRESSION: Final = 1_000
LAST_DAY: Final = CronSim.LAST
LAST_WEEKDAY: Final = CronSim.LAST_WEEKDAY

DayOfWeek: TypeAlias = int | tuple[int, int]
"""A weekday (0: Monday), or one with its place in the month: 1 to 5, or `LAST_DAY`."""

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_CHARACTERS = re.compile(r"[0-9A-Za-z*/,#\- \t]*")
_SOME_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class CronFields:
    """What an expression allows. Numbers are sorted; days may hold `LAST_DAY` and `LAST_WEEKDAY`."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: tuple[int, ...]
    weekdays: frozenset[DayOfWeek]
    day_and: bool
    """Both day fields must match (one begins with ``*``); else either is enough."""
    fixed: bool
    """Neither the minute nor the hour field begins with ``*``: names wall times, not intervals."""


class _Field(NamedTuple):
    name: Text
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> Text:
        numbers = {"low": self.low, "high": self.high}
        if self.names:
            return _("between %(low)d and %(high)d or a name from %(first)s to %(last)s") % {
                **numbers,
                "first": self.names[0],
                "last": self.names[-1],
            }
        return _("between %(low)d and %(high)d") % numbers


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    _Field(_("second"), 0, 59),
    _Field(_("minute"), 0, 59),
    _Field(_("hour"), 0, 23),
    _Field(_("day of month"), 1, 31),
    _Field(_("month"), 1, 12, _MONTHS),
    _Field(_("day of week"), 0, 7, _WEEKDAYS),
)


@lru_cache(maxsize=4_096)
def read_fields(expression: str) -> CronFields:
    """Read an expression of five fields, six with leading seconds, or an ``@`` name.

    Raises `TimingError`, whose sentence names the field, the value and what is allowed.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise TimingError(
            _("The cron expression has %(count)d characters; at most %(most)d are allowed.")
            % {"count": len(expression), "most": LONGEST_EXPRESSION}
        )
    text = expression.strip()
    if not text:
        raise TimingError(_("The cron expression is empty: give five fields such as 30 7 * * 1-5."))
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise TimingError(
                _("%(value)s is not one of %(names)s.")
                % {"value": shown(text), "names": ", ".join(sorted(ALIASES))}
            )
        text = ALIASES[text.lower()]
    if not _CHARACTERS.fullmatch(text):
        wrong = next(character for character in text if not _CHARACTERS.fullmatch(character))
        raise TimingError(
            _("The cron expression holds %(character)s: allowed are digits, names and * / , - #.")
            % {"character": shown(wrong)}
        )
    parts = text.upper().split()
    if len(parts) not in (5, 6):
        raise TimingError(
            ngettext(
                "The cron expression has %(count)d field; allowed are 5 "
                "(minute, hour, day of month, month, day of week) or 6 (with leading seconds).",
                "The cron expression has %(count)d fields; allowed are 5 "
                "(minute, hour, day of month, month, day of week) or 6 (with leading seconds).",
                len(parts),
            )
            % {"count": len(parts)}
        )
    try:
        parsed = CronSim(text, _SOME_MOMENT)
    except CronSimError:
        raise TimingError(_diagnosis(expression, parts)) from None
    minute, hour = parts[-5:-3]
    return CronFields(
        seconds=tuple(sorted(parsed.seconds)),
        minutes=tuple(sorted(parsed.minutes)),
        hours=tuple(sorted(parsed.hours)),
        days=frozenset(parsed.days),
        months=tuple(sorted(parsed.months)),
        weekdays=frozenset(_from_monday(item) for item in parsed.weekdays),
        day_and=parsed.day_and,
        # cronsim takes every expression with seconds for a wildcard; the promise of one run a day for a
        # fixed time would then depend on whether somebody wrote the seconds out.
        fixed=not minute.startswith("*") and not hour.startswith("*"),
    )


def _from_monday(item: int | tuple[int, int]) -> DayOfWeek:
    """Count weekdays from Monday (0), as the calendar does; cron counts from Sunday, which is 0 and 7."""
    if isinstance(item, int):
        return (item - 1) % 7
    return ((item[0] - 1) % 7, item[1])


def never_fires(expression: str) -> Text:
    """Say that an expression asks for days that there are not."""
    return _("The cron expression %(expression)s can never fire: no month has the days that it asks for.") % {
        "expression": shown(expression)
    }


def _diagnosis(expression: str, parts: list[str]) -> Text:
    """Say what cronsim did not like, as one sentence."""
    for field, text in zip(_FIELDS[-len(parts) :], parts, strict=True):
        for term in text.split(","):
            complaint = _complaint(field, term)
            if complaint:
                return complaint
    return never_fires(expression)


def _complaint(field: _Field, term: str) -> Text | None:
    """Say what is wrong with one term of a field, None when it is sound."""
    if not term:
        return _("%(field)s has an empty part: allowed are values %(allowed)s, one comma between two.") % {
            "field": field.name,
            "allowed": field.allowed,
        }
    if field.names is _WEEKDAYS and term != "L" and (term.endswith("L") or "#" in term):
        return _place_complaint(field, term)
    base, slash, step = term.partition("/")
    if slash and (not step.isdigit() or int(step) == 0):
        return _("%(field)s step %(value)s is not a whole number of at least 1.") % {
            "field": field.name,
            "value": shown(step),
        }
    if base == "*" or (field.high == 31 and base in ("L", "LW")):
        return None
    start, dash, end = base.partition("-")
    for value in (start, end) if dash else (start,):
        if _number(field, value) is None:
            plain = value.isdigit() and len(value) < 20
            return _not_allowed(field, value if plain else shown(value))
    first, last = _number(field, start), _number(field, end)
    if first is not None and last is not None and last < first:
        return _(
            "%(field)s range %(range)s runs backwards: the first value must not be greater than the last."
        ) % {"field": field.name, "range": base}
    return None


def _not_allowed(field: _Field, value: str) -> Text:
    return _("%(field)s %(value)s is not %(allowed)s.") % {
        "field": field.name,
        "value": value,
        "allowed": field.allowed,
    }


def _place_complaint(field: _Field, term: str) -> Text | None:
    if "#" in term:
        day, _mark, place = term.partition("#")
        if not (place.isdigit() and 1 <= int(place) <= 5):
            return _("%(field)s %(value)s: the number after # is not between 1 and 5.") % {
                "field": field.name,
                "value": shown(term),
            }
    else:
        day = term[:-1]
        if not day.isdigit():
            return _("%(field)s %(value)s: the value before L is not a number between 0 and 7.") % {
                "field": field.name,
                "value": shown(term),
            }
    return _not_allowed(field, shown(day)) if _number(field, day) is None else None


def _number(field: _Field, value: str) -> int | None:
    if value in field.names:
        return field.names.index(value) + field.low
    if value.isdigit() and len(value) < 20 and field.low <= int(value) <= field.high:
        return int(value)
    return None
