"""What `make run` refuses, in one line, before it starts anything."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from scheduler_project.run import RunError, check_room
from tests.support.programs import ROOT, environment, free_port, python


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "scheduler_project.run", env=environment(**variables))


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run(VAR_DIR=str(tmp_path), PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr == f"Port {port} is taken: choose another, as in: make run PORT={port + 1}\n"
    assert ended.stdout == ""


def test_a_second_one_from_the_same_folder_is_one_line(tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        ended = run(VAR_DIR=str(tmp_path), PORT=str(free_port()))
    assert ended.returncode == 1
    assert ended.stderr == "It runs already from this folder (process 4711): stop it with Ctrl-C.\n"


def test_a_wrong_port_is_one_line(tmp_path: Path) -> None:
    ended = run(VAR_DIR=str(tmp_path), PORT="http")
    assert (ended.returncode, ended.stderr) == (
        1,
        "PORT is 'http'; allowed is a whole number from 1 to 65535.\n",
    )


def test_a_redis_url_where_nobody_answers_is_one_line(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    ended = run(VAR_DIR=str(tmp_path), PORT=str(free_port()), REDIS_URL=url)
    assert ended.returncode == 1
    assert "does not answer" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = run(VAR_DIR=str(tmp_path / "file" / "var"), PORT=str(free_port()))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Cannot write to {tmp_path}/file/var: Not a directory;")
    assert ended.stderr.count("\n") == 1


def test_a_full_disk_is_told_of_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", no_room)
    with pytest.raises(RunError, match="No space left on device; make room"):
        check_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def make_venv(cwd: Path, python: Path) -> subprocess.CompletedProcess[str]:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (cwd / name).write_text("")
    return subprocess.run(
        ["sh", ROOT / "scheduler_project" / "make_venv.sh", "requirements.txt"],
        cwd=cwd,
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_python_that_is_too_old_is_one_line(tmp_path: Path) -> None:
    old = script(tmp_path / "python", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n')
    ended = make_venv(tmp_path, old)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Python 3.11 or newer is needed; found: Python 3.9.2.")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_is_one_line(tmp_path: Path) -> None:
    without = script(
        tmp_path / "python",
        '#!/bin/sh\ncase "$2" in *venv*) exit 1 ;; --version) echo Python 3.11.7 ;; esac\nexit 0\n',
    )
    ended = make_venv(tmp_path, without)
    assert ended.returncode == 1
    assert ended.stderr == (
        "Python's module venv is missing: install it (Debian, Ubuntu: apt install python3-venv).\n"
    )
