"""Filters of the pages of runs: moments in a zone, lengths, words with a shape, texts that cannot play tricks."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import template
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from schedules.health import words
from schedules.models import RunStatus, RunTrigger
from schedules.validators import visible_text

register = template.Library()

SHOWN_CHARACTERS: Final = 65_536
"""Of a text, so much of the end is shown."""
STATUS_WORDS: Final[dict[str, Any]] = {
    RunStatus.QUEUED: gettext_lazy("Queued"),
    RunStatus.RUNNING: gettext_lazy("Running"),
    RunStatus.SUCCEEDED: gettext_lazy("OK"),
    RunStatus.FAILED: gettext_lazy("Failed"),
    RunStatus.SKIPPED: gettext_lazy("Skipped"),
    RunStatus.MISSED: gettext_lazy("Missed"),
    RunStatus.CANCELED: gettext_lazy("Canceled"),
    RunStatus.ABANDONED: gettext_lazy("Abandoned"),
}
TRIGGER_WORDS: Final[dict[str, Any]] = {
    RunTrigger.SCHEDULE: gettext_lazy("schedule"),
    RunTrigger.MANUAL: gettext_lazy("run now"),
    RunTrigger.CATCHUP: gettext_lazy("catch-up"),
    RunTrigger.RETRY: gettext_lazy("run again"),
}


def zone_named(name: str) -> tzinfo:
    """Return the zone of that name; the current one where there is none."""
    try:
        return ZoneInfo(name) if name else timezone.get_current_timezone()
    except (KeyError, ValueError, OSError):
        return UTC


def zone_letters(local: datetime) -> str:
    """Return "CET", or "UTC-03" where a zone has no letters of its own."""
    letters = local.tzname() or ""
    return f"UTC{letters}" if letters[:1] in ("+", "-") else letters


@register.filter
def moment(value: datetime | None, zone: str = "") -> SafeString | str:
    """Show a moment in a zone: "Mon 23 Nov 09:00:03 CET", with the exact one in UTC as its title."""
    if value is None:
        return ""
    local = value.astimezone(zone_named(zone))
    is_far = abs((timezone.now() - value).days) > 180
    day = pgettext("date format", "D j M Y") if is_far else pgettext("date format", "D j M")
    return _time(value, f"{format_date(local, day)} {local:%H:%M:%S} {zone_letters(local)}")


@register.filter
def clock(value: datetime | None, zone: str = "") -> SafeString | str:
    """Show a moment of today or near: "Mon 09:00 CET"."""
    if value is None:
        return ""
    local = value.astimezone(zone_named(zone))
    return _time(value, f"{format_date(local, 'D H:i')} {zone_letters(local)}")


@register.filter
def precise(value: datetime | None, zone: str = "") -> SafeString | str:
    """Show the time of day to the millisecond, in a zone: "09:00:00.100"."""
    if value is None:
        return ""
    local = value.astimezone(zone_named(zone))
    return _time(value, f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}")


@register.filter
def utc(value: datetime | None, zone: str = "") -> SafeString | str:
    """Show a moment of another zone in UTC, too: "08:00:03 UTC"; empty where that zone is no other."""
    if value is None or not value.astimezone(zone_named(zone)).utcoffset():
        return ""
    return _time(value, f"{format_date(value.astimezone(UTC), 'H:i:s')} UTC")


@register.filter
def from_now(value: datetime | None) -> str:
    """Say how long ago, or in how long."""
    return "" if value is None else words.from_now(value, now=timezone.now())


@register.filter
def seconds(value: float | None) -> str:
    """Show a measured length."""
    return words.seconds_text(value)


@register.filter
def status_word(value: str) -> str:
    """Return the word for a status."""
    return str(STATUS_WORDS.get(value, _("Unknown")))


@register.filter
def trigger_word(value: str) -> str:
    """Return the word for a trigger."""
    return str(TRIGGER_WORDS.get(value, value))


@register.filter
def pill(value: str) -> SafeString:
    """Show a status with its shape and colour."""
    return format_html('<span class="sch-pill" data-state="{}">{}</span>', value, status_word(value))


@register.filter
def visible(text: str | None) -> str:
    r"""Make characters visible that hide or turn what stands around them; colours of a terminal are dropped.

    >>> visible("a\x00b\u202ec")
    'a⟨00⟩b⟨202E⟩c'
    """
    return visible_text(text or "")


@register.filter
def tail(text: str | None) -> str:
    """Return the end of a long text."""
    return (text or "")[-SHOWN_CHARACTERS:]


@register.filter
def first_line(text: str | None, length: int = 160) -> str:
    """Return the first line, not too long."""
    line = visible((text or "")[:2000]).strip().partition("\n")[0]
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _time(value: datetime, text: str) -> SafeString:
    exact = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html('<time datetime="{}" title="{}">{}</time>', exact, exact, text)
