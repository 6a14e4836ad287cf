"""`manage.py runs`: the ledger in a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from schedules.keeper.listing import (
    HEADING,
    Filter,
    Follower,
    ListingError,
    as_json,
    as_line,
    read_since,
    read_statuses,
)
from schedules.models import Run, RunStatus

FOLLOW_SECONDS = 1.0


class Command(BaseCommand):
    """Parses and prints; `schedules.keeper.listing` knows which runs and how."""

    help = "Lists runs, the oldest first: what was planned, what became of it, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--schedule", default="", metavar="NAME", help="of one schedule, by name or id")
        parser.add_argument(
            "--status",
            action="append",
            default=[],
            help=f"with this status, or these: {', '.join(RunStatus.values)}",
        )
        parser.add_argument("--since", default="", help="planned since: 90s, 15m, 6h, 1d, 2w or a date")
        parser.add_argument("--limit", type=int, default=50, help="the newest so many (default: 50)")
        parser.add_argument("--follow", action="store_true", help="go on with what happens; Ctrl-C ends it")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument(
            "--fail", action="store_true", help="exit with 1 if any of them failed, for use in monitoring"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """List, and follow if asked."""
        try:
            wanted = Filter(
                schedule=options["schedule"],
                statuses=read_statuses(options["status"]),
                since=read_since(options["since"]) if options["since"] else None,
            )
        except ListingError as error:
            raise CommandError(str(error)) from error
        if options["limit"] < 1:
            raise CommandError(f"--limit is {options['limit']}: allowed is 1 or more.")
        try:
            self._list(wanted, options)
        except BrokenPipeError:
            # Whoever read it (head, less) has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            pass
        if options["fail"] and wanted.has_failures():
            sys.exit(1)

    def _list(self, wanted: Filter, options: dict[str, Any]) -> None:
        found = wanted.newest(options["limit"])
        is_terminal = self._is_terminal
        if not options["json"] and is_terminal:
            self.stdout.write(self.style.MIGRATE_LABEL(HEADING))
        self._print(found, options)
        if not found and not options["json"] and not options["follow"] and is_terminal:
            self.stdout.write("No runs.")
        if options["follow"]:
            follower = Follower(wanted, seen=found)
            while True:
                time.sleep(FOLLOW_SECONDS)
                self._print(follower.changes(), options)

    def _print(self, runs: Iterable[Run], options: dict[str, Any]) -> None:
        width = shutil.get_terminal_size().columns if self._is_terminal else None
        for run in runs:
            if options["json"]:
                self.stdout.write(as_json(run))
            else:
                self.stdout.write(self._styled(run.status, as_line(run, width=width)))
        self.stdout.flush()

    def _styled(self, status: str, line: str) -> str:
        """Colour a line by what became of the run; plain when piped or with --no-color."""
        if status in (RunStatus.FAILED, RunStatus.ABANDONED):
            return self.style.ERROR(line)
        if status in (RunStatus.MISSED, RunStatus.SKIPPED, RunStatus.CANCELED):
            return self.style.WARNING(line)
        return self.style.SUCCESS(line) if status == RunStatus.SUCCEEDED else line

    @property
    def _is_terminal(self) -> bool:
        return bool(getattr(self.stdout, "isatty", lambda: False)())
