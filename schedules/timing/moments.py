"""Moments as whole unix seconds, the form in which this package computes.

Every slot lies on a whole second, because the id of its job ends in the slot's unix time. The moments of
a *trigger* (`anchor`, `at`, `starts_at`, `ends_at`) are therefore rounded **down** to the whole second,
here and nowhere else. Moments that are *asked about* (`after`, `before`, `now`) are compared exactly.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schedules.timing.errors import TimingError, shown

DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = -62_135_596_800
"""The first second that a datetime can hold: 0001-01-01T00:00:00Z."""
LAST = 253_402_300_799
"""The last second that a datetime can hold: 9999-12-31T23:59:59Z."""

_from_timestamp = datetime.fromtimestamp


def unix_floor(moment: datetime) -> int:
    """Give the unix second that holds `moment` (aware), rounded down, also before 1970.

    Raises `TimingError` for a naive datetime: which moment it means would be a guess.
    """
    try:
        since = moment - _EPOCH
    except TypeError:
        raise not_aware(moment) from None
    return since.days * DAY + since.seconds


def unix_ceil(moment: datetime) -> int:
    """Give the first whole unix second that is not earlier than `moment` (aware)."""
    try:
        since = moment - _EPOCH
    except TypeError:
        raise not_aware(moment) from None
    return since.days * DAY + since.seconds + (1 if since.microseconds else 0)


def from_unix(unix: int) -> datetime:
    """Give the aware UTC datetime of a unix second between `FIRST` and `LAST`."""
    return _from_timestamp(unix, UTC)


def whole_second(moment: object, what: str) -> datetime:
    """Check a moment of a trigger and round it down to the whole second, in UTC."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise TimingError(f"{what} {shown(moment)} is not a datetime with a time zone.")
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise TimingError(f"{what} {shown(moment)} is outside the years 1 to 9999.") from None


def not_aware(moment: object) -> TimingError:
    """Build the error for a moment without a time zone."""
    return TimingError(f"{shown(moment)} is not a datetime with a time zone.")


def seconds(duration: timedelta) -> int:
    """Give a UTC offset as whole seconds."""
    return duration.days * DAY + duration.seconds
