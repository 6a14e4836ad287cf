"""The admin pages of the app."""

from __future__ import annotations

from schedules.admin.run import RunAdmin
from schedules.admin.schedule import ScheduleAdmin

__all__ = ["RunAdmin", "ScheduleAdmin"]
