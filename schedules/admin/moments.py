"""Moments and durations as people read them: in the schedule's zone, from now, and in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext

from schedules.health.words import decimal

NEAR: Final = timedelta(days=6)
"""Within so long a weekday says enough; beyond it the date is needed."""

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400


def zone_named(name: str) -> tzinfo:
    """Return the zone of that name; UTC for one that is not known here, so that a page still opens."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def short(moment: datetime, *, zone: tzinfo, now: datetime) -> str:
    """Return "Mon 08:00 CET" for a moment that is near, and "3 Feb 2027 08:00 CET" for one that is not."""
    local = moment.astimezone(zone)
    day = "D" if abs(moment - now) < NEAR else pgettext("date format", "j M Y")
    return f"{format_date(local, day)} {_time_of_day(local)} {zone_letters(local)}"


def full(moment: datetime, *, zone: tzinfo) -> str:
    """Return "Mon 23 Nov 2026 08:00 CET"."""
    local = moment.astimezone(zone)
    day = format_date(local, pgettext("date format", "D j M Y"))
    return f"{day} {_time_of_day(local)} {zone_letters(local)}"


def _time_of_day(local: datetime) -> str:
    return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"


def zone_letters(local: datetime) -> str:
    """Return "CET", or "UTC-03" where a zone has no letters of its own."""
    letters = local.tzname() or ""
    return f"UTC{letters}" if letters[:1] in ("+", "-") else letters


def time_tag(moment: datetime, text: str, *, zone: tzinfo = UTC) -> SafeString:
    """Return `<time>` with the exact moment in it, and in full as its title."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        full(moment, zone=zone),
        text,
    )


def from_now(moment: datetime, *, now: datetime) -> str:
    """Return "in 4 hours" or "9 minutes ago": one unit, rounded down."""
    seconds = (moment - now).total_seconds()
    return _ahead(seconds) if seconds >= 0 else _ago(-seconds)


def lasting(seconds: float | None) -> str:
    """Return a duration: "0.2 s", "38 s", "4 min 10 s", "2 h 5 min"; empty for none."""
    if seconds is None:
        return ""
    if seconds < 10:
        return gettext("%(seconds)s s") % {"seconds": decimal(max(seconds, 0))}
    if seconds < 2 * MINUTE:
        return gettext("%(seconds)s s") % {"seconds": f"{seconds:.0f}"}
    minutes, rest = divmod(round(seconds), MINUTE)
    if minutes < 60:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}


def _ahead(seconds: float) -> str:
    if seconds < 2 * MINUTE:
        count = int(seconds)
        text = ngettext("in %(count)d second", "in %(count)d seconds", count)
    elif seconds < 2 * HOUR:
        count = int(seconds // MINUTE)
        text = ngettext("in %(count)d minute", "in %(count)d minutes", count)
    elif seconds < 2 * DAY:
        count = int(seconds // HOUR)
        text = ngettext("in %(count)d hour", "in %(count)d hours", count)
    elif seconds < 730 * DAY:
        count = int(seconds // DAY)
        text = ngettext("in %(count)d day", "in %(count)d days", count)
    else:
        count = int(seconds // (365 * DAY))
        text = ngettext("in %(count)d year", "in %(count)d years", count)
    return text % {"count": count}


def _ago(seconds: float) -> str:
    if seconds < 2 * MINUTE:
        count = int(seconds)
        text = ngettext("%(count)d second ago", "%(count)d seconds ago", count)
    elif seconds < 2 * HOUR:
        count = int(seconds // MINUTE)
        text = ngettext("%(count)d minute ago", "%(count)d minutes ago", count)
    elif seconds < 2 * DAY:
        count = int(seconds // HOUR)
        text = ngettext("%(count)d hour ago", "%(count)d hours ago", count)
    elif seconds < 730 * DAY:
        count = int(seconds // DAY)
        text = ngettext("%(count)d day ago", "%(count)d days ago", count)
    else:
        count = int(seconds // (365 * DAY))
        text = ngettext("%(count)d year ago", "%(count)d years ago", count)
    return text % {"count": count}
