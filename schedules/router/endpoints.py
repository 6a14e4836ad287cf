"""The functions that schedules may call, by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

ARGUMENTS: Final = ("delivery", "payload", "request")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class EndpointError(ValueError):
    """A function cannot be an endpoint as it is declared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One function and what a request to it may do. Sizes in bytes, durations in seconds."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    max_body: int
    runs_at_most: int
    remembers: int

    @property
    def is_async(self) -> bool:
        """Say whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)


_endpoints: dict[str, Endpoint] = {}


def job_endpoint(
    name: str, *, max_body: int = 1_048_576, runs_at_most: int = 900, remembers: int = 86_400
) -> Callable[[Function], Function]:
    """Make `POST /v1/jobs/<name>` run the decorated function, sync or async.

    The function takes any of `delivery` (a `Delivery`), `payload` (the body's JSON) and `request`
    (Django's), by these names. It returns a `HttpResponse`, or anything that JSON can say; None answers
    `{"ok": true}`.

    `max_body`: bytes; more is answered with 413. `runs_at_most`: seconds after which an execution counts as
    dead and another delivery may run. `remembers`: seconds for which a second delivery gets the first one's
    answer. Raises `EndpointError` for a bad or taken name and for arguments of other names.
    """
    if not _NAME.fullmatch(name):
        raise EndpointError(f"{name!r} cannot be an endpoint's name: letters, digits, - and _ are allowed.")

    def register(function: Function) -> Function:
        known = _endpoints.get(name)
        if known is not None and _place(known.function) != _place(function):
            raise EndpointError(f"The endpoint {name!r} is taken by {_place(known.function)}.")
        _endpoints[name] = Endpoint(
            name=name,
            function=function,
            arguments=_arguments(function),
            max_body=max_body,
            runs_at_most=runs_at_most,
            remembers=remembers,
        )
        return function

    return register


def find_endpoint(name: str) -> Endpoint | None:
    """Return the endpoint of this name."""
    return _endpoints.get(name)


def endpoint_names() -> tuple[str, ...]:
    """Return the names of all endpoints, sorted."""
    return tuple(sorted(_endpoints))


def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ARGUMENTS and parameter.kind is not parameter.POSITIONAL_ONLY:
            names.append(name)
        elif parameter.default is parameter.empty and parameter.kind not in {
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        }:
            raise EndpointError(
                f"{_place(function)} wants {name!r}, which a delivery does not have: "
                f"{', '.join(ARGUMENTS)} are given, by these names."
            )
    return tuple(names)


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"
