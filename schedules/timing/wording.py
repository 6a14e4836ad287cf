"""Say in one English sentence when a trigger fires; `schedules.texts` makes it one of another language.

Of the libraries that describe cron expressions, none is right about everything that is accepted here:
`cron-descriptor` knows neither ``#`` with names nor that two day fields mean OR, and `cronsim.explain` says
"every second hour" where it means every other one. The words here are made from the values that fire,
never from the text that was typed, so that they cannot disagree with the slots.
"""

from __future__ import annotations

from datetime import datetime

from schedules.texts import Text, listed, ngettext, npgettext, pgettext
from schedules.texts import gettext as _
from schedules.timing.calendar_words import date_words, moment_words, month_words, runs_of, weekday_words
from schedules.timing.cron import cron_times
from schedules.timing.fields import CronFields
from schedules.timing.triggers import CronTrigger, IntervalTrigger, Trigger

_LISTED_MOST = 8
"""Up to so many times of day are written out."""


def describe(trigger: Trigger, *, with_zone: bool = True) -> Text:
    """Give one plain English sentence without a full stop: "Every weekday at 07:00, Europe/Paris".

    Without the zone, it is left out of the sentence. Raises `TimingError` for an expression or a zone that cannot
    be read.
    """
    if isinstance(trigger, IntervalTrigger):
        sentence = _duration(trigger.every)
    elif isinstance(trigger, CronTrigger):
        sentence = _sentence(cron_times(trigger.expression, trigger.timezone).fields)
        if with_zone:
            sentence = _("%(sentence)s, %(zone)s") % {"sentence": sentence, "zone": trigger.timezone}
    else:
        sentence = _("Once, on %(moment)s") % {"moment": moment_words(trigger.at)}
    if trigger.starts_at is not None:
        sentence = _bounded(_("%(sentence)s, from %(moment)s"), sentence, trigger.starts_at)
    if trigger.ends_at is not None:
        sentence = _bounded(_("%(sentence)s, until %(moment)s"), sentence, trigger.ends_at)
    return sentence.as_sentence()


def _bounded(template: Text, sentence: Text, moment: datetime) -> Text:
    return template % {"sentence": sentence, "moment": moment_words(moment)}


