"""The one public door to the scheduler for code: `from schedules.services import SchedulerService`."""

from schedules.services.errors import (
    InvalidCallError,
    SchedulerUnavailableError,
    ServiceError,
    UnknownScheduleError,
)
from schedules.services.scheduler import SchedulerService

__all__ = [
    "InvalidCallError",
    "SchedulerService",
    "SchedulerUnavailableError",
    "ServiceError",
    "UnknownScheduleError",
]
