"""Functions that tests schedule."""

from __future__ import annotations

from typing import Any


def add(left: int, right: int = 1) -> int:
    """Add two numbers."""
    return left + right


def echo(*args: Any, **kwargs: Any) -> Any:
    """Return what came in."""
    return [list(args), kwargs]


async def add_later(left: int, right: int) -> int:
    """Add two numbers, as a coroutine."""
    return left + right


def fail(message: str = "it did not work") -> None:
    """Fail."""
    raise ValueError(message)
