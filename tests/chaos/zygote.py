"""Starts schedulers in a millisecond: a process that has everything imported, and forks one for each line it reads.

A line is `<redis url> <seconds by which that scheduler's own clock is wrong> <whether it dawdles (0/1)>`; the
answer is its process id. One that dawdles waits between reading what is due and moving it, so that what it has
read is often not true any more.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent


class Zygote:
    """Starts schedulers; the processes end with it. A context manager."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.zygote"],
                cwd=ROOT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "scheduler_project.settings"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def start(self, url: str, *, skew: int = 0, dawdles: bool = False) -> int:
        """Start one scheduler; return its process id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{url} {skew} {int(dawdles)}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _run(url: str, skew: int, dawdles: bool) -> None:
    import redis
    from django_rq import get_scheduler

    if skew:
        _set_the_clock_off(skew)
    scheduler = get_scheduler("default", interval=60, connection=redis.Redis.from_url(url))
    if dawdles:
        moving = scheduler.dispatcher._moving

        def dawdle(*decided: Any) -> list[Any]:
            time.sleep(random.choice([0, 0.01, 0.05, 1.2]))
            return moving(*decided)

        scheduler.dispatcher._moving = dawdle
    scheduler.run()


def _set_the_clock_off(skew: int) -> None:
    from datetime import datetime, timedelta, tzinfo

    from schedules.engine import dispatch, scheduler

    real = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=skew)

    time.time = lambda: real() + skew
    dispatch.datetime = scheduler.datetime = Wrong  # type: ignore[misc]


def main() -> None:
    import django

    django.setup()
    import schedules.engine  # noqa: F401 - imported once, for every scheduler
    from scheduler_project.processes import die_with_parent

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    for line in sys.stdin:
        url, skew, dawdles = line.split()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            random.seed()
            die_with_parent(parent=parent, sign=signal.SIGKILL)
            try:
                _run(url, int(skew), dawdles == "1")
            except BaseException:  # noqa: BLE001 - whatever ends it is told
                traceback.print_exc()  # into the log, which the test reads
            finally:
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
