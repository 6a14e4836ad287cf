"""What an operator should know about a trigger before saving it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schedules.texts import Grouped, Text, listed
from schedules.texts import gettext as _
from schedules.timing.calendar_words import MONTHS, ordinal
from schedules.timing.cron import CronTimes, cron_times
from schedules.timing.fields import CronFields
from schedules.timing.moments import DAY, LAST, from_unix, unix_floor
from schedules.timing.slots import next_slot_unix
from schedules.timing.triggers import CronTrigger, IntervalTrigger, Trigger
from schedules.timing.zones import Change

_YEAR: Final = 366 * DAY
_LONGEST_MONTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Caution:
    """One thing to know: a stable `code`, a sentence (a `Text`), and the moment (UTC) that it is about, if any.

    Codes: ``never_again``, ``too_frequent``, ``gap``, ``overlap``, ``short_months``, ``day_or``.
    """

    code: str
    text: str
    at: datetime | None = None


def warnings(trigger: Trigger, after: datetime) -> list[Caution]:
    """List what is worth knowing about a trigger, for the year that follows `after` (aware).

    Raises `TimingError` for an expression or a zone that cannot be read.
    """
    now = unix_floor(after)
    if next_slot_unix(trigger, now) is None:
        return [Caution("never_again", _("This never fires again: no slot lies ahead."))]
    if isinstance(trigger, IntervalTrigger):
        if trigger.every >= 60:
            return []
        return [_too_frequent(86_400 // trigger.every)]
    if not isinstance(trigger, CronTrigger):
        return []
    times = cron_times(trigger.expression, trigger.timezone)
    fields = times.fields
    cautions = []
    if len(fields.seconds) > 1:
        cautions.append(_too_frequent(len(fields.seconds) * len(fields.minutes) * len(fields.hours)))
    first, last = max(now, trigger.first_unix - 1), min(now + _YEAR, trigger.last_unix, LAST)
    for change in times.zone.changes(now, min(now + _YEAR, LAST)):
        caution = _gap(times, change) if change.after > change.before else _overlap(times, change)
        if caution is not None and caution.at is not None and first < unix_floor(caution.at) <= last:
            cautions.append(caution)
    cautions += _short_months(fields)
    if not fields.day_and and not times.walls.every_day:
        text = _("Day of month and day of week are both set: either one is enough, not both together.")
        cautions.append(Caution("day_or", text))
    return cautions


def _too_frequent(a_day: int) -> Caution:
    text = _("This fires more than once a minute: up to %(count)s runs a day.")
    return Caution("too_frequent", text % {"count": Grouped(a_day)})


def _gap(times: CronTimes, change: Change) -> Caution | None:
    """Tell of a wall time that the clocks skip."""
    wall = times.walls.next(change.at + change.before)
    if wall is None or wall >= change.at + change.after:
        return None
    skipped = {"time": _clock(wall), "date": _date(wall), "zone": times.zone.name}
    if times.fields.fixed:
        at = change.at
        text = _(
            "%(time)s does not exist on %(date)s in %(zone)s, when clocks go forward: "
            "it runs right after, at %(after)s (%(moment)s)."
        )
        return Caution(
            "gap",
            text % {**skipped, "after": _clock(at + change.after), "moment": _utc(at)},
            from_unix(at),
        )
    if _keeps_pace(times.fields, change):
        return None
    following = times.next(change.at - 1)
    if following is None:
        return None
    text = _(
        "%(time)s does not exist on %(date)s in %(zone)s, when clocks go forward: "
        "nothing runs for it, the next run is at %(moment)s."
    )
    return Caution("gap", text % {**skipped, "moment": _utc(following)}, from_unix(following))


def _overlap(times: CronTimes, change: Change) -> Caution | None:
    """Tell of a wall time that the clocks show twice."""
    wall = times.walls.next(change.at + change.after)
    if wall is None or wall >= change.at + change.before:
        return None
    first, second = wall - change.before, wall - change.after
    repeated = {
        "time": _clock(wall),
        "date": _date(wall),
        "zone": times.zone.name,
        "first": _utc(first),
        "second": _utc(second),
    }
    if times.fields.fixed:
        text = _(
            "%(time)s comes twice on %(date)s in %(zone)s, when clocks go back: "
            "it runs once, the first time (%(first)s)."
        )
        return Caution("overlap", text % repeated, from_unix(first))
    if _keeps_pace(times.fields, change):
        return None
    text = _(
        "%(time)s comes twice on %(date)s in %(zone)s, when clocks go back: "
        "it runs both times (%(first)s and %(second)s)."
    )
    return Caution("overlap", text % repeated, from_unix(first))


def _keeps_pace(fields: CronFields, change: Change) -> bool:
    """Tell whether a wildcard form runs on through the change as if nothing had happened."""
    return len(fields.hours) == 24 and abs(change.after - change.before) < DAY


def _short_months(fields: CronFields) -> Iterator[Caution]:
    """Tell of months without the 29th, 30th or 31st, where such a day is asked for by itself.

    A range that runs up to it from the 28th ("every day until the 31st") surprises nobody, nor does a
    pattern such as every other day.
    """
    if len(fields.days) > 7:
        return
    for day in (29, 30, 31):
        if day not in fields.days or frozenset(range(28, day)) <= fields.days:
            continue
        without = [month for month in fields.months if _LONGEST_MONTHS[month] < day]
        if without:
            text = _("The %(day)s does not exist in %(months)s: no run for it there.")
            names = listed([MONTHS[month - 1] for month in without], joint="or")
            yield Caution("short_months", text % {"day": ordinal(day), "months": names})
        elif day == 29 and 2 in fields.months:
            yield Caution("short_months", _("The 29th exists in February in leap years only."))


def _clock(wall: int) -> str:
    text = f"{from_unix(wall):%H:%M:%S}"
    return text.removesuffix(":00")


def _date(wall: int) -> Text:
    at = from_unix(wall)
    return _("%(year)04d-%(month)02d-%(day)02d") % {"year": at.year, "month": at.month, "day": at.day}


def _utc(unix: int) -> Text:
    return _("%(date)s %(time)s UTC") % {"date": _date(unix), "time": _clock(unix)}
