"""`manage.py schedules_status`: the banners of the admin in a terminal, and an exit code for scripts."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from schedules.health import Level, findings, gather, summary

MARKS = {Level.ERROR: "✕", Level.WARNING: "!", Level.INFO: "i"}


class Command(BaseCommand):
    """Parses and prints; `schedules.health` does the work."""

    help = (
        "Says whether schedules run: Redis, scheduler, workers, in sync, functions. Exits with 1 when something is "
        "wrong (S100 to S105). Default: text."
    )
    requires_system_checks = ()  # it is asked when something is wrong, and the checks may be what is

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--json", action="store_true", help="print JSON (default: text)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look at every row, print what is found, and exit with 1 if it is wrong."""
        facts = gather(exact=True)
        found = findings(facts)
        parts = summary(facts, found)
        wrong = any(finding.is_wrong for finding in found)
        if options["json"]:
            body = {
                "status": "wrong" if wrong else "ok",
                "findings": [
                    {"code": finding.code, "level": str(finding.level), "text": finding.text}
                    | ({"command": finding.command} if finding.command else {})
                    for finding in found
                ],
                "health": {
                    name: {"level": part.level, "text": part.text}
                    for name, part in zip(("redis", "scheduler", "workers", "in_sync"), parts, strict=True)
                },
                "schedules": {
                    "total": facts.database.schedules,
                    "active": facts.database.active,
                    "paused": facts.database.paused,
                },
            }
            self.stdout.write(json.dumps(body, ensure_ascii=False, indent=2))
        else:
            for part in parts:
                self.stdout.write(f"{part.name}: {part.text}")
            for finding in found:
                self.stdout.write(f"{MARKS[finding.level]} {finding.code} {finding.text}")
                if finding.command:
                    self.stdout.write(f"    {finding.command}")
            if not found:
                self.stdout.write("Nothing is wrong.")
        if wrong:
            sys.exit(1)
