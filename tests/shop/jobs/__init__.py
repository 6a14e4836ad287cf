"""Jobs of the app, as a package; some of them are traps."""

from __future__ import annotations

import functools
import os  # noqa: F401 - a module in a jobs module is no target
from builtins import eval as evaluate  # noqa: F401 - a trap
from collections.abc import AsyncIterator, Callable, Iterator
from os import system  # noqa: F401 - a trap
from shutil import rmtree  # noqa: F401 - a trap
from subprocess import run
from typing import Any

from tests.shop.jobs.reports import refresh  # noqa: F401 - of this very package
from tests.shop.marked import digest  # noqa: F401 - marked where it is defined
from tests.shop.plain import drop_everything  # noqa: F401 - a trap

CALLS: list[Any] = []


def logged(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def sync_orders(since_minutes: int, *, full: bool = False) -> int:
    """Pull new orders
    from the shop.

    More about it.
    """
    CALLS.append((since_minutes, full))
    return since_minutes


async def sync_stock() -> None:
    """Pull the stock."""


@logged
def decorated(number: int) -> int:
    return number


wrapped_system = functools.wraps(run)(lambda *args: None)
partial_run = functools.partial(run, "true")
anonymous = lambda: None  # noqa: E731 - a trap


def numbers() -> Iterator[int]:
    yield 1


async def letters() -> AsyncIterator[str]:
    yield "a"


def _private() -> None: ...


public_name_of_private = _private


class Job:
    def run(self) -> None: ...

    def __call__(self) -> None: ...


instance = Job()
bound = instance.run
