"""Jobs that end in every way there is."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def succeed() -> str:
    """Print, and return a text."""
    print("working")
    return "all is well"


def nap() -> None:
    """Be at work for a while."""
    time.sleep(0.5)


async def succeed_later() -> str:
    """Succeed as a coroutine."""
    return "well, later"


def fail() -> None:
    """Raise."""
    raise ValueError("no such customer")


def exit_at_once() -> None:
    """End the process past all that Python would do."""
    os._exit(3)


def be_killed() -> None:
    """End as the kernel's OOM killer ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def eat_memory() -> int:
    """Ask for more memory than the process may have."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    return len(b"x" * 2**31)


def return_what_cannot_be_stored() -> Any:
    """Return something that no serializer takes."""
    return lambda: None


def return_much() -> str:
    """Return 100 MB."""
    return "x" * 100_000_000


def print_much() -> None:
    """Print 1 GB, the last line being another one."""
    # Through to the worker's own output it goes as well: not into a log of this size.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    line = "x" * 1_000_000
    for _ in range(1000):
        print(line)
    print("that was much")


def print_bytes() -> None:
    """Print what is no text."""
    sys.stdout.buffer.write(b"\xff\xfe\x00 no text\n")


def run_too_long() -> None:
    """Sleep for longer than anybody waits."""
    time.sleep(600)


def take(left: int) -> int:
    """Take one argument."""
    return left


def kill_the_worker(flag: str) -> str:
    """Kill the worker, the first time."""
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return "second time"
