"""`manage.py rqscheduler`: django-rq's command, with the keeper beside the dispatcher."""

from __future__ import annotations

import sys
import threading
from typing import Any

import django_rq
from django.db import connections
from django_rq.management.commands.rqscheduler import Command as StockCommand

from schedules.keeper import Keeper
from schedules.sync import Synchronizer

KEEPER_STOP_SECONDS = 3


class Command(StockCommand):
    """Dispatches what is due and keeps the ledger. Any number may run; one of them keeps."""

    help = "Moves what is due into RQ's queues and keeps the ledger of what became of it."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = threading.Event()
        # A connection of its own: the keeper's blocking reads and the dispatcher never wait for each other.
        keeper = Keeper(django_rq.get_connection(options["queue"]), reconcile=Synchronizer().reconcile)

        def keep() -> None:
            try:
                keeper.run(stop)
            finally:
                connections.close_all()

        thread = threading.Thread(target=keep, name="keeper", daemon=True)
        thread.start()
        # Threads take turns every 5 ms unless Python is told otherwise: so late a busy keeper would make a slot.
        sys.setswitchinterval(0.0005)
        try:
            super().handle(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            stop.set()
            thread.join(KEEPER_STOP_SECONDS)
