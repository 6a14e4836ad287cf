"""Edits rows in every way there is, as other programs do: one line of JSON in, `ok` out.

`{"how": "save" | "update" | "delete" | "raw delete" | "create", "name": ..., "columns": {...}}`
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self

from tests.support.programs import ROOT


class Editor:
    """A process that has Django loaded and edits rows. A context manager."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.editor"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # that Redis is away is said at each save
            text=True,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def do(self, how: str, name: str, **columns: Any) -> None:
        """Edit one row, and return when that is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"how": how, "name": name, "columns": columns}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == "ok", f"{how} {name}: {answer or 'the editor has ended'}"


def main() -> None:
    import django

    django.setup()
    from django.utils.dateparse import parse_datetime

    from schedules.models import Schedule

    for line in sys.stdin:
        asked = json.loads(line)
        columns = {
            name: parse_datetime(value) if name.endswith("_at") else value
            for name, value in asked["columns"].items()
        }
        rows = Schedule.objects.filter(name=asked["name"])
        if asked["how"] == "create":
            Schedule.objects.create(name=asked["name"], **columns)
        elif asked["how"] == "save":
            row = rows.get()
            for name, value in columns.items():
                setattr(row, name, value)
            row.save()
        elif asked["how"] == "update":
            rows.update(**columns)
        elif asked["how"] == "delete":
            rows.get().delete()
        elif asked["how"] == "raw delete":  # past the signals, as SQL does it
            rows._raw_delete(rows.db)
        print("ok", flush=True)


if __name__ == "__main__":
    main()
