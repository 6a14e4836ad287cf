"""`make run`: check, set up, and run the processes of the Procfile until Ctrl-C.

Every process ends with this one, however it ends: stopped, killed, or by its terminal being closed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from honcho.compat import ProcessManager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.process import Popen, Process

from scheduler_project import env, which_redis
from scheduler_project.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from scheduler_project.paths import BASE_DIR, VAR_DIR
from scheduler_project.processes import adopt_orphans, die_with_parent, end_children, kill_session

ROOM = 8 * 1024 * 1024  # bytes that must be free under var/ to begin with
PATIENCE = 5  # seconds for what is left when honcho is through
ASKED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # honcho's exit codes when it was told to stop


class RunError(Exception):
    """The product cannot run here; the text is one line that says why and what to do."""


def main() -> int:
    """Run the product; return the exit code: 0 when it was told to stop."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _leave)
    adopt_orphans()
    try:
        host = env.text("HOST", default="127.0.0.1")
        port = env.whole_number("PORT", default=8000, minimum=1, maximum=65535)
        with _only_one_in(VAR_DIR):
            check_room(VAR_DIR)
            check_port(host, port)
            with EmbeddedRedis(VAR_DIR / "redis") if which_redis.is_embedded() else contextlib.nullcontext():
                if not which_redis.wait(patience=5):
                    raise RunError(which_redis.away())
                prepared = _manage("first_start").wait()
            return prepared or _run_processes()
    except (RunError, EmbeddedRedisError, env.EnvError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        end_children(patience=PATIENCE)


def check_room(directory: Path) -> None:
    """Raise RunError when the directory cannot take some megabytes."""
    probe = directory / "room.probe"
    try:
        probe.write_bytes(bytes(ROOM))
    except OSError as error:
        hint = (
            "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "it must be a directory of yours"
        )
        raise RunError(f"Cannot write to {directory}: {error.strerror}; {hint}.") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def check_port(host: str, port: int) -> None:
    """Raise RunError when the web server could not listen there."""
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RunError(
                f"Port {port} is taken: choose another, as in: make run PORT={port + 1}"
            ) from error
        raise RunError(f"Cannot listen on {host}:{port}: {error.strerror}; set HOST or PORT.") from error


@contextlib.contextmanager
def _only_one_in(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = open(directory / "run.lock", "a+")  # noqa: SIM115  held while the product runs
    except OSError as error:
        raise RunError(
            f"Cannot write to {directory}: {error.strerror}; it must be a directory of yours."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RunError(
                f"It runs already from this folder (process {lock.read().strip()}): stop it with Ctrl-C."
            ) from None
        lock.truncate(0)
        with contextlib.suppress(OSError):  # a full disk is told of in a moment
            lock.write(str(os.getpid()))
            lock.flush()
        yield


def _run_processes() -> int:
    procfile = parse_procfile((BASE_DIR / "Procfile").read_text())
    manager = Manager()
    manager._process_ctor = TiedProcess  # honcho offers no public way to use other classes
    manager._procmgr = SessionKiller()
    for name, command in procfile.processes.items():
        if name != "redis" or which_redis.is_embedded():
            manager.add_process(name, command, env=_environment(), cwd=str(BASE_DIR))
    welcome = _manage("welcome")
    try:
        _hang_up_means_terminate()
        manager.loop()
    finally:
        welcome.terminate()
        welcome.wait()
    if manager.returncode not in ASKED:
        print(
            "A process ended by itself, so the others were stopped: its last lines are above.",
            file=sys.stderr,
        )
        return 1
    print("Stopped; what it knew is kept, and `make run` goes on from there.")
    return 0


class TiedProcess(Process):  # type: ignore[misc]  # honcho has no types
    """A process of the Procfile that ends when this program does, be it killed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = _tied_popen
        self._runner = os.getpid()

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Run it, in honcho's process for it, which the kernel kills with this program."""
        die_with_parent(parent=self._runner, sign=signal.SIGKILL)
        super().run(events, ignore_signals)


class SessionKiller(ProcessManager):  # type: ignore[misc]
    """Kills what a process started as well: a job would go on, and honcho would wait for its output."""

    def kill(self, pid: int) -> None:
        """Kill the process's group, as honcho does, and the rest of its session."""
        super().kill(pid)
        kill_session(pid)


def _tied_popen(command: str, **options: Any) -> subprocess.Popen[bytes]:
    tie = functools.partial(die_with_parent, parent=os.getpid())
    popen: subprocess.Popen[bytes] = Popen(command, preexec_fn=tie, **options)
    return popen


def _manage(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", command],
        cwd=BASE_DIR,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        preexec_fn=functools.partial(die_with_parent, parent=os.getpid()),
    )


def _environment() -> dict[str, str]:
    here = str(Path(sys.executable).parent)  # so that `python` in the Procfile is this one
    return {**os.environ, "PATH": f"{here}:{os.environ.get('PATH', os.defpath)}", "PYTHONUNBUFFERED": "1"}


def _leave(_sign: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hang_up_means_terminate() -> None:
    """When the terminal is closed, printing would fail: print nowhere, and stop in an orderly way."""

    def hang_up(_sign: int, _frame: FrameType | None) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGHUP, hang_up)


if __name__ == "__main__":
    sys.exit(main())
