"""Whether a function takes the arguments that it is to be called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schedules.targets.errors import ArgumentsError


def check_arguments(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise `ArgumentsError` unless `func(*args, **kwargs)` fits its signature.

    A function may know more than its signature says (that a URL must be an allowed one): where it has an
    attribute `check_arguments`, that is called with the same arguments, and its `ValueError` is the answer.
    """
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        text = str(error)
        in_args = "positional arguments" in text or ("missing" in text and "keyword-only" not in text)
        raise ArgumentsError(
            f"{getattr(func, '__name__', func)} does not take these arguments: {text}. It takes {signature}.",
            where="args" if in_args else "kwargs",
        ) from None
    check = getattr(func, "check_arguments", None)
    if callable(check):
        try:
            check(*args, **kwargs)
        except ValueError as error:
            raise ArgumentsError(str(error), where="args" if args else "kwargs") from error
