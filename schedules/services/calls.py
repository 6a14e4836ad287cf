"""Checks at the door: what was asked for is either sound, or refused with the value and what is allowed."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from django.conf import settings
from rq.job import Retry
from rq.utils import import_attribute

from schedules.services.errors import InvalidCallError

Function: TypeAlias = Callable[..., Any] | str

_PATH: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
MAX_INTERVAL: Final = 100 * 366 * 86400
"""Seconds in a century: what is longer is a mistake in the unit."""


def checked_id(value: UUID | str) -> str:
    """Return the id as text."""
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(value))
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidCallError(
            f'id is {value!r}: allowed is a UUID or its text, as in UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c").'
        ) from error


def checked_interval(interval: float | None, every_seconds: float | None) -> int:
    """Return the one interval that was given, in whole seconds; zero or less means "not scheduled"."""
    if (interval is None) == (every_seconds is None):
        raise InvalidCallError(
            f"interval is {interval!r} and every_seconds is {every_seconds!r}: give exactly one of the two."
        )
    name, value = ("interval", interval) if every_seconds is None else ("every_seconds", every_seconds)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value // 1
        or value > MAX_INTERVAL
    ):
        raise InvalidCallError(
            f"{name} is {value!r}: allowed is a whole number of seconds up to {MAX_INTERVAL}; zero or less "
            "takes the schedule out."
        )
    return int(value)


def checked_function(func: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the dotted path by which a worker finds the function, having looked whether it would."""
    path = func if isinstance(func, str) else _path_of(func)
    if not _PATH.fullmatch(path):
        raise InvalidCallError(
            f"func is {path!r}: allowed is a function, or its dotted path, as in 'reports.jobs.refresh'."
        )
    try:
        found = import_attribute(path)
    except Exception as error:  # importing runs the module, which may raise anything
        raise InvalidCallError(
            f"func is {path!r}, which cannot be imported ({type(error).__name__}: {error}). Allowed is a function "
            "at the top level of a module that the workers have, too."
        ) from error
    if not callable(found):
        raise InvalidCallError(f"func is {path!r}, which is a {type(found).__name__}, not a function.")
    if not isinstance(func, str) and found is not func and not inspect.isbuiltin(func):
        raise InvalidCallError(
            f"func is {func!r}, but {path!r} is something else, so a worker would run the wrong function. "
            "Allowed is a function at the top level of a module."
        )
    try:
        inspect.signature(found).bind(*args, **kwargs)
    except TypeError as error:
        raise InvalidCallError(
            f"The arguments do not fit {path}{inspect.signature(found)}: {error} "
            f"(args {tuple(args)!r}, kwargs {dict(kwargs)!r})."
        ) from error
    except ValueError:
        pass  # a function of C without a signature: the worker will see
    return path


def _path_of(func: Any) -> str:
    name = getattr(func, "__qualname__", None)
    module = getattr(func, "__module__", None)
    if not callable(func) or name is None or module is None:
        raise InvalidCallError(
            f"func is {func!r}: allowed is a function at the top level of a module, or its dotted path."
        )
    if "<lambda>" in name or "<locals>" in name:
        kind = "a lambda" if "<lambda>" in name else "defined inside another function"
        raise InvalidCallError(
            f"func is {func!r}, which is {kind}: a worker could not import it. Move it to the top level of a module."
        )
    if inspect.ismethod(func) and not inspect.isclass(func.__self__):
        raise InvalidCallError(
            f"func is {func!r}, a method of an object, which a worker does not have. Use a function at the top "
            "level of a module and pass what it needs as arguments."
        )
    if module == "__main__":
        raise InvalidCallError(
            f"func is {func!r} of the script that is running: a worker could not import it. Move it to a module."
        )
    return f"{module}.{name}"


def checked_arguments(
    args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and keyword arguments as tuple and dictionary."""
    if args is not None and not isinstance(args, list | tuple):
        raise InvalidCallError(
            f"args is {args!r}: allowed is a list or a tuple, with one argument too: args=({args!r},)."
        )
    if kwargs is not None and (
        not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs)
    ):
        raise InvalidCallError(f"kwargs is {kwargs!r}: allowed is a dictionary with names as its keys.")
    return tuple(args or ()), dict(kwargs or {})


def checked_queue(name: str) -> str:
    """Return the queue's name, if it is configured."""
    known = getattr(settings, "RQ_QUEUES", {})
    if name not in known:
        raise InvalidCallError(f"queue is {name!r}: allowed are {', '.join(sorted(known))} (RQ_QUEUES).")
    return name


def checked_timeout(timeout: float | None) -> int | None:
    """Return a run's time limit in seconds."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or (timeout < 1 and timeout != -1):
        raise InvalidCallError(
            f"timeout is {timeout!r}: allowed is a number of seconds of 1 or more, -1 for no limit, "
            "or None for the queue's."
        )
    return int(timeout)


def checked_result_ttl(result_ttl: int | None) -> int | None:
    """Return how long RQ keeps a finished job, in seconds."""
    if result_ttl is None:
        return None
    if isinstance(result_ttl, bool) or not isinstance(result_ttl, int) or result_ttl < -1:
        raise InvalidCallError(
            f"result_ttl is {result_ttl!r}: allowed is a whole number of seconds, 0 to drop the result at once, "
            "-1 to keep it for ever, or None for RQ's default."
        )
    return result_ttl


def checked_retry(retry: Retry | int | None) -> Retry | None:
    """Return RQ's retry rule."""
    if retry is None or isinstance(retry, Retry):
        return retry
    if isinstance(retry, bool) or not isinstance(retry, int) or retry < 1:
        raise InvalidCallError(
            f"retry is {retry!r}: allowed is a number of retries of 1 or more, "
            "rq.Retry(max=3, interval=[10, 60]), or None."
        )
    return Retry(max=retry)


def checked_moment(name: str, moment: datetime) -> datetime:
    """Return a moment as aware UTC; a naive one is taken as UTC, with a warning."""
    if not isinstance(moment, datetime):
        raise InvalidCallError(f"{name} is {moment!r}: allowed is a datetime with a time zone.")
    if moment.tzinfo is None:
        warnings.warn(
            f"{name} {moment.isoformat()} has no time zone and is taken as UTC; give it one.",
            RuntimeWarning,
            stacklevel=3,
        )
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
