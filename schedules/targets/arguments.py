"""Whether a function takes the arguments that it is to be called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schedules.targets.errors import ArgumentsError
from schedules.texts import gettext as _
from schedules.texts import text_of


class _Written(str):
    """An annotation as its author wrote it: postponed annotations would be shown in quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature_text(func: Callable[..., Any]) -> str:
    """Return the parameters of `func` as written, `(user_id: int, *, full: bool = False) -> int`."""
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [
        parameter.replace(annotation=_written(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    return str(
        signature.replace(parameters=parameters, return_annotation=_written(signature.return_annotation))
    )


def _written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


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
            _("%(function)s does not take these arguments: %(problem)s. It takes %(signature)s.")
            % {
                "function": getattr(func, "__name__", func),
                "problem": text,
                "signature": signature_text(func),
            },
            where="args" if in_args else "kwargs",
        ) from None
    check = getattr(func, "check_arguments", None)
    if callable(check):
        try:
            check(*args, **kwargs)
        except ValueError as error:
            raise ArgumentsError(text_of(error), where="args" if args else "kwargs") from error
