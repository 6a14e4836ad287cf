"""rq-scheduler as the library is, for what other programs put into the same Redis."""

from __future__ import annotations

from typing import Any

import redis as redis_py
from rq_scheduler import Scheduler


def stock_scheduler(connection: redis_py.Redis, **options: Any) -> Scheduler:
    """Return the library's own class on this Redis."""
    return Scheduler(connection=connection, **options)
