"""The keeper's loop: at start and every so often it makes Redis equal to the database again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.db import close_old_connections
from redis import Redis

from schedules.conf import conf

logger = logging.getLogger(__name__)


class Keeper:
    """Runs in a thread beside the dispatcher; neither ever waits for the other."""

    def __init__(self, connection: Redis, *, reconcile: Callable[[], Any] | None = None) -> None:
        self.connection = connection
        self.reconcile = reconcile

    def run(self, stop: threading.Event) -> None:
        """Keep until told to stop. Whatever goes wrong is logged and tried again."""
        while True:
            self.run_once()
            if stop.wait(conf.reconcile_seconds):
                return

    def run_once(self) -> None:
        """Do one round."""
        close_old_connections()
        try:
            if self.reconcile is not None:
                self.reconcile()
        except Exception:
            # The outermost guard of one round: the database or Redis may be away, and comes back.
            logger.exception(
                "A round of the keeper failed; it is tried again.", extra={"action": "keeper.failed"}
            )
        finally:
            close_old_connections()
