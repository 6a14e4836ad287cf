"""What the templates of the admin pages ask for."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.filter
def has_errors(fieldset: Any) -> bool:
    """Say whether a field of this fieldset has an error, so that what is folded is opened."""
    return any(line.errors() for line in fieldset)
