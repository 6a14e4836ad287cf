"""Decide whether values make sense, and say what would. Knows no rows."""

from __future__ import annotations

from schedules.validators.schedule import Errors, schedule_errors
from schedules.validators.triggers import trigger_errors
from schedules.validators.values import (
    addresses,
    check_no_nul,
    check_plain_text,
    json_text,
    tidy_tags,
    visible_text,
)

__all__ = [
    "Errors",
    "addresses",
    "check_no_nul",
    "check_plain_text",
    "json_text",
    "schedule_errors",
    "tidy_tags",
    "trigger_errors",
    "visible_text",
]
