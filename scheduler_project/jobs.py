"""Demo jobs: plain functions in a module named `jobs`, which is all that a schedule needs."""

from __future__ import annotations

import logging
from datetime import date

from django.utils import timezone

logger = logging.getLogger(__name__)


def greet(name: str = "world") -> str:
    """Greet somebody; the answer is the run's result."""
    logger.info("Saying hello to %s", name)
    return f"Hello, {name}!"


def count_down_the_year() -> str:
    """Say how many days are left in this year."""
    today = timezone.localdate()
    days = (date(today.year, 12, 31) - today).days
    logger.info("Counted %s days", days)
    return f"{days} days left in {today.year}"
