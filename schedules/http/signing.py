"""Sign requests after the Standard Webhooks specification, through its reference library.

The signed content is `id.timestamp.body`. With several keys the header carries one signature per key,
separated by spaces, so that keys are exchanged without a gap: add the new key here, then at the receiver,
then drop the old.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks.webhooks import Webhook

from schedules.http.errors import SigningKeyError

KEY_PREFIX: Final = "whsec_"
KEY_BYTES: Final = range(24, 65)
"""How long a key may be, in bytes, as the specification says."""


def read_key(key: str, *, position: int = 1) -> Webhook:
    """Return the signer of one key. Raises `SigningKeyError`, which names the position and never the key.

    The library decodes leniently: it drops what is no base64, so that a plain password would become a key
    of a few bytes without a word.
    """
    try:
        raw = base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) not in KEY_BYTES:
        raise SigningKeyError(
            f"SCHEDULES_SIGNING_KEYS: key {position} is not {KEY_PREFIX} followed by base64 of "
            f"{KEY_BYTES.start} to {KEY_BYTES.stop - 1} random bytes."
        )
    return Webhook(raw)


def read_keys(keys: Sequence[str]) -> tuple[Webhook, ...]:
    """Return the signers of all keys. Raises `SigningKeyError`."""
    return tuple(read_key(key, position=number) for number, key in enumerate(keys, start=1))


def sign(*, keys: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature per key, in their order.

    `timestamp` is in whole seconds since 1970; the body is UTF-8 (the library signs text).
    Raises `SigningKeyError`.
    """
    moment = datetime.fromtimestamp(timestamp, tz=UTC)
    text = body.decode("utf-8")
    return " ".join(signer.sign(message_id, moment, text) for signer in read_keys(keys))
