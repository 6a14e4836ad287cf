"""What happens when a slot comes while the run before it is still queued or running: each policy, with real workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schedules.timing import IntervalTrigger
from tests.redis.conftest import T0, Engine, make_spec, schedule_id
from tests.support.waiting import wait_for
from tests.support.workers import work, worker_process


def waiting(engine: Engine) -> list[int]:
    members = engine.connection.zrange(f"rq:rl:schedule_{schedule_id()}:rate_limited", 0, -1)
    return [int(member.decode().rpartition("_")[2]) - int(T0.timestamp()) for member in members]


def skipped(engine: Engine) -> list[int]:
    return [event["s"] - int(T0.timestamp()) for event in engine.events("skipped")]


@pytest.mark.parametrize("is_started", [False, True], ids=["queued", "started"])
@pytest.mark.parametrize(
    "policy, queued, held, left_out",
    [
        ("skip", [60], [], [120, 180]),
        ("buffer_one", [60], [120], [180]),
        ("buffer_all", [60], [120, 180], []),
        ("allow_all", [60, 120, 180], [], []),
    ],
)
def test_a_slot_that_comes_during_a_run(
    engine: Engine, policy: str, queued: list[int], held: list[int], left_out: list[int], is_started: bool
) -> None:
    engine.register(make_spec(overlap_policy=policy))
    engine.at(60)
    if is_started:
        engine.start(engine.queued()[0])
    engine.at(120).at(180)
    assert engine.slots() == (queued[1:] if is_started else queued)
    assert (waiting(engine), skipped(engine)) == (held, left_out)


@pytest.mark.parametrize("policy", ["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"])
@pytest.mark.parametrize("ending", ["finished", "failed", "stopped", "canceled", "gone"])
def test_a_run_that_is_over_blocks_nothing(engine: Engine, policy: str, ending: str) -> None:
    engine.register(make_spec(overlap_policy=policy))
    job_id = engine.at(60).queued()[0]
    if ending == "gone":
        engine.connection.lrem("rq:queue:default", 0, job_id)
        engine.connection.delete(f"rq:job:{job_id}")
    else:
        engine.finish(job_id, ending)
    assert engine.at(120).slots() == [120]
    assert (waiting(engine), skipped(engine)) == ([], [])


@pytest.mark.parametrize("policy", ["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"])
def test_real_workers_run_what_is_dispatched_in_order_and_nothing_stays_behind(
    engine: Engine, policy: str
) -> None:
    engine.register(make_spec(overlap_policy=policy))
    engine.at(60).at(120).at(180)
    work(engine.connection)
    ran = [event["j"] for event in engine.events("ended")]
    assert all(event["st"] == "succeeded" for event in engine.events("ended"))
    slots = [int(job.rpartition("_")[2]) - int(T0.timestamp()) for job in ran]
    assert (
        slots
        == {
            "skip": [60],
            "buffer_one": [60, 120],
            "buffer_all": [60, 120, 180],
            "terminate_other": [180],
            "allow_all": [60, 120, 180],
        }[policy]
    )
    assert (engine.queued(), waiting(engine)) == ([], [])
    work(engine.connection)
    engine.at(240)
    assert engine.slots() == [240]


def test_buffered_runs_are_one_at_a_time(engine: Engine) -> None:
    engine.register(make_spec(overlap_policy="buffer_all"))
    engine.at(60).at(120).at(180)
    assert engine.slots() == [60]
    work(engine.connection, 1)
    assert engine.slots() == [120]
    assert waiting(engine) == [180]


def test_each_slot_is_accounted_for_under_every_policy(engine: Engine) -> None:
    for number, policy in enumerate(["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"], 1):
        engine.register(make_spec(number, overlap_policy=policy))
    for minute in range(1, 11):
        engine.at(minute * 60)
    for number in range(1, 6):
        told = [e["j"].rpartition("_")[2] for e in engine.events("queued") if schedule_id(number) in e["j"]]
        told += [str(e["s"]) for e in engine.events("skipped") if e["i"] == schedule_id(number)]
        assert sorted(told) == [str(int(T0.timestamp()) + 60 * n) for n in range(1, 11)]


def test_terminate_other_replaces_what_has_not_begun_and_says_so(engine: Engine) -> None:
    engine.register(make_spec(overlap_policy="terminate_other"))
    first = engine.at(60).queued()[0]
    engine.at(120)
    assert engine.slots() == [120]
    assert engine.connection.hget(f"rq:job:{first}", "status") == b"canceled"
    assert [event["j"] for event in engine.events("canceled")] == [first]


def test_terminate_other_stops_the_running_one_and_runs_then(
    engine: Engine, redis_server: object, tmp_path: Path
) -> None:
    """With a real worker and its work horse: the sleeper is killed, the next slot runs, none is left."""
    marks = tmp_path / "marks"
    engine.register(
        make_spec(
            overlap_policy="terminate_other", func="tests.support.jobs.sleep_and_mark", args=(str(marks), 30)
        )
    )
    first = engine.at(60).queued()[0]
    with worker_process(engine.connection):
        wait_for(lambda: engine.connection.hget(f"rq:job:{first}", "status") == b"started" and marks.exists())
        engine.register(
            make_spec(
                overlap_policy="terminate_other",
                func="tests.support.jobs.sleep_and_mark",
                args=(str(marks), 0),
            )
        )
        second = f"{schedule_id()}_{int(T0.timestamp()) + 120}"
        engine.at(120)
        wait_for(
            lambda: engine.connection.hget(f"rq:job:{second}", "status") == b"finished",
            seconds=15,
            what="the second run, after the first was stopped",
        )
        assert engine.connection.hget(f"rq:job:{first}", "status") == b"stopped"
        endings = {event["j"]: (event["st"], event.get("r")) for event in engine.events("ended")}
        assert endings == {
            first: ("canceled", f"Stopped by the next slot ({second}) (overlap policy terminate_other)."),
            second: ("succeeded", None),
        }


@pytest.mark.parametrize("policy", ["skip", "buffer_one", "buffer_all"])
def test_a_catch_up_of_all_runs_one_after_the_other_oldest_first(engine: Engine, policy: str) -> None:
    engine.register(
        make_spec(
            overlap_policy=policy,
            misfire_policy="fire_all",
            trigger=IntervalTrigger(every=600, anchor=T0),
        )
    )
    engine.at(3700)
    assert len(engine.queued()) == 1
    work(engine.connection)
    ran = [int(e["j"].rpartition("_")[2]) - int(T0.timestamp()) for e in engine.events("ended")]
    want = [600, 1200] if policy == "buffer_one" else [600, 1200, 1800, 2400, 3000, 3600]
    assert ran == want
    assert len(ran) + len(skipped(engine)) == 6


def test_a_run_that_waits_for_its_retry_counts_as_in_progress(engine: Engine) -> None:
    engine.register(make_spec())
    job_id = engine.at(60).queued()[0]
    engine.connection.lrem("rq:queue:default", 0, job_id)
    engine.connection.hset(f"rq:job:{job_id}", "status", "scheduled")
    engine.at(120)
    assert skipped(engine) == [120]


@pytest.mark.parametrize(
    "before, after", [("skip", "buffer_all"), ("skip", "buffer_one"), ("buffer_all", "skip")]
)
def test_a_policy_that_changes_during_a_run_takes_it_into_account(
    engine: Engine, before: str, after: str
) -> None:
    engine.register(make_spec(overlap_policy=before))
    engine.at(60)
    engine.register(make_spec(overlap_policy=after))
    engine.at(120)
    assert engine.slots() == [60]
    work(engine.connection)
    assert (engine.queued(), waiting(engine)) == ([], [])
    assert engine.at(180).slots() == [180]


def test_a_manual_run_beside_the_plan_counts_as_in_progress(engine: Engine) -> None:
    engine.register(make_spec())
    job = engine.scheduler.run_now(schedule_id(), started_by="somebody")
    assert job is not None
    engine.at(60)
    assert engine.queued() == [job.id]
    assert skipped(engine) == [60]


def test_a_manual_run_whose_reply_was_lost_is_queued_once(engine: Engine) -> None:
    engine.register(make_spec())
    run_now = engine.scheduler._run_now

    def sent_twice(**options: object) -> object:
        run_now(**options)
        return run_now(**options)

    engine.scheduler._run_now = sent_twice  # type: ignore[assignment]
    job = engine.scheduler.run_now(schedule_id())
    assert job is not None
    assert engine.queued() == [job.id]
    assert len(engine.events("queued")) == 1


def test_a_run_started_by_hand_whose_reply_was_lost_is_queued_once(engine: Engine) -> None:
    start = engine.scheduler._start

    def sent_twice(**options: object) -> object:
        start(**options)
        return start(**options)

    engine.scheduler._start = sent_twice  # type: ignore[assignment]
    job = engine.scheduler.start(make_spec(), trigger="manual")
    assert job is not None
    assert engine.queued() == [job.id]
    assert len(engine.events("queued")) == 1


def test_hundreds_of_parked_runs_stay_in_order(engine: Engine, make_engine: Callable[[], Engine]) -> None:
    engine.register(make_spec(overlap_policy="buffer_all"))
    for minute in range(1, 151):
        engine.at(minute * 60)
    assert len(waiting(engine)) == 149
    work(engine.connection)
    ran = [int(e["j"].rpartition("_")[2]) - int(T0.timestamp()) for e in engine.events("ended")]
    assert ran == [minute * 60 for minute in range(1, 151)]
