"""The mark `@schedulable`: a function's own word that schedules may call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final, TypeVar, overload

_MARK: Final = "__schedulable__"
_marked: dict[str, FunctionType] = {}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What `@schedulable` says of a function."""

    label: str = ""
    queue: str = ""


@overload
def schedulable(func: F, /) -> F: ...
@overload
def schedulable(*, label: str = "", queue: str = "") -> Callable[[F], F]: ...
def schedulable(func: Any = None, /, *, label: str = "", queue: str = "") -> Any:
    """Mark a function as one that schedules may call, whatever module it is in.

    Args:
        label: what people call it, for the list in the admin.
        queue: the queue it should run on, as a proposal.

    Raises:
        TypeError: it is not a function that a worker could find again by its path.
    """

    def mark(function: F) -> F:
        if not isinstance(function, FunctionType):
            raise TypeError(f"@schedulable marks functions; {function!r} is a {type(function).__name__}.")
        path = f"{function.__module__}.{function.__qualname__}"
        if not function.__qualname__.isidentifier() or function.__name__.startswith("_"):
            raise TypeError(
                f"@schedulable cannot mark {path}: a worker finds a function by its path, so it must be public "
                "and at the top of its module. (A decorator between the two should use functools.wraps.)"
            )
        setattr(function, _MARK, Mark(label=label, queue=queue))
        _marked[path] = function
        return function

    return mark if func is None else mark(func)


def mark_of(func: object) -> Mark | None:
    """Return what the mark says of `func`, None where it bears none."""
    mark = getattr(func, _MARK, None)
    return mark if isinstance(mark, Mark) else None


def marked_paths() -> list[str]:
    """Return the paths of all functions that were marked in this process, in the order of their import."""
    return list(_marked)
