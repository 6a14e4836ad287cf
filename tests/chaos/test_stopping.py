"""A worker told to stop at any instant ends by itself, in order, and no job is lost; counted and printed.

ROUNDS=3000 python -m pytest tests/chaos/test_stopping.py -m chaos -s --timeout 0
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment
from tests.support.redis_server import RedisServer


def stop_workers(folder: Path, rounds: int, seed: int) -> None:
    """Stop so many workers, print what was counted, and fail if one crashed or hung or a job was lost."""
    with RedisServer() as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.stopping", str(rounds), str(seed)],
            cwd=ROOT,
            env=environment(
                REDIS_URL=server.url,
                DATABASE_URL=f"sqlite:///{folder}/ledger.sqlite3",
                DJANGO_SETTINGS_MODULE="tests.acceptance.settings",
            ),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"\n{rounds} workers stopped, seed {seed}: exit codes {found['ends']}, {found['jobs']} jobs "
          f"{found['fates']}, lost {found['lost']}")  # fmt: skip
    assert found["ends"] == {"0": rounds}
    assert found["lost"] == 0


@pytest.mark.timeout(120)
def test_workers_stopped_at_any_instant_end_in_order_and_lose_no_job(tmp_path: Path) -> None:
    stop_workers(tmp_path, 60, int(os.environ.get("SEED", 1)))


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_many_workers_stopped_at_any_instant_end_in_order_and_lose_no_job(tmp_path: Path) -> None:
    stop_workers(tmp_path, int(os.environ.get("ROUNDS", 1000)), int(os.environ.get("SEED", time.time())))
