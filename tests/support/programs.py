"""Run the project's own programs as a user does, in an environment that a test chooses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = (
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "DATABASE_URL",
    "REDIS_URL",
    "VAR_DIR",
    "PORT",
    "HOST",
    "TIME_ZONE",
)


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without any setting of the project, with these instead."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return {**kept, **variables}


def manage(*arguments: str, env: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` and return how it ended."""
    return python("manage.py", *arguments, env=env, cwd=cwd)


def python(*arguments: str, env: dict[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run this Python and return how it ended."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=60
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
