"""Jobs of the accounts."""

from __future__ import annotations


def month_end_invoices(*, send: bool = True) -> int:
    """Write the invoices of the month."""
    return 0


def exchange_rates(*currencies: str) -> dict[str, float]:
    """Fetch the day's exchange rates."""
    return {}


def remind_open_invoices(days: int = 14) -> int:
    """Remind customers of open invoices."""
    return 0
