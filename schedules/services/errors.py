"""The errors of the service: each says what was wrong with which value, and what is allowed."""

from __future__ import annotations


class ServiceError(Exception):
    """Scheduling did not work."""


class InvalidCallError(ServiceError, ValueError):
    """What was asked for cannot be scheduled; the message names the value and what is allowed."""


class UnknownScheduleError(ServiceError, LookupError):
    """No schedule of this id is registered."""


class SchedulerUnavailableError(ServiceError):
    """Redis does not answer. Nothing was lost that was confirmed before."""
