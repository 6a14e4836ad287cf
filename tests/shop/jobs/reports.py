"""A module in the jobs package."""

from __future__ import annotations


def refresh() -> None:
    """Refresh the report."""
