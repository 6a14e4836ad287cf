"""How far a schedule has come: one text, so that one comparison in a script sees every change of it."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

from schedules.engine.errors import EngineError

_FORM: Final = re.compile(
    r"([0-9a-f]+) (-|-?[0-9]{1,12}) (-|-?[0-9]{1,12}) ([0-9]{1,15})(?: ([A-Za-z0-9_ -]*))?"
)
"""Strict, because the move script gets the text as it stands: nothing that was read may end a JSON text."""


class State(NamedTuple):
    """`<generation> <next slot> <last slot> <runs> <active job> ...` in Redis; `-` stands for none.

    Slots are unix seconds. Active jobs are those that may still be queued or running; the move script looks.
    """

    generation: str
    """Random, new with every registering: an entry that was deleted and made again is never taken for the old one."""
    slot: int | None
    last_slot: int | None
    """The newest slot that is settled: dispatched, skipped or missed. None after it comes back."""
    runs: int
    active: str = ""

    def to_text(self) -> str:
        """Return the wire form."""
        text = f"{self.generation} {_text(self.slot)} {_text(self.last_slot)} {self.runs}"
        return f"{text} {self.active}" if self.active else text

    @classmethod
    def from_text(cls, text: str) -> State:
        """Read the wire form.

        Raises:
            EngineError: it is none.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise EngineError(f"Its state is {text[:80]!r}, not 'generation slot last-slot runs'.")
        generation, slot, last_slot, runs, active = found.groups("")
        return cls(generation, _slot(slot), _slot(last_slot), int(runs), active)


def new_generation() -> str:
    """Return a generation that was never used."""
    return secrets.token_hex(8)


def _text(slot: int | None) -> str:
    return "-" if slot is None else str(slot)


def _slot(text: str) -> int | None:
    return None if text == "-" else int(text)
