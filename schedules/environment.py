"""Read `SCHEDULE_<NAME>_INTERVAL`: the environment's word on how often a schedule runs.

The variable's name is the schedule's in upper snake case: `breaking-news` is overridden by
`SCHEDULE_BREAKING_NEWS_INTERVAL=30`. Seconds; zero or less switches the schedule off. Tests hand in an
environment of their own.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from schedules.texts import gettext as _

PREFIX: Final = "SCHEDULE_"
SUFFIX: Final = "_INTERVAL"

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_SECONDS: Final = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_VARIABLE: Final = re.compile(rf"{PREFIX}[A-Z0-9_]+{SUFFIX}", re.ASCII)


class IntervalOverrideError(ValueError):
    """An environment variable that should hold an interval holds something else."""

    def __init__(self, variable: str, value: str) -> None:
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        super().__init__(
            _(
                "The environment variable %(variable)s is %(value)s; it must be a whole number of seconds, "
                "zero or less to switch the schedule off (for example %(variable)s=60)."
            )
            % {"variable": variable, "value": repr(shown)}
        )
        self.variable = variable
        self.value = value


@lru_cache(maxsize=20_000)
def variable_of(name: str) -> str | None:
    """Return the variable that overrides the schedule called `name`; None where the name gives none.

    >>> variable_of("breaking-news"), variable_of("Sync Orders (EU)"), variable_of("syncOrders")
    ('SCHEDULE_BREAKING_NEWS_INTERVAL', 'SCHEDULE_SYNC_ORDERS_EU_INTERVAL', 'SCHEDULE_SYNC_ORDERS_INTERVAL')
    """
    # Accents are taken off, so that "Übersicht" has a variable that a shell can set.
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    words = _NOT_WORD.sub("_", _WORD_START.sub("_", plain)).strip("_").upper()
    return f"{PREFIX}{words}{SUFFIX}" if words else None


def interval_override(name: str, *, environ: Mapping[str, str] | None = None) -> int | None:
    """Return the seconds that the environment sets for the schedule called `name`; None: it says nothing.

    Raises:
        IntervalOverrideError: the variable is set to something that is not a whole number.
    """
    variable = variable_of(name)
    value = None if variable is None else (os.environ if environ is None else environ).get(variable)
    # An empty variable is how a compose file says "not set".
    if variable is None or value is None or not value.strip():
        return None
    return _seconds(variable, value)


def broken_overrides(*, environ: Mapping[str, str] | None = None) -> list[IntervalOverrideError]:
    """Return an error for every variable of this form that does not hold a number, by name."""
    found = []
    for variable, value in sorted((os.environ if environ is None else environ).items()):
        if _VARIABLE.fullmatch(variable) and value.strip():
            try:
                _seconds(variable, value)
            except IntervalOverrideError as error:
                found.append(error)
    return found


def colliding_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the variables that more than one of `names` listens to, with those names sorted."""
    listeners: dict[str, list[str]] = defaultdict(list)
    for name in names:
        variable = variable_of(name)
        if variable is not None:
            listeners[variable].append(name)
    return {variable: sorted(group) for variable, group in sorted(listeners.items()) if len(group) > 1}


def _seconds(variable: str, value: str) -> int:
    if not _SECONDS.fullmatch(value.strip()):
        raise IntervalOverrideError(variable, value)
    return int(value)
