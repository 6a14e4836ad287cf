"""The dispatcher: moves what is due from the scheduled set into RQ's queues, once, whatever happens.

Plugged in with `RQ = {"SCHEDULER_CLASS": "schedules.engine.Scheduler"}`. How a slot becomes a job, which key is
written by whom, and why each point of a crash is safe: `docs/engine.md`.
"""

from schedules.engine.clock import ManualClock, RedisClock
from schedules.engine.entries import Entries, Progress
from schedules.engine.errors import ConflictError, EngineError, PayloadError
from schedules.engine.scheduler import Scheduler

__all__ = [
    "ConflictError",
    "EngineError",
    "Entries",
    "ManualClock",
    "PayloadError",
    "Progress",
    "RedisClock",
    "Scheduler",
]
