"""The errors of the engine's floor."""

from __future__ import annotations


class EngineError(Exception):
    """The engine cannot do what was asked."""


class PayloadError(EngineError, ValueError):
    """A function or its arguments cannot be carried over to a worker."""


class ConflictError(EngineError):
    """An entry kept changing while it was being registered."""
