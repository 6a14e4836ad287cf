"""Names of months, weekdays and dates, and how several of them are told: "1 to 5, 8 and 9"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from schedules.texts import Text, listed, pgettext
from schedules.texts import gettext as _
from schedules.timing.fields import LAST_DAY, LAST_WEEKDAY, DayOfWeek

MONTHS: Final = (
    _("January"), _("February"), _("March"), _("April"), _("May"), _("June"), _("July"),
    _("August"), _("September"), _("October"), _("November"), _("December"),
)  # fmt: skip
_WEEKLY: Final = (
    pgettext("every", "Monday"),
    pgettext("every", "Tuesday"),
    pgettext("every", "Wednesday"),
    pgettext("every", "Thursday"),
    pgettext("every", "Friday"),
    pgettext("every", "Saturday"),
    pgettext("every", "Sunday"),
)
_PLACED: Final = (
    pgettext("on the first", "Monday"),
    pgettext("on the first", "Tuesday"),
    pgettext("on the first", "Wednesday"),
    pgettext("on the first", "Thursday"),
    pgettext("on the first", "Friday"),
    pgettext("on the first", "Saturday"),
    pgettext("on the first", "Sunday"),
)
_PLACES: Final = {
    1: pgettext("on the", "first %(weekday)s"),
    2: pgettext("on the", "second %(weekday)s"),
    3: pgettext("on the", "third %(weekday)s"),
    4: pgettext("on the", "fourth %(weekday)s"),
    5: pgettext("on the", "fifth %(weekday)s"),
    LAST_DAY: pgettext("on the", "last %(weekday)s"),
}
_ORDINALS: Final = {
    1: pgettext("a date", "%(number)dst"),
    2: pgettext("a date", "%(number)dnd"),
    3: pgettext("a date", "%(number)drd"),
}
_ORDINAL: Final = pgettext("a date", "%(number)dth")


def moment_words(moment: datetime) -> Text:
    """Say a moment in UTC: "1 March 2026 at 12:00 UTC"."""
    return _("%(day)d %(month)s %(year)d at %(time)s UTC") % {
        "day": moment.day,
        "month": MONTHS[moment.month - 1],
        "year": moment.year,
        "time": f"{moment:%H:%M:%S}".removesuffix(":00"),
    }


def month_words(months: Sequence[int]) -> str:
    """Name months: "January to March and July"."""
    return runs_of(months, lambda month: MONTHS[month - 1])


def weekday_words(weekdays: Sequence[DayOfWeek]) -> str:
    """Name weekdays, all with their place in the month or all without: "Monday to Wednesday", "first Monday"."""
    plain = [day for day in weekdays if isinstance(day, int)]
    if plain:
        return runs_of(plain, _WEEKLY.__getitem__)
    placed = [day for day in weekdays if isinstance(day, tuple)]
    return listed([_PLACES[place] % {"weekday": _PLACED[day]} for day, place in placed])


def date_words(days: frozenset[int], *, joint: str = "and") -> Text:
    """Name days of a month: "the 1st to 5th and last day"."""
    words = _runs(sorted(day for day in days if day > 0), ordinal)
    if LAST_WEEKDAY in days:
        words.append(pgettext("on the", "last weekday"))
    if LAST_DAY in days:
        words.append(pgettext("on the", "last day"))
    return pgettext("dates", "the %(dates)s") % {"dates": listed(words, joint=joint)}


def ordinal(number: int) -> Text:
    """Give 1st, 2nd, 3rd, 4th, 11th, 21st."""
    template = _ORDINAL if number in (11, 12, 13) else _ORDINALS.get(number % 10, _ORDINAL)
    return template % {"number": number}


def runs_of(values: Sequence[int], named: Callable[[int], str] = str) -> str:
    """Name sorted values, three or more in a row as a range: "1 to 5, 8 and 9"."""
    return listed(_runs(values, named))


def _runs(values: Sequence[int], named: Callable[[int], str]) -> list[str]:
    words: list[str] = []
    start = 0
    for end in range(len(values)):
        if end + 1 < len(values) and values[end + 1] == values[end] + 1:
            continue
        if end - start >= 2:
            words.append(
                _("%(first)s to %(last)s") % {"first": named(values[start]), "last": named(values[end])}
            )
        else:
            words += [named(value) for value in values[start : end + 1]]
        start = end + 1
    return words
