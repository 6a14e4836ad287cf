"""Jobs of the marketing."""

from __future__ import annotations


def newsletter(audience: str) -> int:
    """Send the newsletter to an audience."""
    return 0


def remind_carts(after_hours: int = 4) -> int:
    """Remind customers of what they left in the cart."""
    return 0
