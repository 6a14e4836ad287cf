"""What an operator should know about a trigger before saving it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schedules.timing.slots import next_slot
from schedules.timing.triggers import Trigger


@dataclass(frozen=True, slots=True)
class Caution:
    """One thing to know: a stable `code`, a sentence, and the moment (UTC) that it is about, if any."""

    code: str
    text: str
    at: datetime | None = None


def warnings(trigger: Trigger, after: datetime) -> list[Caution]:
    """List the cautions for a trigger, as seen at `after`."""
    if next_slot(trigger, after) is None:
        return [Caution("never_again", "This schedule never fires again.")]
    return []
