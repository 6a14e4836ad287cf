"""Who is calling: what a request says of the job that sends it."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rq import get_current_job

_SLOT_ID = re.compile(
    r"(?P<schedule>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})_(?P<slot>[0-9]{1,11})", re.I
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """The job on whose behalf a request is sent."""

    key: str
    """The slot's job id, the same on every attempt; what the receiver may run once."""
    schedule_id: str = ""
    schedule_name: str = ""
    scheduled_for: datetime | None = None
    attempt: int = 1
    repeated: bool = False
    """The job ran before, whether or not the number of the attempt is known."""

    def headers(self) -> dict[str, str]:
        """Return the headers that tell of the job, and a fresh W3C `traceparent`."""
        named = {
            "Idempotency-Key": self.key,
            "X-Schedule-Id": self.schedule_id,
            # Headers carry ASCII: other letters travel as UTF-8 escapes, as in a URL.
            "X-Schedule-Name": quote(self.schedule_name, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~").strip(),
            "X-Schedule-Time": moment_text(self.scheduled_for),
            "X-Schedule-Attempt": str(self.attempt),
            "traceparent": f"00-{_hex(16)}-{_hex(8)}-01",
        }
        return {name: value for name, value in named.items() if value}


def moment_text(moment: datetime | None) -> str:
    """Return a moment as RFC 3339 in UTC, to the second; '' for none."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_job_id(job_id: str) -> tuple[str, datetime | None]:
    """Return the schedule's id and the slot that a slot's job id is made of; ('', None) for other jobs."""
    found = _SLOT_ID.fullmatch(job_id)
    if found is None:
        return "", None
    return found["schedule"].lower(), datetime.fromtimestamp(int(found["slot"]), tz=UTC)


def current_caller() -> Caller:
    """Return the caller from the RQ job that is running; outside of one, a call of its own with a new key."""
    job: Any = get_current_job()
    if job is None:
        return Caller(key=f"call-{uuid.uuid4().hex}")
    job_id = str(job.id)
    schedule_id, slot = read_job_id(job_id)
    known_slot = getattr(job, "scheduled_for", None)
    attempt = getattr(job, "attempt", None)
    return Caller(
        # RQ itself allows no other characters; an id of another origin must not break the signed content.
        key=job_id if _ID.fullmatch(job_id) else f"job-{uuid.uuid5(uuid.NAMESPACE_URL, job_id).hex}",
        schedule_id=str(getattr(job, "schedule_id", None) or schedule_id),
        schedule_name=str(getattr(job, "schedule_name", None) or ""),
        scheduled_for=known_slot if isinstance(known_slot, datetime) else slot,
        attempt=attempt if isinstance(attempt, int) else (getattr(job, "number_of_retries", None) or 0) + 1,
        # RQ itself does not count the retries after an exception; it only leaves the end of the run before.
        repeated=getattr(job, "ended_at", None) is not None,
    )


def _hex(size: int) -> str:
    # All zeros is the one value that the W3C recommendation forbids.
    while True:
        value = secrets.token_hex(size)
        if value.strip("0"):
            return value
