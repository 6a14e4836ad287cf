"""Reading the event stream as the keeper will."""

from __future__ import annotations

import json
from typing import Any

import redis as redis_py

from schedules.engine import keys
from schedules.engine.events import each_of


def read_events(connection: redis_py.Redis) -> list[dict[str, Any]]:
    """Return every event on the stream, in order."""
    return [
        dict(event)
        for _, fields in connection.xrange(keys.EVENTS)
        for event in each_of(json.loads(fields[b"events"]))
    ]
