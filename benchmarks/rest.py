"""What `manage.py rqscheduler` costs when there is nothing to do: 10,000 rows that are due in a month, for a minute.

    python -m benchmarks.rest [--schedules 10000] [--seconds 60]

The whole command with its keeper, which compares all rows with Redis every 30 s. Counted are all commands that Redis
executes, those inside scripts included, and the CPU seconds of the process.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

FUNC = "tests.support.jobs.add"
COMMANDS_A_MINUTE, CPU_A_MINUTE = 60, 1.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rest-") as folder:
        from tests.support.redis_server import RedisServer

        with RedisServer(directory=Path(folder)) as server:
            os.environ |= {
                "DJANGO_SETTINGS_MODULE": "scheduler_project.settings",
                "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
                "REDIS_URL": server.url,
                "SCHEDULES_ALLOWED_TARGETS": "tests.support.jobs",
            }
            return measured(server, options.schedules, options.seconds)


def measured(server, count: int, seconds: int) -> int:
    """Print the figures; return 1 if a target is missed."""
    import django

    django.setup()
    from django.core.management import call_command

    from schedules.engine import keys
    from schedules.models import Schedule
    from tests.support.waiting import wait_for

    call_command("migrate", verbosity=0)
    far = datetime.now(UTC) + timedelta(days=30)
    Schedule.objects.bulk_create(
        (
            Schedule(id=UUID(int=n + 1), name=f"schedule {n}", func=FUNC, interval=86_400, starts_at=far)
            for n in range(count)
        ),
        batch_size=1000,
    )
    client = server.client()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rqscheduler"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: client.zcard(keys.SCHEDULED) == count, seconds=60, what="all to be registered")
        time.sleep(15)  # what it does at the start is over
        client.config_resetstat()
        cpu = cpu_of(process.pid)
        time.sleep(seconds)
        spent = (cpu_of(process.pid) - cpu) * 60 / seconds
        counted = {
            name.removeprefix("cmdstat_"): figures["calls"]
            for name, figures in client.info("commandstats").items()
            if name not in {"cmdstat_info", "cmdstat_config|resetstat", "cmdstat_config"}
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    commands = sum(counted.values()) * 60 / seconds
    is_met = commands <= COMMANDS_A_MINUTE and spent <= CPU_A_MINUTE
    print(
        f"at rest with {count:,} schedules: {commands:.0f} Redis commands (target {COMMANDS_A_MINUTE} at most) and "
        f"{spent:.2f} s of CPU a minute (target {CPU_A_MINUTE:g} at most): {'met' if is_met else 'MISSED'}"
    )
    print("  " + ", ".join(f"{number} {name}" for name, number in sorted(counted.items())))
    return int(not is_met)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
