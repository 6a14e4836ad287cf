"""How long something took or is away, in the fewest words that still say it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def long(length: timedelta) -> str:
    """Return a length in one unit, rounded down; of one and a half of a unit, the smaller one says more.

    >>> [long(timedelta(seconds=s)) for s in (90, 190, 5400, 100_000, 400 * 86_400)]
    ['90 seconds', '3 minutes', '90 minutes', '27 hours', '400 days']
    """
    seconds = max(0, int(length.total_seconds()))
    if seconds < 2 * _MINUTE:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < 2 * _HOUR:
        count = seconds // _MINUTE
        return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}
    if seconds < 2 * _DAY:
        count = seconds // _HOUR
        return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}
    if seconds < 730 * _DAY:
        count = seconds // _DAY
        return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}
    count = seconds // (365 * _DAY)
    return ngettext("%(count)d year", "%(count)d years", count) % {"count": count}


def from_now(moment: datetime, *, now: datetime) -> str:
    """Return "in 4 hours" or "9 minutes ago"."""
    return ago(now - moment) if moment < now else ahead(moment - now)


def ago(length: timedelta) -> str:
    """Return how long ago, in one unit."""
    return _("%(long)s ago") % {"long": long(length)}


def ahead(length: timedelta) -> str:
    """Return in how long, in one unit."""
    return _("in %(long)s") % {"long": long(length)}


def listening(count: int) -> str:
    """Return how many workers listen, as a sentence."""
    return ngettext("%(count)d worker listens.", "%(count)d workers listen.", count) % {"count": count}


def decimal(value: float) -> str:
    """Return a number with one digit after the point, or after the comma where that is how it is written."""
    return number_format(f"{value:.1f}")


def seconds_text(seconds: float | None) -> str:
    """Return a measured length as people read it; empty for None.

    >>> [seconds_text(s) for s in (0.0004, 0.25, 3.14, 75, 3725, 90_000, -2.5)]
    ['0 ms', '250 ms', '3.1 s', '1 min 15 s', '1 h 2 min', '25 h 0 min', '−2.5 s']
    """
    if seconds is None:
        return ""
    sign = "−" if seconds < 0 else ""
    size = abs(seconds)
    if size < 0.9995:
        return sign + _("%(count)d ms") % {"count": int(size * 1000)}
    if size < 59.95:
        return sign + _("%(count)s s") % {"count": decimal(size)}
    whole = round(size)
    if whole < 3600:
        return sign + _("%(minutes)d min %(seconds)d s") % {"minutes": whole // 60, "seconds": whole % 60}
    minutes = whole // 60
    return sign + _("%(hours)d h %(minutes)d min") % {"hours": minutes // 60, "minutes": minutes % 60}
