"""Judge an answer: is its status a success, may the request be sent again, and when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from schedules.http.errors import InvalidRequestError
from schedules.texts import gettext as _

RETRYABLE_4XX: Final = frozenset({408, 425, 429})
MAX_RETRY_AFTER: Final = 86_400
"""Seconds; a day. Longer wishes are cut, so that an answer cannot park a schedule for ever."""

_CODE = re.compile(r"[1-5](?:[0-9]{2}|xx)")


@dataclass(frozen=True, slots=True)
class SuccessCodes:
    """Which statuses are a success, as `"2xx"` or `"200,204,3xx"` says."""

    text: str
    codes: frozenset[str]

    @classmethod
    def read(cls, text: str) -> SuccessCodes:
        """Read the list. Raises `InvalidRequestError`."""
        codes = [code.strip().lower() for code in str(text).split(",")]
        for code in codes:
            if not _CODE.fullmatch(code):
                raise InvalidRequestError(
                    _(
                        "%(code)s is not a success code: write statuses and classes such as 2xx or 200,204,3xx."
                    )
                    % {"code": repr(code)}
                )
        return cls(text=",".join(codes), codes=frozenset(codes))

    def __contains__(self, status: int) -> bool:
        return str(status) in self.codes or f"{status // 100}xx" in self.codes


def is_retryable(status: int) -> bool:
    """Say whether another attempt may turn out otherwise: not for 3xx, nor 4xx but 408, 425, 429."""
    return status in RETRYABLE_4XX or not 300 <= status < 500


def retry_after(values: Iterable[str], *, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for (RFC 9110 10.2.3: seconds or a date), else None."""
    for value in values:
        text = value.strip()
        if re.fullmatch(r"[0-9]{1,12}", text):
            return float(min(int(text), MAX_RETRY_AFTER))
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return float(min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER))
    return None
