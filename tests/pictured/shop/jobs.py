"""Jobs of a shop."""

from __future__ import annotations


def sync_orders(since_minutes: int, *, full: bool = False) -> int:
    """Pull new orders from the market places."""
    return since_minutes


def rebuild_search_index(language: str = "en") -> str:
    """Rebuild the search index of the catalogue."""
    return language


def clear_sessions() -> int:
    """Remove the sessions that have expired."""
    return 0


def import_catalogue(supplier: str, *, dry_run: bool = False) -> int:
    """Import a supplier's catalogue."""
    return 0


async def pull_prices(feed: str) -> int:
    """Pull a price feed."""
    return 0


def switch_prices(list_name: str) -> None:
    """Put a price list in force."""
