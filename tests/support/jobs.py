"""Functions that tests schedule."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from rq import get_current_job


def add(left: int, right: int = 1) -> int:
    """Add two numbers."""
    return left + right


def echo(*args: Any, **kwargs: Any) -> Any:
    """Return what came in."""
    return [list(args), kwargs]


async def add_later(left: int, right: int) -> int:
    """Add two numbers, as a coroutine."""
    return left + right


def fail(message: str = "it did not work") -> None:
    """Fail."""
    raise ValueError(message)


def sleep_and_mark(path: str, seconds: float) -> None:
    """Make a file, and take a while."""
    Path(path).touch()
    time.sleep(seconds)


def fail_until(path: str, attempts: int) -> int:
    """Fail until it was tried so many times; the file counts."""
    count = len(Path(path).read_text()) + 1 if Path(path).exists() else 1
    Path(path).write_text("x" * count)
    if count < attempts:
        raise ValueError(f"attempt {count}")
    return count


class BusyError(Exception):
    """What a client of a busy server raises: it says when to come back."""

    retry_after = 7


class FinalError(Exception):
    """What another attempt would not change."""

    retryable = False


def be_busy() -> None:
    """Fail, and say when to come back."""
    raise BusyError


def fail_for_good() -> None:
    """Fail in a way that no retry mends."""
    raise FinalError


def overwrite_meta() -> None:
    """Write over the job's meta, as user code may."""
    job = get_current_job()
    assert job is not None
    job.meta = {"interval": 1, "cron_string": "* * * * *", "repeat": 5, "mine": True}
    job.save_meta()


def kill_own_process(path: str) -> None:
    """Die as of the out-of-memory killer."""
    Path(path).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def note_success(job: Any, connection: Any, result: Any) -> None:
    """Leave a word that a job succeeded, as a callback."""
    connection.rpush("noted", f"success {job.id}")


def note_failure(job: Any, connection: Any, kind: type[BaseException], error: Any, trace: Any) -> None:
    """Leave a word that a job failed, as a callback."""
    connection.rpush("noted", f"failure {job.id} {kind.__name__}")


def sleep_once(path: str, seconds: float) -> str:
    """Take a while the first time; the file says that there was one."""
    if Path(path).exists():
        return "second time"
    Path(path).touch()
    time.sleep(seconds)
    return "first time"


def wait_once(path: str, gate: str, ends: str) -> str:
    """Wait the first time until there is a file, half a minute at most, and end well or badly."""
    if Path(path).exists():
        return "second time"
    Path(path).touch()
    deadline = time.monotonic() + 30
    while not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if ends == "badly":
        raise ValueError("the first time")
    return "first time"
