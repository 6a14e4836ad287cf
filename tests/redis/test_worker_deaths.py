"""Real workers that are killed, or stand still, at the worst moments; the keeper finds what they leave behind.

The worker is a process of its own, as `manage.py rqworker high default low` starts it: on several queues, where RQ's
intermediate list protects nothing. It reaches Redis through a proxy, which strikes between the pop and its answer.
Only the waiting is left out: the moments at which the keeper looks are handed in, and signs of life expire at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py

from schedules.keeper import Keeper
from schedules.keeper.closing import SECOND_LOOK
from schedules.keeper.keeper import LOOK_SECONDS
from schedules.models import Run
from schedules.worker.worker import SIGN_LASTS
from tests.redis.conftest import Engine, make_spec
from tests.redis.test_keeper_drain import _targets, make_schedule
from tests.support.programs import ROOT
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for
from tests.support.workers import work

pytestmark = pytest.mark.django_db
__all__ = ["_targets"]


class WorkerProcess:
    """One `manage.py rqworker`, whose connections go through a proxy."""

    def __init__(self, proxy: Proxy, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "rqworker", "high", "default", "low"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "scheduler_project.settings",
                    "SCHEDULES_ALLOWED_TARGETS": "tests.support.jobs",
                    "REDIS_URL": proxy.url,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, sign: signal.Signals) -> None:
        """Signal it and the process of its job."""
        os.killpg(self.process.pid, sign)

    def close(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        self.process.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture
def keeper(redis: redis_py.Redis) -> Keeper:
    return Keeper(redis)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.socket) as proxy:
        yield proxy


@pytest.fixture
def start_worker(
    proxy: Proxy, redis: redis_py.Redis, tmp_path: Path
) -> Iterator[Callable[[], WorkerProcess]]:
    started: list[WorkerProcess] = []

    def start() -> WorkerProcess:
        started.append(WorkerProcess(proxy, tmp_path / f"worker-{len(started)}.log"))
        wait_for(lambda: any(c["cmd"] == "blpop" for c in redis.client_list()), seconds=30)
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def row() -> Run:
    return Run.objects.get()


def dispatched(engine: Engine, **changes: object) -> str:
    """Make a schedule due, dispatch it, and return the id of the job."""
    make_schedule()
    engine.register(make_spec(**changes))
    engine.at(60)
    (queued,) = engine.events("queued")
    return str(queued["j"])


def test_the_keeper_looks_often_enough() -> None:
    """First look, second look, and the sign of life before both: what the real clock adds to the tests below."""
    assert 2 * LOOK_SECONDS + SECOND_LOOK <= 60
    assert SIGN_LASTS + 2 * LOOK_SECONDS + SECOND_LOOK <= 90


def test_a_job_whose_worker_was_killed_right_after_the_pop_is_put_back_and_runs(
    engine: Engine, keeper: Keeper, proxy: Proxy, start_worker: Callable[[], WorkerProcess]
) -> None:
    """Stock: the job is nowhere, its status "queued" for ever."""
    worker = start_worker()
    proxy.strike(lambda: worker.signal(signal.SIGKILL), cut=True)
    job_id = dispatched(engine)
    assert worker.process.wait(10) == -signal.SIGKILL
    assert engine.queued() == []
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"queued"
    assert engine.connection.llen("rq:queue:default:intermediate") == 0
    keeper.run_once(look_at=0)
    assert row().status == "queued"
    keeper.run_once(look_at=SECOND_LOOK)
    assert engine.queued() == [job_id]
    work(engine.connection)
    keeper.run_once()
    assert (row().status, row().attempt) == ("succeeded", 1)


def test_a_worker_that_stood_still_after_the_pop_does_not_run_again_what_another_has_run(
    engine: Engine, keeper: Keeper, proxy: Proxy, start_worker: Callable[[], WorkerProcess], tmp_path: Path
) -> None:
    count = tmp_path / "count"
    worker = start_worker()
    proxy.strike(lambda: worker.signal(signal.SIGSTOP), cut=False)
    job_id = dispatched(engine, func="tests.support.jobs.fail_until", args=(str(count), 1))
    wait_for(lambda: proxy.has_struck, seconds=10)
    keeper.run_once(look_at=0)
    keeper.run_once(look_at=SECOND_LOOK)
    assert engine.queued() == [job_id]
    work(engine.connection)
    assert count.read_text() == "x"
    worker.signal(signal.SIGCONT)
    wait_for(lambda: "is not run here" in worker.text(), seconds=10, what=worker.text())
    keeper.run_once()
    assert count.read_text() == "x"
    assert (row().status, row().attempt) == ("succeeded", 1)
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"finished"
    # It goes on with other jobs.
    engine.at(120)
    wait_for(lambda: count.read_text() == "xx", seconds=10)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_job_whose_worker_was_killed_in_the_middle_is_closed_or_tried_again(
    engine: Engine, keeper: Keeper, start_worker: Callable[[], WorkerProcess], tmp_path: Path, retries: int
) -> None:
    """Stock: "started" for 90 s at the least, 10 minutes as a rule."""
    mark = tmp_path / "mark"
    worker = start_worker()
    job_id = dispatched(
        engine, func="tests.support.jobs.sleep_once", args=(str(mark), 600), retry_max=retries
    )
    wait_for(mark.exists, seconds=10, what=worker.text())
    worker.process.kill()  # not the process of the job: that ends with it
    worker.process.wait()
    (sign,) = engine.connection.keys(f"rq:execution:{job_id}:*")
    assert 0 < engine.connection.ttl(sign) <= SIGN_LASTS
    keeper.run_once(look_at=0)
    assert row().status == "running"
    engine.connection.delete(sign)  # as after so many seconds
    keeper.run_once(look_at=1)
    keeper.run_once(look_at=1 + SECOND_LOOK)
    if not retries:
        assert (row().status, row().attempt) == ("abandoned", 1)
        assert "no sign of life" in row().reason
        assert engine.at(120).slots() == [120], "it no longer blocks the next slot"
        return
    assert (row().status, engine.queued()) == ("queued", [job_id])
    work(engine.connection)
    keeper.run_once()
    assert (row().status, row().attempt) == ("succeeded", 2)


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_worker_that_stood_still_in_the_middle_does_not_undo_what_another_has_done(
    engine: Engine, keeper: Keeper, start_worker: Callable[[], WorkerProcess], tmp_path: Path, ends: str
) -> None:
    mark, go = tmp_path / "mark", tmp_path / "go"
    worker = start_worker()
    job_id = dispatched(
        engine, func="tests.support.jobs.wait_once", args=(str(mark), str(go), ends), retry_max=2
    )
    wait_for(mark.exists, seconds=10, what=worker.text())
    worker.signal(signal.SIGSTOP)
    engine.connection.delete(*engine.connection.keys(f"rq:execution:{job_id}:*"))
    keeper.run_once(look_at=0)
    keeper.run_once(look_at=SECOND_LOOK)
    assert engine.queued() == [job_id]
    work(engine.connection)
    keeper.run_once()
    assert (row().status, row().attempt) == ("succeeded", 2)
    go.touch()
    worker.signal(signal.SIGCONT)
    wait_for(lambda: "is not told" in worker.text(), seconds=15, what="the worker to find it out")
    wait_for(lambda: any(c["cmd"] == "blpop" for c in engine.connection.client_list()), seconds=10)
    keeper.run_once(look_at=40)
    keeper.run_once(look_at=60)
    assert (row().status, row().attempt, row().result) == ("succeeded", 2, "second time")
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"finished"
    assert (engine.queued(), engine.connection.zcard("rq:wip:default")) == ([], 0)
    assert engine.connection.zcard("rq:scheduled:default") == 0
    engine.at(120)  # and the next slot runs
    wait_for(lambda: engine.events("ended"), seconds=10)
