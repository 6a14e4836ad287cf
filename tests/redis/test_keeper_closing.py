"""Runs that nobody will end any more are found, and closed or put back: after two looks, and at once in Redis."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py

from schedules.keeper import Keeper
from schedules.models import Run
from tests.redis.conftest import Engine, make_spec
from tests.redis.test_keeper_drain import _targets, make_schedule, work

pytestmark = pytest.mark.django_db
__all__ = ["_targets"]


@pytest.fixture
def keeper(redis: redis_py.Redis) -> Keeper:
    return Keeper(redis)


def looks(keeper: Keeper, *moments: float) -> None:
    for moment in moments:
        keeper.run_once(look_at=moment)


def dispatched(engine: Engine, **changes: Any) -> str:
    make_schedule()
    engine.register(make_spec(**changes))
    return engine.at(60).queued()[0]


def take(engine: Engine, job_id: str, *, starts: bool = True, lives: bool = False) -> None:
    """Let a worker take a job as RQ does, and die."""
    from django_rq import get_queue
    from rq.executions import Execution

    queue = get_queue("default", connection=engine.connection)
    job = queue.fetch_job(job_id)
    assert job is not None
    engine.connection.lrem("rq:queue:default", 0, job_id)
    with engine.connection.pipeline() as pipe:
        execution = Execution.create(job, 35, pipeline=pipe, worker_name="w1")
        if starts:
            job.prepare_for_execution("w1", pipeline=pipe)
        pipe.execute()
    if not lives:
        engine.connection.delete(execution.key)  # as after 35 s without a sign


def only() -> Run:
    return Run.objects.get()


def test_a_job_that_waits_is_left_alone(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine)
    looks(keeper, 0, 20, 40)
    assert engine.queued() == [job_id]
    assert only().status == "queued"


def test_a_job_in_a_living_workers_hands_is_left_alone(engine: Engine, keeper: Keeper) -> None:
    take(engine, dispatched(engine), lives=True)
    looks(keeper, 0, 20, 40)
    assert only().status == "running"


def test_a_job_whose_worker_died_is_closed_and_no_longer_blocks_its_schedule(
    engine: Engine, keeper: Keeper
) -> None:
    job_id = dispatched(engine)
    take(engine, job_id)
    looks(keeper, 0)
    assert only().status == "running"
    looks(keeper, 5)
    assert only().status == "running"
    looks(keeper, 11)
    run = only()
    assert (run.status, run.attempt) == ("abandoned", 1)
    assert run.reason.startswith("Worker w1 gave no sign of life")
    assert run.finished_at is not None
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"failed"
    assert engine.connection.zcard("rq:wip:default") == 0
    assert engine.connection.zscore("rq:failed:default", job_id) is not None
    assert engine.connection.ttl(f"rq:job:{job_id}") > 0
    assert engine.at(120).slots() == [120]


def test_an_abandoned_run_gives_its_place_to_the_next_that_waits(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine, overlap_policy="buffer_all")
    take(engine, job_id)
    assert engine.at(120).slots() == []
    looks(keeper, 0, 11)
    assert engine.slots() == [120]
    assert [run.status for run in Run.objects.order_by("scheduled_for")] == ["abandoned", "queued"]


def test_an_abandoned_run_with_retries_left_is_tried_again(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine, retry_max=2, retry_intervals=(30, 60))
    take(engine, job_id)
    looks(keeper, 0, 11)
    run = only()
    assert (run.status, run.attempt) == ("queued", 1)
    assert run.next_attempt_at is not None
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"scheduled"
    assert engine.connection.hget(f"rq:job:{job_id}", "retries_left") == b"1"
    due = engine.connection.zscore("rq:scheduled:default", job_id)
    assert due is not None
    looks(keeper, 22, 33)
    assert only().status == "queued"


def test_a_job_that_was_taken_and_never_started_is_put_back_once(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine)
    take(engine, job_id, starts=False)
    looks(keeper, 0, 5)
    assert engine.queued() == []
    looks(keeper, 11)
    assert engine.queued() == [job_id]
    assert only().status == "queued"
    engine.connection.lpop("rq:queue:default")
    looks(keeper, 22, 33)
    assert engine.queued() == []
    assert (only().status, only().reason[:27]) == ("abandoned", "A worker took it off its qu")


def test_a_job_in_the_intermediate_list_of_a_dead_worker_is_put_back(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine)
    engine.connection.lmove("rq:queue:default", "rq:queue:default:intermediate")
    looks(keeper, 0, 11)
    assert engine.queued() == [job_id]
    assert engine.connection.llen("rq:queue:default:intermediate") == 0


def test_a_job_that_was_put_back_runs_as_usual(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine)
    take(engine, job_id, starts=False)
    looks(keeper, 0, 11)
    work(engine.connection)
    keeper.run_once()
    assert only().status == "succeeded"


def test_a_worker_that_stood_still_does_not_start_a_job_that_was_put_back(
    engine: Engine, keeper: Keeper
) -> None:
    from django_rq import get_queue

    job_id = dispatched(engine)
    job = get_queue("default", connection=engine.connection).fetch_job(job_id)
    assert job is not None
    assert job.is_ours_to_start()
    take(engine, job_id, starts=False)
    looks(keeper, 0, 11)
    assert not job.is_ours_to_start()


@pytest.mark.parametrize("start", [True, False])
def test_after_a_flush_nothing_hangs(engine: Engine, keeper: Keeper, start: bool) -> None:
    job_id = dispatched(engine)
    if start:
        take(engine, job_id, lives=True)
    looks(keeper, 0)
    engine.connection.flushall()
    keeper._lay_down()
    looks(keeper, 10, 21)
    run = only()
    assert run.status == "abandoned"
    assert "vanished from Redis" in run.reason


def test_a_job_that_ended_while_the_ledger_lagged_behind_is_not_closed(
    engine: Engine, keeper: Keeper
) -> None:
    """What explains the finding may be on the stream and not in the ledger yet."""
    job_id = dispatched(engine)
    keeper.run_once()
    work(engine.connection)
    engine.connection.delete(f"rq:job:{job_id}")
    closing, position = keeper._closing, keeper._drain.position
    closing.look(position=position, now=0)
    closing.look(position=position, now=20)
    assert only().status == "queued"
    looks(keeper, 40)
    assert only().status == "succeeded"


@pytest.mark.parametrize(
    "status, expected, reason",
    [
        ("failed", "abandoned", "RQ ended it"),
        ("canceled", "canceled", "Canceled outside"),
        ("finished", "succeeded", ""),
    ],
)
def test_what_ended_without_telling_is_closed_as_it_ended(
    engine: Engine, keeper: Keeper, status: str, expected: str, reason: str
) -> None:
    engine.finish(dispatched(engine), status)
    looks(keeper, 0, 11)
    assert only().status == expected
    assert only().reason.startswith(reason)


def test_waiting_runs_behind_one_that_is_over_go_on(engine: Engine, keeper: Keeper) -> None:
    job_id = dispatched(engine, overlap_policy="buffer_all")
    engine.at(120)
    engine.finish(job_id, "failed")  # by RQ's own clean-up, which may not release the place
    looks(keeper, 0, 11, 22)
    assert engine.slots() == [120]
