"""Jobs that write down that they ran, with what, and for which slot: one JSON line each, in the file JOBS_RAN."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from rq import get_current_job


def record(*args: Any, **kwargs: Any) -> str:
    """Leave a trace."""
    _write(args, kwargs)
    return "recorded"


async def record_later(*args: Any, **kwargs: Any) -> str:
    """Leave a trace, as a coroutine."""
    _write(args, kwargs)
    return "recorded"


def fail_at_first(label: str) -> str:
    """Leave a trace, and fail the first time."""
    _write((label,), {})
    job = get_current_job()
    assert job is not None
    if job.attempt == 1:
        raise ConnectionError(f"{label} failed at first")
    return "recovered"


def fail(label: str) -> None:
    """Fail every time."""
    _write((label,), {})
    raise ValueError(f"{label} cannot work")


def work_until_told(label: str, gate: str) -> str:
    """Leave a trace, and work until there is a file of that name; half a minute at most."""
    _write((label,), {})
    deadline = time.monotonic() + 30
    while not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return "told"


def fail_until(label: str, attempt: int) -> str:
    """Leave a trace, and fail before that attempt."""
    _write((label,), {})
    job = get_current_job()
    assert job is not None
    if job.attempt < attempt:
        raise ConnectionError(f"{label} failed at attempt {job.attempt}")
    return "recovered"


def work_for(label: str, seconds: float) -> str:
    """Leave a trace, and work for a while."""
    _write((label,), {})
    time.sleep(seconds)
    return "done"


def _write(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    job = get_current_job()
    assert job is not None
    line = {"job": job.id, "args": args, "kwargs": kwargs, "at": time.time()}
    # One write of one short line: what several processes append at once stays whole.
    with open(os.environ["JOBS_RAN"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
