"""Where the system has no tz data, the `tzdata` package serves."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import zoneinfo
assert zoneinfo.TZPATH == (), zoneinfo.TZPATH
from datetime import UTC, datetime
from schedules.timing import CronTrigger, check_timezone, next_slot
check_timezone("America/New_York")
trigger = CronTrigger(expression="30 2 * * *", timezone="America/New_York")
print(next_slot(trigger, datetime(2026, 3, 7, 12, tzinfo=UTC)).isoformat())
"""


def test_zones_come_from_the_tzdata_package_where_the_system_has_none() -> None:
    environment = {**os.environ, "PYTHONTZPATH": ""}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stderr == ""
    assert result.stdout.strip() == "2026-03-08T07:00:00+00:00"
