"""Say in one English sentence when a trigger fires.

Of the libraries that describe cron expressions, none is right about everything that is accepted here:
`cron-descriptor` knows neither ``#`` with names nor that two day fields mean OR, and `cronsim.explain` says
"every second hour" where it means every other one. The words here are made from the values that fire,
never from the text that was typed, so that they cannot disagree with the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from schedules.timing.cron import cron_times
from schedules.timing.fields import LAST_DAY, LAST_WEEKDAY, CronFields, DayOfWeek
from schedules.timing.triggers import CronTrigger, IntervalTrigger, Trigger

MONTHS: Final = (
    "", "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PLACES = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", LAST_DAY: "last"}
_LISTED_MOST = 8
"""Up to so many times of day are written out."""


def describe(trigger: Trigger) -> str:
    """Give one plain English sentence without a full stop: "Every weekday at 07:00, Europe/Paris".

    Raises `TimingError` for an expression or a zone that cannot be read.
    """
    if isinstance(trigger, IntervalTrigger):
        sentence = f"Every {_duration(trigger.every)}"
    elif isinstance(trigger, CronTrigger):
        fields = cron_times(trigger.expression, trigger.timezone).fields
        sentence = f"{_sentence(fields)}, {trigger.timezone}"
    else:
        sentence = f"Once, on {_moment(trigger.at)}"
    if trigger.starts_at is not None:
        sentence += f", from {_moment(trigger.starts_at)}"
    if trigger.ends_at is not None:
        sentence += f", until {_moment(trigger.ends_at)}"
    return sentence


def _duration(every: int) -> str:
    # One day of an interval is always 24 hours, which "every day" would hide.
    for size, unit, least in ((86_400, "day", 2), (3_600, "hour", 1), (60, "minute", 1)):
        if every % size == 0 and every // size >= least:
            return unit if every == size else f"{every // size} {unit}s"
    return "second" if every == 1 else f"{every} seconds"


def _moment(moment: datetime) -> str:
    return f"{moment:%d %B %Y} at {moment:%H:%M:%S} UTC".replace(":00 UTC", " UTC").lstrip("0")


def _sentence(fields: CronFields) -> str:
    days = day_words(fields)
    times = _listed_times(fields)
    if times is not None:
        sentence = f"{days or 'every day'} at {times}"
    else:
        pace = _pace_with_seconds(fields) if fields.seconds != (0,) else _pace(fields)
        sentence = f"{pace}, {days}" if days else pace
    return sentence[0].upper() + sentence[1:]


def _listed_times(fields: CronFields) -> str | None:
    """Write out the times of day when they are few, None when they are many or make a steady pace."""
    hours, minutes, seconds = fields.hours, fields.minutes, fields.seconds
    if len(hours) == 24 or len(hours) * len(minutes) * len(seconds) > _LISTED_MOST:
        return None
    if len(minutes) == 1 and seconds == (0,) and _stride(hours):
        return None
    if _step(minutes, 60) and _is_run(hours) and len(hours) * len(minutes) > 4:
        return None
    return listed(
        [
            _clock(hour, minute) + ("" if seconds == (0,) else f":{second:02}")
            for hour in hours
            for minute in minutes
            for second in seconds
        ]
    )


def _pace(fields: CronFields) -> str:
    """Say how often it fires during a day, in whole minutes."""
    hours, minutes = fields.hours, fields.minutes
    step = _step(minutes, 60)
    if step:
        pace = "every minute" if step == 1 else f"every {step} minutes"
        if len(hours) == 24:
            return pace
        if _is_run(hours):
            return f"{pace} from {_clock(hours[0], 0)} to {_clock(hours[-1], minutes[-1])}"
        return f"{pace} of {_hour_words(hours)}"
    if len(minutes) == 1:
        minute = minutes[0]
        at_minute = f" at minute {minute}" if minute else ""
        if len(hours) == 24:
            return f"every hour{at_minute}"
        if _step(hours, 24):
            return f"every {hours[1]} hours{at_minute}"
        stride = _stride(hours)
        if stride:
            pace = "every hour" if stride == 1 else f"every {stride} hours"
            return f"{pace} from {_clock(hours[0], minute)} to {_clock(hours[-1], minute)}"
    stride = _stride(minutes)
    if stride > 1:
        pace = f"every {stride} minutes from minute {minutes[0]} to minute {minutes[-1]}"
        return f"{pace} of {_hour_words(hours)}"
    return f"at {_counted('minute', minutes)} of {_hour_words(hours)}"


def _pace_with_seconds(fields: CronFields) -> str:
    step = _step(fields.seconds, 60)
    if step:
        pace = "every second" if step == 1 else f"every {step} seconds"
        if len(fields.minutes) == 60 and len(fields.hours) == 24:
            return pace
    else:
        pace = f"at {_counted('second', fields.seconds)}"
    minutes = "every minute" if len(fields.minutes) == 60 else _counted("minute", fields.minutes)
    if len(fields.minutes) == 60 and len(fields.hours) == 24:
        return f"{pace} of {minutes}"
    return f"{pace} of {minutes} of {_hour_words(fields.hours)}"


def _hour_words(hours: tuple[int, ...]) -> str:
    return "every hour" if len(hours) == 24 else _counted("hour", hours)


def day_words(fields: CronFields) -> str:
    """Say on which days an expression fires; empty for every day."""
    every_day_of_month = fields.days >= frozenset(range(1, 32))
    every_weekday = fields.weekdays >= frozenset(range(7))
    every_month = len(fields.months) == 12
    months = "every month" if every_month else _runs(fields.months, MONTHS.__getitem__)
    in_months = "" if every_month else f" in {months}"
    if fields.day_and:
        if every_day_of_month and every_weekday:
            return in_months and f"every day{in_months}"
        if every_day_of_month:
            return _weekday_words(fields.weekdays, months, every_month)
        if every_weekday:
            return f"on {_dates(fields.days)} of {months}"
        weekdays = _weekday_words(fields.weekdays, months, every_month)
        return f"{weekdays}, if that is {_dates(fields.days, 'or')} of the month"
    if every_day_of_month or every_weekday:
        return in_months and f"every day{in_months}"
    weekdays = _weekday_words(fields.weekdays, months, every_month)
    return f"on {_dates(fields.days)} of {months} and also {weekdays}"


def _weekday_words(weekdays: frozenset[DayOfWeek], months: str, every_month: bool) -> str:
    plain = tuple(sorted(day for day in weekdays if isinstance(day, int)))
    placed = sorted((day for day in weekdays if isinstance(day, tuple)), key=lambda day: (day[1] % 9, day[0]))
    words = []
    if plain:
        named = "weekday" if plain == (0, 1, 2, 3, 4) else _runs(plain, WEEKDAYS.__getitem__)
        words.append(f"every {named}" if len(plain) < 7 else "every day")
        if not every_month:
            words[0] += f" in {months}"
    if placed:
        named = listed([f"{_PLACES[place]} {WEEKDAYS[day]}" for day, place in placed])
        words.append(f"on the {named} of {months}")
    return " and ".join(words)


def _dates(days: frozenset[int], joint: str = "and") -> str:
    words = [_runs(tuple(sorted(day for day in days if day > 0)), ordinal, joint)]
    words += ["last weekday"] if LAST_WEEKDAY in days else []
    words += ["last day"] if LAST_DAY in days else []
    return f"the {listed([word for word in words if word], joint)}"


def ordinal(number: int) -> str:
    """Give 1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _counted(unit: str, values: tuple[int, ...]) -> str:
    return f"{unit}{'s' * (len(values) > 1)} {_runs(values, str)}"


def _runs(values: tuple[int, ...], named: Callable[[int], str], joint: str = "and") -> str:
    """Name sorted values, three or more in a row as a range: "1 to 5, 8 and 9"."""
    words: list[str] = []
    start = 0
    for end in range(len(values)):
        if end + 1 < len(values) and values[end + 1] == values[end] + 1:
            continue
        if end - start >= 2:
            words.append(f"{named(values[start])} to {named(values[end])}")
        else:
            words += [named(value) for value in values[start : end + 1]]
        start = end + 1
    return listed(words, joint)


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Join words: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"


def _step(values: tuple[int, ...], size: int) -> int:
    """Give the step when values are 0, step, 2 × step and so on around the whole dial, else 0."""
    if len(values) < 2 or size % len(values):
        return 0
    step = size // len(values)
    return step if values == tuple(range(0, size, step)) else 0


def _stride(values: tuple[int, ...]) -> int:
    """Give the distance between neighbours when there are at least four, all equally far apart, else 0."""
    if len(values) < 4:
        return 0
    stride = values[1] - values[0]
    return stride if values == tuple(range(values[0], values[-1] + 1, stride)) else 0


def _is_run(values: tuple[int, ...]) -> bool:
    return values[-1] - values[0] == len(values) - 1
