"""Arguments as they may be shown: what is named like a secret is not."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MASK: Final = "••••••"
ONE_LINE: Final = 100
_SECRET: Final = re.compile(
    r"passw(or)?d|passphrase|secret|token|api[_-]?key|apikey|private[_-]?key|authorization|credential|access[_-]?key"
    r"|connection[_-]?string|^(pwd|auth|dsn|cookie|session)$",
    re.IGNORECASE,
)
_IN_URL: Final = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")


def masked(value: Any) -> Any:
    """Return a JSON value with everything masked that a key calls secret, and passwords in URLs.

    >>> masked({"user": 1, "api_key": "x", "to": ["redis://:pw@host/0"]})
    {'user': 1, 'api_key': '••••••', 'to': ['redis://:••••••@host/0']}
    """
    if isinstance(value, dict):
        return {
            key: MASK if _SECRET.search(str(key)) and item not in (None, "") else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    if isinstance(value, str):
        return _IN_URL.sub(rf"\1:{MASK}@", value)
    return value


def shown_json(value: Any) -> str:
    """Return a JSON value as text, masked; over several lines where one would be long."""
    safe = masked(value)
    line = json.dumps(safe, ensure_ascii=False, default=str)
    return line if len(line) <= ONE_LINE else json.dumps(safe, ensure_ascii=False, indent=2, default=str)