def _duration(every: int) -> Text:
    # One day of an interval is always 24 hours, which "every day" would hide.
    if every % 86_400 == 0 and every > 86_400:
        days = every // 86_400
        return ngettext("every %(count)d day", "every %(count)d days", days) % {"count": days}
    if every % 3_600 == 0:
        return _hours(every // 3_600)
    return _minutes(every // 60) if every % 60 == 0 else _seconds(every)


def _seconds(count: int) -> Text:
    return ngettext("every second", "every %(count)d seconds", count) % {"count": count}


def _minutes(count: int) -> Text:
    return ngettext("every minute", "every %(count)d minutes", count) % {"count": count}


def _hours(count: int) -> Text:
    return ngettext("every hour", "every %(count)d hours", count) % {"count": count}


def _sentence(fields: CronFields) -> Text:
    days = day_words(fields)
    times = _listed_times(fields)
    if times is not None:
        return _("%(days)s at %(times)s") % {"days": days or _("every day"), "times": times}
    pace = _pace_with_seconds(fields) if fields.seconds != (0,) else _pace(fields)
    return _("%(pace)s, %(days)s") % {"pace": pace, "days": days} if days else pace


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


def _pace(fields: CronFields) -> Text:
    """Say how often it fires during a day, in whole minutes."""
    hours, minutes = fields.hours, fields.minutes
    step = _step(minutes, 60)
    if step:
        pace = _minutes(step)
        if len(hours) == 24:
            return pace
        if _is_run(hours):
            return _from_to(pace, _clock(hours[0], 0), _clock(hours[-1], minutes[-1]))
        return _of_hours(pace, hours)
    if len(minutes) == 1:
        minute = minutes[0]
        if len(hours) == 24:
            return _at_minute(_hours(1), minute)
        if _step(hours, 24):
            return _at_minute(_hours(hours[1]), minute)
        stride = _stride(hours)
        if stride:
            return _from_to(_hours(stride), _clock(hours[0], minute), _clock(hours[-1], minute))
    stride = _stride(minutes)
    if stride > 1:
        pace = _("%(pace)s from minute %(first)d to minute %(last)d") % {
            "pace": _minutes(stride),
            "first": minutes[0],
            "last": minutes[-1],
        }
        return _of_hours(pace, hours)
    at = ngettext("at minute %(minutes)s", "at minutes %(minutes)s", len(minutes))
    return _of_hours(at % {"minutes": runs_of(minutes)}, hours)


def _from_to(pace: Text, first: str, last: str) -> Text:
    return _("%(pace)s from %(first)s to %(last)s") % {"pace": pace, "first": first, "last": last}


def _at_minute(pace: Text, minute: int) -> Text:
    return _("%(pace)s at minute %(minute)d") % {"pace": pace, "minute": minute} if minute else pace


def _pace_with_seconds(fields: CronFields) -> Text:
    minutes, hours, seconds = fields.minutes, fields.hours, fields.seconds
    step = _step(seconds, 60)
    if step:
        pace = _seconds(step)
        if len(minutes) == 60 and len(hours) == 24:
            return pace
    else:
        at = ngettext("at second %(seconds)s", "at seconds %(seconds)s", len(seconds))
        pace = at % {"seconds": runs_of(seconds)}
    if len(minutes) == 60:
        pace = _("%(pace)s of every minute") % {"pace": pace}
        return pace if len(hours) == 24 else _of_hours(pace, hours)
    of = ngettext("%(pace)s of minute %(minutes)s", "%(pace)s of minutes %(minutes)s", len(minutes))
    return _of_hours(of % {"pace": pace, "minutes": runs_of(minutes)}, hours)


def _of_hours(pace: Text, hours: tuple[int, ...]) -> Text:
    if len(hours) == 24:
        return _("%(pace)s of every hour") % {"pace": pace}
    of = ngettext("%(pace)s of hour %(hours)s", "%(pace)s of hours %(hours)s", len(hours))
    return of % {"pace": pace, "hours": runs_of(hours)}


def day_words(fields: CronFields) -> Text | None:
    """Say on which days an expression fires; None for every day."""
    every_day_of_month = fields.days >= frozenset(range(1, 32))
    every_weekday = fields.weekdays >= frozenset(range(7))
    months = () if len(fields.months) == 12 else fields.months
    every_day = in_months(_("every day"), months) if months else None
    if fields.day_and:
        if every_day_of_month and every_weekday:
            return every_day
        if every_day_of_month:
            return _weekdays(fields, months)
        if every_weekday:
            return _on_dates(fields, months)
        return _("%(weekdays)s, if that is %(dates)s of the month") % {
            "weekdays": _weekdays(fields, months),
            "dates": date_words(fields.days, joint="or"),
        }
    if every_day_of_month or every_weekday:
        return every_day
    return _("%(dates)s and also %(weekdays)s") % {
        "dates": _on_dates(fields, months),
        "weekdays": _weekdays(fields, months),
    }


def in_months(days: Text, months: tuple[int, ...]) -> Text:
    """Add the months, unless it is every month."""
    if not months:
        return days
    text = ngettext("%(days)s in %(months)s", "%(days)s in %(months)s", len(months))
    return text % {"days": days, "months": month_words(months)}


def _weekdays(fields: CronFields, months: tuple[int, ...]) -> Text:
    plain = tuple(sorted(day for day in fields.weekdays if isinstance(day, int)))
    placed = sorted(
        (day for day in fields.weekdays if isinstance(day, tuple)), key=lambda day: (day[1] % 9, day[0])
    )
    words: list[Text] = []
    if plain:
        if plain == (0, 1, 2, 3, 4):
            every = _("every weekday")
        elif len(plain) == 7:
            every = _("every day")
        else:
            every = _("every %(weekdays)s") % {"weekdays": weekday_words(plain)}
        words.append(in_months(every, months))
    if placed:
        # Translators: "on the last Friday of every month", "on the first Monday of May".
        of = (
            ngettext("on the %(days)s of %(months)s", "on the %(days)s of %(months)s", len(months))
            if months
            else _("on the %(days)s of every month")
        )
        words.append(of % {"days": weekday_words(placed), "months": month_words(months)})
    if len(words) < 2:
        return words[0]
    return _("%(first)s and %(last)s") % {"first": words[0], "last": words[1]}


def _on_dates(fields: CronFields, months: tuple[int, ...]) -> Text:
    dates = date_words(fields.days)
    if not months:
        return pgettext("dates", "on %(dates)s of every month") % {"dates": dates}
    template = (
        # Translators: "on the 1st and 15th of May".
        npgettext("dates", "on %(dates)s of %(months)s", "on %(dates)s of %(months)s", len(months))
        if all(day > 0 for day in fields.days)
        # Translators: "on the 1st and last day of May": words stand among the numbers.
        else npgettext("last day", "on %(dates)s of %(months)s", "on %(dates)s of %(months)s", len(months))
    )
    return template % {"dates": dates, "months": month_words(months)}


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
