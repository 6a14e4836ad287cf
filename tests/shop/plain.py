"""A module that nothing allows."""

from __future__ import annotations


def drop_everything() -> None: ...


def checked(number: int) -> None: ...


def _at_most_three(number: int) -> None:
    if number > 3:
        raise ValueError(f"{number} is more than 3.")


checked.check_arguments = _at_most_three  # type: ignore[attr-defined]
