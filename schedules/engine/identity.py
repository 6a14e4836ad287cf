"""A slot's job id: `<schedule id>_<unix time of the slot>`. RQ ids hold only letters, digits, `_` and `-`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """What a job's id tells. Both are None for a job that no schedule made."""

    schedule_id: str | None
    scheduled_for: datetime | None
    """The slot (aware, UTC); None for a manual start, which has no slot."""


def identity_of(job_id: str) -> JobIdentity:
    """Read a job's id.

    >>> identity_of("cc1dface-9213-4eed-8cb2-0edba6b2159c_1764000000").scheduled_for
    datetime.datetime(2025, 11, 24, 16, 0, tzinfo=datetime.timezone.utc)
    """
    head, separator, tail = job_id.rpartition("_")
    if not separator:
        return JobIdentity(None, None)
    if tail.startswith("now-"):
        return JobIdentity(head, None) if _is_uuid(head) else JobIdentity(None, None)
    if not (tail.isascii() and tail.isdigit()) or len(tail) > 12:
        return JobIdentity(None, None)
    return JobIdentity(head, datetime.fromtimestamp(int(tail), UTC))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
