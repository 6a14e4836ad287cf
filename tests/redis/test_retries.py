"""Retries with the documented commands: delayed ones are queued by `rqscheduler`, in order, with backoff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django_rq import get_queue
from rq import Retry
from rq.job import JobStatus
from rq.registry import ScheduledJobRegistry

from schedules.spec import backoff_intervals
from tests.redis.conftest import T0, Engine, make_spec, schedule_id
from tests.support.workers import work

JOBS = "tests.support.jobs"


def registry(engine: Engine) -> dict[str, float]:
    """Return what waits for its retry: job id -> when (unix seconds)."""
    rows = engine.connection.zrange("rq:scheduled:default", 0, -1, withscores=True)
    return {job.decode(): score for job, score in rows}


def failing(path: Path, attempts: int, retry_max: int, intervals: tuple[int, ...], **changes: Any) -> Any:
    return make_spec(
        func=f"{JOBS}.fail_until",
        args=(str(path), attempts),
        retry_max=retry_max,
        retry_intervals=intervals,
        **changes,
    )


def promote(engine: Engine, *, seconds: float) -> None:
    """Let `rqscheduler` look for due retries, so many seconds from now."""
    engine.clock.set(datetime.now(UTC) + timedelta(seconds=seconds))
    engine.scheduler.dispatcher.promote_retries()


def test_a_failed_run_is_tried_again_after_its_delay_and_succeeds(engine: Engine, tmp_path: Path) -> None:
    """Stock: never retried with the documented commands, because nobody moves RQ's own registry."""
    engine.register(failing(tmp_path / "count", attempts=2, retry_max=3, intervals=(10,)))
    (job_id,) = engine.at(60).queued()
    work(engine.connection)
    assert list(registry(engine)) == [job_id]
    promote(engine, seconds=8)
    assert engine.queued() == []
    promote(engine, seconds=12)
    assert engine.queued() == [job_id]
    work(engine.connection)
    assert [(e["st"], e["n"]) for e in engine.events("ended")] == [("retry", 1), ("succeeded", 2)]
    assert registry(engine) == {}


def test_the_delays_double_up_to_their_cap_and_the_last_failure_is_final(
    engine: Engine, tmp_path: Path
) -> None:
    intervals = backoff_intervals(retries=4, minimum=10, maximum=60)
    engine.register(failing(tmp_path / "count", attempts=99, retry_max=4, intervals=intervals))
    engine.at(60)
    delays = []
    for _ in range(4):
        before = datetime.now(UTC).timestamp()
        work(engine.connection)
        delays.append(next(iter(registry(engine).values())) - before)
        promote(engine, seconds=1000)
    work(engine.connection)
    for delay, wanted in zip(delays, (10, 20, 40, 60), strict=True):
        # A tenth of spread, so that what failed together does not come back together; RQ rounds down to the
        # second; and the test's own time.
        assert wanted - 1 <= delay <= wanted * 1.1 + 2
    assert [(e["st"], e["n"]) for e in engine.events("ended")] == [
        *(("retry", n) for n in range(1, 5)),
        ("failed", 5),
    ]
    assert (engine.queued(), registry(engine)) == ([], {})


def test_the_event_of_a_retry_says_when_it_comes(engine: Engine, tmp_path: Path) -> None:
    engine.register(failing(tmp_path / "count", attempts=2, retry_max=1, intervals=(30,)))
    (job_id,) = engine.at(60).queued()
    work(engine.connection)
    (ended,) = engine.events("ended")
    assert ended["next"] == pytest.approx(registry(engine)[job_id], abs=1.5)


def test_a_retry_without_a_delay_is_queued_at_once(engine: Engine, tmp_path: Path) -> None:
    engine.register(failing(tmp_path / "count", attempts=3, retry_max=2, intervals=()))
    engine.at(60)
    work(engine.connection)
    assert [(e["st"], e["n"]) for e in engine.events("ended")] == [
        ("retry", 1),
        ("retry", 2),
        ("succeeded", 3),
    ]


def test_what_a_busy_server_asks_for_comes_before_the_backoff(engine: Engine) -> None:
    engine.register(make_spec(func=f"{JOBS}.be_busy", args=(), retry_max=2, retry_intervals=(600,)))
    engine.at(60)
    before = datetime.now(UTC).timestamp()
    work(engine.connection)
    (moment,) = registry(engine).values()
    assert 6 <= moment - before <= 9


def test_an_error_that_no_retry_mends_is_final(engine: Engine) -> None:
    engine.register(make_spec(func=f"{JOBS}.fail_for_good", args=(), retry_max=3, retry_intervals=(1,)))
    (job_id,) = engine.at(60).queued()
    work(engine.connection)
    assert [(e["st"], e["n"]) for e in engine.events("ended")] == [("failed", 1)]
    assert registry(engine) == {}
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"failed"


