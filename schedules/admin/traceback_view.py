"""A traceback as a reader wants it: frames of the project in the open, those of libraries folded."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FRAME: Final = re.compile(r'^[\s|+-]*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$')
_MARKS: Final = ("site-packages", "dist-packages", "<frozen ", "/lib/python3", "\\lib\\", "<string>")
_STANDARD_LIBRARY: Final = sysconfig.get_path("stdlib")
MOST_LINES: Final = 2000
"""Lines that are looked at; the ledger keeps 64 KB of a traceback."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text, in order; together they are all of it."""

    kind: str
    """`own` or `library` for frames, `text` for what stands between them."""
    lines: str
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happened: the innermost frame of the project, else of all."""

    file: str
    line: int
    name: str


def parts_of(text: str) -> list[Part]:
    """Return the pieces of a traceback. What is none at all comes back as one text."""
    found: list[Part] = []
    for kind, lines in _pieces(text):
        frames = int(kind != "text")
        if found and found[-1].kind == kind:
            last = found.pop()
            found.append(Part(kind, f"{last.lines}\n{lines}", last.frames + frames))
        else:
            found.append(Part(kind, lines, frames))
    return found


def place_of(text: str) -> Place | None:
    """Return where the last exception of a traceback was raised."""
    own: Place | None = None
    last: Place | None = None
    for line in text.splitlines()[-MOST_LINES:]:
        found = _FRAME.match(line)
        if found is None:
            if line.startswith("Traceback"):
                own = last = None  # of a chain of exceptions, the last one counts
            continue
        last = Place(found["file"], int(found["line"][:9]), found["name"] or "")
        if not _is_library(last.file):
            own = last
    return own or last


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    kind, gathered = "text", list[str]()
    for line in lines[:MOST_LINES]:
        found = _FRAME.match(line)
        if found is not None:
            if gathered:
                yield kind, "\n".join(gathered)
            kind, gathered = "library" if _is_library(found["file"]) else "own", [line]
        elif kind != "text" and not line.startswith(("    ", "  |", "\t")):
            yield kind, "\n".join(gathered)
            kind, gathered = "text", [line]
        else:
            gathered.append(line)
    gathered += lines[MOST_LINES:]
    if gathered:
        yield kind, "\n".join(gathered)


def _is_library(file: str) -> bool:
    return any(mark in file for mark in _MARKS) or file.startswith(_STANDARD_LIBRARY)
