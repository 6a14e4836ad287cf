"""The forms of a schedule: what a person fills in, and what is said back."""

from __future__ import annotations

from schedules.forms.http_request import REQUEST_FIELDS
from schedules.forms.schedule import ScheduleForm
from schedules.forms.when import WHEN, WhenForm, when_of

__all__ = ["REQUEST_FIELDS", "WHEN", "ScheduleForm", "WhenForm", "when_of"]
