"""The rows: `Schedule`, the saved instruction, and `Run`, the ledger. They know nothing of Redis."""

from __future__ import annotations

from schedules.models.choices import Alarm, Kind, MisfirePolicy, OverlapPolicy, RunStatus, RunTrigger
from schedules.models.position import LedgerPosition
from schedules.models.run import Run
from schedules.models.schedule import Schedule
from schedules.models.spec_of import NotScheduledError
from schedules.models.statistics import Statistics

__all__ = [
    "Alarm",
    "Kind",
    "LedgerPosition",
    "MisfirePolicy",
    "NotScheduledError",
    "OverlapPolicy",
    "Run",
    "RunStatus",
    "RunTrigger",
    "Schedule",
    "Statistics",
]
