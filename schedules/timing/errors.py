"""What this package says when it is given something that it cannot use."""

from __future__ import annotations


class TimingError(ValueError):
    """A trigger, a policy or a moment cannot be used; the text is one sentence for the user."""


def shown(value: object) -> str:
    """Quote a refused value for an error's sentence: printable, and never longer than a line."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
