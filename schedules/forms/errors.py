"""Errors that quote what was entered: in characters that play no tricks."""

from __future__ import annotations

from typing import Any

from django.forms.utils import ErrorList

from schedules.validators import visible_text


class VisibleErrors(ErrorList):
    """Shows control characters and marks that turn text around as what they are."""

    def get_context(self) -> dict[str, Any]:
        """Return what the template shows."""
        return {**super().get_context(), "errors": [visible_text(str(text)) for text in self]}
