"""Turn what a server sent into text that can be kept: bounded, scrubbed, no control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from schedules.http.named_secrets import Scrubber

MAX_HEADER_SHOWN: Final = 500
# PostgreSQL stores no U+0000; terminals obey the rest.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_LATIN: Final = frozenset({"iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"})


def one_line(text: str, length: int) -> str:
    """Return the text on one line, cut to `length` characters."""
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def shown_headers(items: Iterable[tuple[str, str]], scrubber: Scrubber) -> tuple[tuple[str, str], ...]:
    """Return an answer's headers for display; cookies are credentials and are left out."""
    return tuple(
        (
            one_line(scrubber.scrub(name), 100),
            "[not shown]"
            if name.lower() == "set-cookie"
            else one_line(scrubber.scrub(value), MAX_HEADER_SHOWN),
        )
        for name, value in items
    )


def body_text(content: bytes, headers: Mapping[str, str], scrubber: Scrubber, *, cut: bool) -> str:
    """Return a body as text; a note in brackets when it is compressed or not text."""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if content and encoding not in {"", "identity"}:
        return f"[{len(content)} bytes, compressed although no compression was asked for; not unpacked]"
    if b"\x00" in content:
        return f"[{len(content)} bytes that are not text]"
    charset = _CHARSET.search(headers.get("Content-Type", ""))
    latin = charset is not None and charset[1].lower() in _LATIN
    text = content.decode("cp1252" if latin else "utf-8", errors="replace")
    return _CONTROL.sub("\ufffd", scrubber.scrub(text.replace("\r\n", "\n"), cut=cut))
