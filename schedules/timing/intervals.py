"""Intervals: what is a sound one, and how people write them."""

from __future__ import annotations

import re
from typing import Final

from schedules.texts import gettext as _
from schedules.timing.errors import TimingError, shown

LONGEST_INTERVAL: Final = 3_660 * 86_400
"""Seconds: ten years. A longer interval is a mistake of units."""

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,12}) ?([wdhms])[ ]?")
_TEXT = re.compile(rf"(?:{_PART.pattern})+|[0-9]{{1,12}}")


def check_interval(every: object) -> None:
    """Raise `TimingError` unless `every` is a whole number of seconds from 1 to ten years."""
    if not isinstance(every, int) or isinstance(every, bool) or not 1 <= every <= LONGEST_INTERVAL:
        raise _unusable(every)


def parse_interval(text: str) -> int:
    """Read seconds from what people write: ``90``, ``90s``, ``15m``, ``1h 30m``, ``2d``, ``1w``.

    Raises `TimingError` for anything else.
    """
    if not isinstance(text, str):
        raise _unusable(text)
    plain = text[:100].strip().lower()
    if len(text) > 100 or not _TEXT.fullmatch(plain):
        raise _unusable(text)
    parts = _PART.findall(plain)
    every = sum(int(number) * _UNITS[unit] for number, unit in parts) if parts else int(plain)
    check_interval(every)
    return every


def _unusable(value: object) -> TimingError:
    # Writing out an int of a million digits takes minutes, and Python refuses beyond 4,300.
    huge = isinstance(value, int) and value.bit_length() > 128
    named = _("given (a number of more than 38 digits)") if huge else shown(value)
    return TimingError(
        _("The interval %(value)s is not a whole number of seconds between 1 and %(most)d (ten years).")
        % {"value": named, "most": LONGEST_INTERVAL}
    )
