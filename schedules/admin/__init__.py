"""The admin pages of the app."""

from __future__ import annotations

from django.contrib import admin

from schedules.admin import queue_pages
from schedules.admin.run import RunAdmin
from schedules.admin.schedule import ScheduleAdmin

__all__ = ["RunAdmin", "ScheduleAdmin"]

queue_pages.register(admin.site)
