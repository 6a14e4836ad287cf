"""Await a condition, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, seconds: float = 10, what: str = "") -> T:
    """Return what the condition gives as soon as it is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s: {what or condition}")
        time.sleep(0.02)