@pytest.mark.parametrize("policy", ["buffer_one", "buffer_all", "terminate_other"])
def test_a_limited_run_is_retried_before_the_slots_that_came_after_it(
    engine: Engine, tmp_path: Path, policy: str
) -> None:
    path = tmp_path / "count"
    engine.register(failing(path, attempts=2, retry_max=1, intervals=(10,), overlap_policy=policy))
    (first,) = engine.at(60).queued()
    work(engine.connection)
    engine.at(120)  # comes while the first waits for its retry
    promote(engine, seconds=20)
    for _ in range(3):
        work(engine.connection)
        promote(engine, seconds=20)
    second = f"{schedule_id()}_{int(T0.timestamp()) + 120}"
    ran = [e["j"] for e in engine.events("ended") if e["st"] == "succeeded"]
    assert ran == ([second] if policy == "terminate_other" else [first, second])
    limit = f"rq:rl:schedule_{schedule_id()}"
    assert engine.connection.zcard(f"{limit}:allowed") == 0
    assert engine.connection.zcard(f"{limit}:rate_limited") == 0
    assert engine.at(180).slots() == [180]


def test_a_retry_that_a_later_slot_made_holder_of_the_limit_is_not_stuck_behind_itself(
    engine: Engine, tmp_path: Path
) -> None:
    """The policy changed while the first waited: it has no limit of its own, and is given one by the second."""
    path = tmp_path / "count"
    engine.register(failing(path, attempts=2, retry_max=1, intervals=(10,), overlap_policy="skip"))
    engine.at(60)
    work(engine.connection)
    engine.register(failing(path, attempts=2, retry_max=1, intervals=(10,), overlap_policy="buffer_all"))
    engine.at(120)
    promote(engine, seconds=20)
    assert engine.slots() == [60]
    work(engine.connection)
    assert len([e for e in engine.events("ended") if e["st"] == "succeeded"]) == 2


def test_a_waiting_run_that_was_deleted_does_not_hold_the_limit(engine: Engine, tmp_path: Path) -> None:
    engine.register(
        failing(tmp_path / "c", attempts=2, retry_max=1, intervals=(10,), overlap_policy="buffer_all")
    )
    (first,) = engine.at(60).queued()
    work(engine.connection)
    engine.at(120).at(180)
    limit = f"rq:rl:schedule_{schedule_id()}"
    for job in engine.connection.zrange(f"{limit}:rate_limited", 0, -1):
        engine.connection.delete(f"rq:job:{job.decode()}")
    promote(engine, seconds=20)
    assert engine.queued() == [first]


def test_a_queue_that_a_worker_with_its_own_scheduler_has_locked_is_left_to_it(
    engine: Engine, tmp_path: Path
) -> None:
    engine.register(failing(tmp_path / "count", attempts=2, retry_max=1, intervals=(10,)))
    (job_id,) = engine.at(60).queued()
    work(engine.connection)
    engine.connection.set("rq:scheduler-lock:default", "another", ex=60)
    promote(engine, seconds=20)
    assert engine.queued() == []
    engine.connection.delete("rq:scheduler-lock:default")
    promote(engine, seconds=20)
    assert engine.queued() == [job_id]


def test_rqs_own_scheduled_jobs_are_queued_too(engine: Engine) -> None:
    queue = get_queue("default", connection=engine.connection, commit_mode="auto")
    later = queue.enqueue_at(datetime.now(UTC) + timedelta(seconds=30), f"{JOBS}.add", 1)
    other = queue.enqueue_in(timedelta(hours=1), f"{JOBS}.add", 1)
    promote(engine, seconds=31)
    assert engine.queued() == [later.id]
    assert later.get_status() == JobStatus.QUEUED
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == [other.id]


def test_a_job_of_plain_rq_with_a_delayed_retry_is_retried(engine: Engine, tmp_path: Path) -> None:
    """`Retry(max=3, interval=1)`: the case of the table."""
    queue = get_queue("default", connection=engine.connection, commit_mode="auto")
    job = queue.enqueue(f"{JOBS}.fail_until", str(tmp_path / "count"), 3, retry=Retry(max=3, interval=1))
    for _ in range(3):
        work(engine.connection)
        promote(engine, seconds=5)
    job.refresh()
    assert (job.get_status(), job.return_value()) == ("finished", 3)


def test_the_loop_sleeps_no_longer_than_until_the_next_retry(engine: Engine) -> None:
    engine.connection.sadd("rq:queues", "rq:queue:default")
    engine.connection.zadd("rq:scheduled:default", {"some": T0.timestamp() + 5})
    moved, due = engine.scheduler.dispatcher.promote_retries()
    assert (moved, due) == (0, T0.timestamp() + 5)


def test_hundreds_of_due_retries_are_all_queued(engine: Engine) -> None:
    queue = get_queue("default", connection=engine.connection, commit_mode="auto")
    past = datetime.now(UTC) - timedelta(seconds=5)
    ids = [queue.enqueue_at(past, f"{JOBS}.add", 1).id for _ in range(600)]
    engine.clock.set(datetime.now(UTC))
    moved = 0
    while True:
        count, _ = engine.scheduler.dispatcher.promote_retries()
        if not count:
            break
        moved += count
    assert moved == 600
    assert sorted(engine.queued()) == sorted(ids)
