"""The embedded Redis keeps what it acknowledged, runs once, and ends with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from scheduler_project import embedded_redis
from scheduler_project.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from tests.support.programs import ROOT, environment
from tests.support.waiting import wait_for

MAIN = [sys.executable, "-m", "scheduler_project.embedded_redis"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "redis"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The server in the foreground, as the Procfile runs it; VAR_DIR is tmp_path."""
    env = environment(VAR_DIR=str(tmp_path), PYTHONUNBUFFERED="1")
    with subprocess.Popen(MAIN, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Redis is ready\n"
            yield process
        finally:
            process.kill()


def answers(directory: Path) -> bool:
    with redis_py.Redis.from_url(embedded_redis.url(directory), retry=None) as client:
        try:
            return bool(client.ping())
        except redis_py.ConnectionError:
            return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        "(zombie)" not in Path(f"/proc/{pid}/status").read_text() if Path(f"/proc/{pid}").exists() else False
    )


def test_it_answers_when_started_and_keeps_its_data_over_a_stop(directory: Path) -> None:
    with EmbeddedRedis(directory) as server, server.connect() as client:
        client.set("kept", "yes")
    assert not answers(directory)
    with EmbeddedRedis(directory) as server, server.connect() as client:
        assert client.get("kept") == b"yes"


def test_its_directory_and_socket_are_its_owners_alone_and_it_has_no_port(directory: Path) -> None:
    with EmbeddedRedis(directory) as server, server.connect() as client:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(embedded_redis.socket_path(directory).stat().st_mode) == 0o700
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_second_one_on_the_same_directory_is_refused_in_one_line(directory: Path) -> None:
    with EmbeddedRedis(directory) as first:
        assert first.process is not None
        with pytest.raises(EmbeddedRedisError) as caught:
            EmbeddedRedis(directory).start()
        assert str(caught.value) == (
            f"Redis runs already on {directory} (process {first.process.pid}): stop it there first."
        )
        assert answers(directory)


@pytest.mark.parametrize("part", ["a folder", "k=v", "x" * 120])
def test_a_path_that_sockets_or_clients_cannot_take_works(tmp_path: Path, part: str) -> None:
    directory = tmp_path / part / "redis"
    with EmbeddedRedis(directory) as server, server.connect() as client:
        assert answers(directory)
        assert client.client_info()["id"]  # RQ's worker asks this first; a space in the path breaks it
        short = embedded_redis.socket_path(directory)
        assert stat.S_IMODE(short.parent.stat().st_mode) == 0o700
    assert not short.parent.exists()
    assert not answers(directory)


def test_data_of_a_newer_server_is_refused_for_it_would_come_up_empty(directory: Path) -> None:
    with EmbeddedRedis(directory):
        pass
    (directory / "version").write_text("99.1.0\n")
    with pytest.raises(EmbeddedRedisError) as caught:
        EmbeddedRedis(directory).start()
    assert "was written by Redis 99.1.0" in str(caught.value)
    assert "install redis-server 99.1 or newer" in str(caught.value)
    assert (directory / "version").read_text() == "99.1.0\n"


def test_a_server_new_enough_is_chosen_among_those_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand = {tmp_path / "old": (5, 0, 7), tmp_path / "wheel": (6, 2, 14), tmp_path / "system": (7, 0, 15)}
    monkeypatch.setattr(embedded_redis, "binaries", lambda: list(at_hand))
    monkeypatch.setattr(embedded_redis, "version_of", lambda path: at_hand[path])
    assert embedded_redis.choose_binary(written_by=(0,)) == tmp_path / "wheel"
    assert embedded_redis.choose_binary(written_by=(6, 2, 16)) == tmp_path / "wheel"
    assert embedded_redis.choose_binary(written_by=(7, 0, 2)) == tmp_path / "system"


def test_without_any_server_it_says_how_to_get_one(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "binaries", list)
    with pytest.raises(EmbeddedRedisError, match="apt install redis-server"):
        EmbeddedRedis(directory).start()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedRedisError, match=r"cannot keep its data in .*: Not a directory"):
        EmbeddedRedis(tmp_path / "file" / "redis").start()


def test_no_acknowledged_write_is_lost_when_it_is_killed_under_load(directory: Path) -> None:
    acknowledged = 0
    server = EmbeddedRedis(directory)
    server.start()
    assert server.process is not None
    threading.Timer(0.3, server.process.kill).start()
    with server.connect() as client, contextlib.suppress(redis_py.ConnectionError):
        while True:
            acknowledged = client.rpush("list", "x" * 100)
    server.stop()
    with EmbeddedRedis(directory) as again, again.connect() as client:
        assert client.llen("list") >= acknowledged > 100


def test_it_stops_on_sigterm_after_its_clients_left(program: subprocess.Popen[str], tmp_path: Path) -> None:
    with redis_py.Redis.from_url(embedded_redis.url(tmp_path / "redis"), retry=None) as client:
        client.ping()
        program.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(timeout=0.3)
        assert client.set("last", "words")
    assert program.wait(timeout=10) == 0
    assert not answers(tmp_path / "redis")


def test_the_server_ends_with_its_parent_however_that_ends(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    server = int((tmp_path / "redis" / "lock").read_text())
    assert alive(server)
    program.kill()
    wait_for(lambda: not alive(server), what="the server is gone")
    with EmbeddedRedis(tmp_path / "redis"):  # and its lock with it
        assert answers(tmp_path / "redis")


def test_when_the_server_dies_the_program_says_so_and_ends(
    program: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.kill(int((tmp_path / "redis" / "lock").read_text()), signal.SIGKILL)
    assert program.wait(timeout=10) == 1
