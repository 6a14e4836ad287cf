"""A module that is no jobs module, with a marked function."""

from __future__ import annotations

from schedules.targets import schedulable


@schedulable(label="Daily digest", queue="low")
def digest(user_id: int = 1) -> None:
    """Send the digest."""


def unmarked() -> None: ...
