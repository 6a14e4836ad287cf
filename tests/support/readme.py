"""Reading the documents: their fenced blocks, the commands in them, their links."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support.programs import ROOT


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]


def blocks_of(document: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    text = (ROOT / document).read_text("utf-8")
    return [Block(language, body) for language, body in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)]


def commands_of(document: str) -> list[str]:
    """Return the commands of the shell blocks of a document, one a line."""
    lines = [
        line for block in blocks_of(document) if block.language == "sh" for line in block.text.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]
