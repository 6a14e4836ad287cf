"""`manage.py sync_schedules`: make Redis equal to the database, on every deploy."""

from __future__ import annotations

import gc
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from schedules.environment import broken_overrides
from schedules.services import ServiceError
from schedules.sync import Difference, Synchronizer


class Command(BaseCommand):
    """Parses and prints; `Synchronizer` does the work."""

    help = (
        "Makes Redis equal to the database: a difference, safe while schedulers and workers run. "
        "Entries that were not made from rows are never touched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--dry-run", action="store_true", help="say what would change and change nothing")
        parser.add_argument(
            "--check", action="store_true", help="change nothing, and exit with 1 if something differs"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, apply unless told not to, and say what was done."""
        broken = broken_overrides()
        if broken:
            raise CommandError("\n".join(str(error) for error in broken))
        synchronizer = Synchronizer()
        # All that is made of the rows is in use until the end: looking for garbage took a fifth of the time.
        gc.disable()
        try:
            difference = synchronizer.compare()
            only_look = options["dry_run"] or options["check"]
            result = difference if only_look else synchronizer.apply(difference)
        except ServiceError as error:
            raise CommandError(str(error)) from error
        finally:
            gc.enable()
        self._print(result, would="would be " if only_look else "", verbosity=options["verbosity"])
        if result.problems:
            raise CommandError(
                "\n".join(f"{result.name_of(key)}: {problem}" for key, problem in result.problems.items())
            )
        if options["check"] and not difference.is_empty:
            sys.exit(1)

    def _print(self, difference: Difference, *, would: str, verbosity: int) -> None:
        groups: Sequence[tuple[str, list[str]]] = (
            ("added", difference.added),
            ("changed", difference.changed),
            ("removed", difference.removed),
        )
        if verbosity >= 1:
            for word, ids in groups:
                for name in sorted(map(difference.name_of, ids)):
                    self.stdout.write(f"{would}{word}: {name}")
        counts = ", ".join(f"{len(ids)} {word}" for word, ids in groups)
        self.stdout.write(f"{counts}, {difference.kept} kept")
