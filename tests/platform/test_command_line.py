"""`manage.py` without its Redis: one line that says how to start it, exit code 1, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis as redis_py

from scheduler_project.command_line import is_about_redis
from scheduler_project.embedded_redis import EmbeddedRedis
from tests.support.programs import environment, free_port, manage, python

NOT_RUNNING = "The embedded Redis is not running: start it with `make run` in a terminal, or set REDIS_URL.\n"


@pytest.mark.parametrize(
    "command", [["rqscheduler"], ["rqworker", "high"], ["rqworker-pool", "default"], ["rqstats"]]
)
def test_a_command_that_needs_the_embedded_redis_says_how_to_start_it(
    tmp_path: Path, command: list[str]
) -> None:
    ended = manage(*command, env=environment(VAR_DIR=str(tmp_path)))
    assert (ended.returncode, ended.stderr) == (1, NOT_RUNNING)
    assert ended.stdout == "" or command == ["rqstats"]  # which prints its heading first


@pytest.mark.parametrize("command", [["check"], ["rqworker", "--help"], ["help", "rqscheduler"]])
def test_a_command_that_needs_no_redis_works_without(tmp_path: Path, command: list[str]) -> None:
    ended = manage(*command, env=environment(VAR_DIR=str(tmp_path)))
    assert ended.returncode == 0, ended.stderr


def test_a_command_in_another_terminal_finds_the_embedded_redis(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis"):
        ended = manage("rqstats", env=environment(VAR_DIR=str(tmp_path)))
    assert ended.returncode == 0, ended.stderr
    assert "default" in ended.stdout


def test_a_redis_of_redis_url_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    env = environment(VAR_DIR=str(tmp_path), REDIS_URL=f"redis://user:hunter2@127.0.0.1:{port}/0")
    ended = manage("rqstats", env=env)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Redis at 127.0.0.1:{port} (REDIS_URL) does not answer. Start it, or correct REDIS_URL.\n"
    )


def test_a_process_of_the_procfile_waits_for_redis_and_goes_on(tmp_path: Path) -> None:
    env = environment(VAR_DIR=str(tmp_path))
    asked = python("-m", "scheduler_project.which_redis", env=env)
    assert (asked.returncode, asked.stderr) == (1, NOT_RUNNING)
    with EmbeddedRedis(tmp_path / "redis"):
        asked = python("-m", "scheduler_project.which_redis", "--wait", env=env)
    assert (asked.returncode, asked.stderr) == (0, "")


def test_an_error_caused_by_redis_is_known_by_its_cause() -> None:
    def wrapped(cause: BaseException) -> BaseException:
        error = RuntimeError("ours")
        error.__cause__ = cause
        return error

    assert is_about_redis(redis_py.ConnectionError())
    assert is_about_redis(wrapped(redis_py.TimeoutError()))
    assert not is_about_redis(wrapped(ValueError()))
