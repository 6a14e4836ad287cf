"""A scheduler process as `manage.py rqscheduler` runs it, on the Redis that the environment names.

`python -m tests.support.scheduler_process` is the program; `SchedulerProcess` starts, signals and reads it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent.parent


class SchedulerProcess:
    """One scheduler in a process of its own. A context manager: started on entry, gone afterwards."""

    def __init__(self, *, url: str, directory: Path, interval: float = 60, **variables: str) -> None:
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "scheduler_project.settings",
            "REDIS_URL": url,
            "VAR_DIR": str(directory),
            "SCHEDULER_INTERVAL": str(interval),
            **variables,
        }
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / f"scheduler-{time.monotonic_ns()}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.scheduler_process"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it on the spot."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and how many seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        return code, time.monotonic() - began

    def text(self) -> str:
        """Return what it has said."""
        return self.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


def main() -> None:
    import django

    django.setup()
    from django_rq import get_scheduler

    get_scheduler("default", interval=float(os.environ["SCHEDULER_INTERVAL"])).run()


if __name__ == "__main__":
    main()
