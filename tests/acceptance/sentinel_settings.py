"""Settings of processes that find their Redis through Sentinel, as docs/deploying.md shows it."""

from __future__ import annotations

import os

from tests.acceptance.settings import *  # noqa: F403

_QUEUE = {
    "SENTINELS": [("127.0.0.1", int(port)) for port in os.environ["SENTINEL_PORTS"].split(",")],
    "MASTER_NAME": "main",
    "DB": 0,
    "DEFAULT_TIMEOUT": 180,
}
RQ_QUEUES = {name: dict(_QUEUE) for name in ("default", "high", "low", "archive")}
