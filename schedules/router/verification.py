"""Is a delivery genuine? A plain function: bytes and headers in, a `Delivery` out. No framework, no clock.

The signature is the Standard Webhooks specification's. It covers the id, the moment and the body; nothing
else of a request is proven, and nothing else is used to decide anything: the idempotency key *is* the
signed id.
"""

from __future__ import annotations

import hmac
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import unquote

from schedules.http.caller import read_job_id
from schedules.http.signing import read_keys

TOLERANCE: Final = 300
"""Seconds by which the clocks of sender and receiver may differ."""
MAX_SIGNATURES: Final = 16

# No dot in an id: the signed content is "id.timestamp.body", and its borders must not be movable.
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TIMESTAMP = re.compile(r"[0-9]{1,11}")


class DeliveryRefusedError(Exception):
    """A delivery is not genuine, or was seen before."""


class BodyError(ValueError):
    """The body of a genuine delivery is not JSON."""


class Replays(Protocol):
    """Remembers what was seen, for all processes that serve the same endpoints."""

    def first_time(self, key: str, seconds: int) -> bool:
        """Remember the key for so many seconds; say whether it was unknown. Atomic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A genuine call of a schedule."""

    key: str
    """The slot's job id: the same on every attempt. Signed. '' for an unsigned local call without one."""
    body: bytes
    """Signed."""
    schedule_id: str = ""
    """From the key; '' when the caller is no schedule."""
    scheduled_for: datetime | None = None
    """The slot, from the key; None when the caller is no schedule."""
    schedule_name: str = ""
    """As the request says; not signed."""
    attempt: int = 1
    """As the request says; not signed."""
    content_type: str = ""

    @property
    def payload(self) -> Any:
        """Return the body's JSON; None when the body is empty or of another type. Raises `BodyError`."""
        if not self.body or not _is_json(self.content_type):
            return None
        try:
            return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise BodyError(f"The body is not JSON: {error}.") from None


def verify_delivery(
    *,
    body: bytes,
    headers: Mapping[str, str],
    keys: Sequence[str],
    now: datetime,
    replays: Replays,
    tolerance: int = TOLERANCE,
) -> Delivery:
    """Return the delivery when a key signed it, within `tolerance` seconds of `now`, for the first time.

    `headers` may be of any case. Every key is compared with every signature, in constant time.
    Raises `DeliveryRefusedError`; `SigningKeyError` when a key cannot be used.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (
        lower.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    if not keys:
        raise DeliveryRefusedError("There are no signing keys here, so no signature can be checked.")
    if not message_id or not timestamp or not signatures:
        raise DeliveryRefusedError("The request is not signed.")
    if not _ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise DeliveryRefusedError("The headers of the signature cannot be read.")
    if not _is_signed(body=body, message_id=message_id, timestamp=timestamp, given=signatures, keys=keys):
        raise DeliveryRefusedError("No signature matches.")
    if abs(now.timestamp() - int(timestamp)) > tolerance:
        raise DeliveryRefusedError(f"The request was signed more than {tolerance} s before or after now.")
    if lower.get("idempotency-key", message_id) != message_id:
        raise DeliveryRefusedError("The Idempotency-Key is not the signed webhook-id.")
    # What was signed at the far end of the tolerance stays valid for twice as long.
    if not replays.first_time(f"{message_id}.{timestamp}", 2 * tolerance + 1):
        raise DeliveryRefusedError("The request was delivered before: a replay.")
    return read_delivery(body=body, headers=lower, key=message_id)


def read_delivery(*, body: bytes, headers: Mapping[str, str], key: str) -> Delivery:
    """Return what a request tells of its schedule; `headers` in lower case. Proves nothing."""
    schedule_id, scheduled_for = read_job_id(key)
    attempt = headers.get("x-schedule-attempt", "")
    return Delivery(
        key=key,
        body=body,
        schedule_id=schedule_id,
        scheduled_for=scheduled_for,
        schedule_name=unquote(headers.get("x-schedule-name", "")),
        attempt=int(attempt) if re.fullmatch(r"[1-9][0-9]{0,5}", attempt) else 1,
        content_type=headers.get("content-type", ""),
    )


def _is_signed(*, body: bytes, message_id: str, timestamp: str, given: str, keys: Sequence[str]) -> bool:
    # The library's own verify() reads the clock itself and fails with assorted errors on malformed input;
    # its sign() is the part that holds the specification.
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    moment = datetime.fromtimestamp(int(timestamp), tz=UTC)
    matches = False
    for signer in read_keys(keys):
        expected = signer.sign(message_id, moment, text).encode()
        for signature in given.split(" ")[:MAX_SIGNATURES]:
            matches |= hmac.compare_digest(expected, signature.encode("utf-8", "surrogateescape"))
    return matches


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind in {"", "application/json"} or kind.endswith("+json")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@dataclass
class MemoryReplays:
    """Remembers within one process: for tests and for backends that are a single process.

    The oldest entries go first when there are more than `limit`.
    """

    limit: int = 100_000
    _until: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first_time(self, key: str, seconds: int) -> bool:
        """Remember the key; say whether it was unknown."""
        now = datetime.now(UTC).timestamp()
        with self._lock:
            if self._until.get(key, 0) > now:
                return False
            self._until.pop(key, None)
            while len(self._until) >= self.limit:
                del self._until[next(iter(self._until))]
            self._until[key] = now + seconds
            return True
