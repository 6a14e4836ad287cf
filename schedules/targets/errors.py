"""What this package says of a function that cannot be scheduled."""

from __future__ import annotations


class TargetError(ValueError):
    """A function cannot be scheduled; the text is a sentence for the user."""


class TargetNotFoundError(TargetError):
    """The path leads to no function: it is malformed, its module cannot be imported, or has no such name."""


class TargetMalformedError(TargetNotFoundError):
    """The text is no dotted path: no deploy will bring what it names."""


class TargetNotAllowedError(TargetError):
    """The path leads to something that may not be scheduled."""


class ArgumentsError(TargetError):
    """The function does not take these arguments.

    Attributes:
        where: "args" or "kwargs", whichever is wrong.
    """

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where
