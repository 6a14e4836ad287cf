"""Moments as people read them, in the schedule's zone. Lengths are in `schedules.health.words`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext

NEAR: Final = timedelta(days=6)
"""Within so long a weekday says enough; beyond it the date is needed."""


def zone_named(name: str) -> tzinfo:
    """Return the zone of that name; UTC for one that is not known here, so that a page still opens."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def midnight(now: datetime) -> datetime:
    """Return when the day of `now` began, on the clock of the project's zone."""
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


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
