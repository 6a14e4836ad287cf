"""The three kinds of trigger: cheap frozen values that say when a schedule is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from schedules.timing.errors import TimingError, shown
from schedules.timing.intervals import check_interval
from schedules.timing.moments import FIRST, LAST, unix_floor, whole_second


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalTrigger:
    """Fire every `every` whole seconds: slot n is anchor + n × every, for n = 0, 1, 2 and so on.

    The anchor itself is slot 0. Moments are aware and are rounded down to the whole second. `starts_at` is
    included, `ends_at` is not. Raises `TimingError` for a value that cannot be used.
    """

    every: int
    anchor: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    anchor_unix: int = field(init=False, repr=False, compare=False)
    first_unix: int = field(init=False, repr=False, compare=False)
    last_unix: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_interval(self.every)
        anchor = whole_second(self.anchor, "anchor")
        object.__setattr__(self, "anchor", anchor)
        object.__setattr__(self, "anchor_unix", unix_floor(anchor))
        _bound(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class CronTrigger:
    """Fire when the clock on the wall of `timezone` shows what `expression` asks for.

    The expression is read when the first slot is asked for (and kept); `check_cron` reads it at the door.
    `starts_at` is included, `ends_at` is not.
    """

    expression: str
    timezone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    first_unix: int = field(init=False, repr=False, compare=False)
    last_unix: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise TimingError(f"The cron expression {shown(self.expression)} is not a text.")
        if not isinstance(self.timezone, str):
            raise TimingError(f"The time zone {shown(self.timezone)} is not a text.")
        _bound(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class OnceTrigger:
    """Fire once, at `at` rounded down to the whole second."""

    at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    at_unix: int = field(init=False, repr=False, compare=False)
    first_unix: int = field(init=False, repr=False, compare=False)
    last_unix: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at = whole_second(self.at, "at")
        object.__setattr__(self, "at", at)
        object.__setattr__(self, "at_unix", unix_floor(at))
        _bound(self)


Trigger: TypeAlias = IntervalTrigger | CronTrigger | OnceTrigger


def _bound(trigger: Trigger) -> None:
    """Round the bounds down to whole seconds and keep them as the first and last unix second allowed."""
    first, last = FIRST, LAST
    if trigger.starts_at is not None:
        starts_at = whole_second(trigger.starts_at, "starts_at")
        object.__setattr__(trigger, "starts_at", starts_at)
        first = unix_floor(starts_at)
    if trigger.ends_at is not None:
        ends_at = whole_second(trigger.ends_at, "ends_at")
        object.__setattr__(trigger, "ends_at", ends_at)
        last = unix_floor(ends_at) - 1
    object.__setattr__(trigger, "first_unix", first)
    object.__setattr__(trigger, "last_unix", last)
