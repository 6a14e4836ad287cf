"""The other name of a jobs module, with a list of what is public."""

from __future__ import annotations

__all__ = ["listed"]


def listed() -> None: ...


def unlisted() -> None: ...
