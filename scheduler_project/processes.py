"""Keep child processes from outliving their parent. Linux does the work; elsewhere these do nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(*, parent: int, sign: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this process the signal when its parent, of that process id, is gone.

    Runs between fork and exec, so it does nothing but two system calls. Survives exec.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    if os.getppid() != parent:  # it went before the kernel knew of our wish
        os.kill(os.getpid(), sign)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, as `end_children` needs it."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(*, patience: float) -> None:
    """Stop all children: SIGTERM, and SIGKILL to those that are left after so many seconds."""
    deadline = time.monotonic() + patience
    told: set[int] = set()
    while children := _children():
        late = time.monotonic() > deadline
        for child in children:
            if late or child not in told:
                _kill(child, signal.SIGKILL if late else signal.SIGTERM)
                told.add(child)
            _reap(child)
        time.sleep(0.02)


def kill_session(leader: int) -> None:
    """Kill every process of the session that the given process began.

    A job that a worker runs is in a process group of its own, but in the worker's session.
    """
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            # pid (name, which may hold anything) state parent group session: proc(5)
            session = int(entry.read_text().rpartition(")")[2].split()[3])
            if session == leader:
                _kill(int(entry.parent.name), signal.SIGKILL)


def _children() -> list[int]:
    try:
        return [
            int(pid)
            for task in Path("/proc/self/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
    except OSError:  # not Linux
        return []


def _kill(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
