"""A master, a replica and three sentinels, all on ports of 127.0.0.1: a small installation that fails over."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
import redis as redis_py
from redis.sentinel import Sentinel

from tests.support.programs import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

MASTER = "main"


class Pair:
    """Five processes. A context manager; skips the test where the redis-server of the tests knows no Sentinel."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.servers: list[RedisServer] = []
        self.ports = [free_port() for _ in range(3)]
        self.sentinel = Sentinel([("127.0.0.1", port) for port in self.ports], socket_timeout=1)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
            wait_for(self._is_ready, seconds=20, what="three sentinels that know each other")
        except AssertionError as error:
            self._stack.close()
            pytest.skip(f"no Sentinel with this redis-server: {str(error)[-200:]}")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def has_master(self, number: int) -> bool:
        """Tell whether the sentinels name this server as the master."""
        try:
            _, port = self.sentinel.discover_master(MASTER)
        except redis_py.RedisError:
            return False
        return bool(port == self.servers[number].port)

    def client(self) -> redis_py.Redis:
        """Return a client of whoever is the master at the moment of a call."""
        return self.sentinel.master_for(MASTER, socket_timeout=2)

    def _start(self) -> None:
        for role in ("master", "replica"):
            options: tuple[str, ...] = ("--repl-diskless-sync-delay", "0")
            if role == "replica":
                options += ("--replicaof", "127.0.0.1", str(self.servers[0].port))
            self.servers.append(self._stack.enter_context(RedisServer(port=free_port(), options=options)))
        for port in self.ports:
            config = self.directory / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {self.directory}\n"
                f"sentinel monitor {MASTER} 127.0.0.1 {self.servers[0].port} 2\n"
                f"sentinel down-after-milliseconds {MASTER} 700\n"
                f"sentinel failover-timeout {MASTER} 3000\n"
            )
            with (self.directory / f"sentinel-{port}.log").open("wb") as log:
                process = subprocess.Popen(
                    [self.servers[0].binary, config, "--sentinel"], stdout=log, stderr=subprocess.STDOUT
                )
            self._stack.callback(process.wait)
            self._stack.callback(process.kill)

    def _is_ready(self) -> bool:
        for port in self.ports:
            try:
                with redis_py.Redis(port=port, socket_timeout=1) as client:
                    known = client.sentinel_master(MASTER)
            except redis_py.RedisError:
                return False
            if (known["num-other-sentinels"], known["num-slaves"]) != (2, 1):
                return False
        return True
