"""Events become rows: each once, whatever crashes in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis as redis_py
from django.db import OperationalError
from django_rq import get_queue

from schedules.engine import events, keys
from schedules.keeper import Keeper
from schedules.keeper import drain as drain_module
from schedules.keeper.stream import GROUP
from schedules.models import LedgerPosition, Run, Schedule
from schedules.timing import CronTrigger, IntervalTrigger, trigger_to_wire
from schedules.worker import Worker
from tests.redis.conftest import T0, Engine, make_spec, schedule_id

pytestmark = pytest.mark.django_db

MakeSchedule = Callable[..., Schedule]


@pytest.fixture(autouse=True)
def _targets(settings: Any) -> None:
    settings.SCHEDULES_ALLOWED_TARGETS = ["tests.support.jobs"]


@pytest.fixture
def keeper(redis: redis_py.Redis) -> Keeper:
    return Keeper(redis)


def make_schedule(number: int = 1, **changes: Any) -> Schedule:
    """Save the row of `make_spec(number)`, past the signals."""
    fields = {"name": f"schedule {number}", "func": "tests.support.jobs.add", "interval": 60} | changes
    return Schedule.objects.bulk_create([Schedule(id=UUID(int=number), **fields)])[0]


def emit(connection: redis_py.Redis, *told: dict[str, Any], at: float | None = None) -> None:
    for event in told:
        events.append(connection, at=T0.timestamp() if at is None else at, event=event)


def work(connection: redis_py.Redis) -> None:
    Worker([get_queue("default", connection=connection)], connection=connection).work(burst=True)


def rows() -> list[tuple[str, str]]:
    return list(Run.objects.order_by("scheduled_for", "id").values_list("job_id", "status"))


def test_a_slot_that_was_dispatched_waits_in_the_ledger(engine: Engine, keeper: Keeper) -> None:
    schedule = make_schedule(args=[1])
    engine.register(make_spec())
    job_id = engine.at(60).queued()[0]
    keeper.run_once()
    run = Run.objects.get()
    assert (run.job_id, run.status, run.trigger, run.queue) == (job_id, "queued", "schedule", "default")
    assert (run.schedule, run.schedule_name, run.func) == (schedule, "schedule 1", "tests.support.jobs.add")
    assert run.scheduled_for == T0 + timedelta(seconds=60)
    assert run.enqueued_at == T0 + timedelta(seconds=60)
    assert run.arguments == ([1], {})


def test_a_run_that_succeeded_says_what_it_returned(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec(args=(20,), kwargs={"right": 22}))
    engine.at(60)
    work(engine.connection)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.status, run.result, run.attempt, run.reason) == ("succeeded", "42", 1, "")
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.worker
    assert run.duration is not None
    assert 0 <= run.duration < 5
    assert run.delay == (run.started_at - run.scheduled_for).total_seconds()


def test_a_run_that_failed_says_why(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec(func="tests.support.jobs.fail", args=()))
    engine.at(60)
    work(engine.connection)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.status, run.reason, run.exception) == (
        "failed",
        "ValueError: it did not work",
        "ValueError: it did not work",
    )
    assert "Traceback" in run.traceback


def test_rows_grow_with_the_events_over_several_batches(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)
    keeper.run_once()
    assert rows()[0][1] == "queued"
    work(engine.connection)
    keeper.run_once()
    assert rows()[0][1] == "succeeded"


def test_what_is_skipped_has_a_row_with_the_reason(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60).at(120)
    keeper.run_once()
    assert [status for _, status in rows()] == ["queued", "skipped"]
    assert "overlap policy skip" in Run.objects.get(status="skipped").reason


def test_a_missed_range_becomes_a_row_for_each_slot(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec(misfire_policy="skip"))
    engine.at(600)
    keeper.run_once()
    slots = [int((run.scheduled_for - T0).total_seconds()) for run in Run.objects.order_by("scheduled_for")]
    assert slots == list(range(60, 601, 60))
    assert set(Run.objects.filter(scheduled_for__lt=T0 + timedelta(seconds=540)).values_list("status")) == {
        ("missed",)
    }
    assert Schedule.objects.get().last_slot_at == T0 + timedelta(seconds=600)


@pytest.mark.parametrize(
    "trigger, every",
    [
        (IntervalTrigger(every=1, anchor=T0), 1),
        (CronTrigger(expression="* * * * *", timezone="UTC"), 60),
    ],
)
def test_of_a_long_outage_the_newest_slots_are_listed_and_the_older_ones_are_one_row(
    redis: redis_py.Redis, keeper: Keeper, trigger: IntervalTrigger | CronTrigger, every: int
) -> None:
    make_schedule(keep_runs=10)
    start = int(T0.timestamp())
    event = {
        "e": "missed",
        "i": schedule_id(),
        "a": start,
        "b": start + 999_999 // every * every,
        "r": "Away.",
    }
    emit(redis, event | {"w": trigger_to_wire(trigger)})
    keeper.run_once()
    assert Run.objects.count() == 11
    old = Run.objects.order_by("scheduled_for")[0]
    assert (old.scheduled_for, old.status) == (T0, "missed")
    assert old.scheduled_until is not None
    newest_but = Run.objects.order_by("scheduled_for")[1].scheduled_for
    assert (newest_but - old.scheduled_until).total_seconds() == every
    assert old.slots == (999_999 // every * every) // every + 1 - 10


def test_a_job_of_no_schedule_has_a_row(redis: redis_py.Redis, keeper: Keeper) -> None:
    queue = get_queue("default", connection=redis, commit_mode="auto")
    job = queue.enqueue_call("tests.support.jobs.add", args=(1, 2))
    work(redis)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.job_id, run.schedule, run.func, run.status) == (
        job.id,
        None,
        "tests.support.jobs.add",
        "succeeded",
    )
    assert run.trigger == "manual"


def test_a_schedule_of_code_keeps_its_name_without_a_row(engine: Engine, keeper: Keeper) -> None:
    engine.register(make_spec(source="code", name="from code"))
    engine.at(60)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.schedule, run.schedule_name) == (None, "from code")


def test_deleting_a_schedule_keeps_its_runs_with_their_name(engine: Engine, keeper: Keeper) -> None:
    schedule = make_schedule()
    engine.register(make_spec())
    engine.at(60)
    keeper.run_once()
    schedule.delete()
    work(engine.connection)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.schedule, run.schedule_name, run.status) == (None, "schedule 1", "succeeded")


def test_a_crash_between_commit_and_acknowledgement_neither_loses_nor_doubles(
    engine: Engine, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)

    def crash(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(keeper._stream, "finish", crash)
    with pytest.raises(ConnectionError):
        keeper.run_once()
    assert engine.connection.xpending(keys.EVENTS, GROUP)["pending"] == 1
    assert Schedule.objects.get().runs_dispatched == 1
    heir = Keeper(engine.connection, lease=keeper._lease)
    heir.run_once()
    assert len(rows()) == 1
    assert Schedule.objects.get().runs_dispatched == 1
    assert engine.connection.xlen(keys.EVENTS) == 0


def test_with_the_database_away_events_wait_and_all_of_them_are_written_when_it_is_back(
    engine: Engine, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(drain_module, "write_rows", away)
        with pytest.raises(OperationalError):
            keeper.run_once()
    assert rows() == []
    assert Schedule.objects.get().runs_dispatched == 0
    work(engine.connection)
    keeper._lay_down()
    keeper.run_once()
    assert [status for _, status in rows()] == ["succeeded"]


def test_an_event_that_no_database_takes_does_not_take_the_others_with_it(
    redis: redis_py.Redis, keeper: Keeper
) -> None:
    emit(
        redis,
        {"e": "queued", "j": "first", "t": "manual"},
        {"e": "started", "j": "bad", "n": "not a number"},
        {"e": "missed"},
        {"e": "queued", "j": "last", "t": "manual"},
    )
    redis.xadd(keys.EVENTS, {"at": "1", "events": "no JSON"})
    drained = keeper.run_once()
    assert {job_id for job_id, _ in rows()} == {"first", "last"}
    assert drained.left_out == 2
    assert redis.xlen(keys.EVENTS) == 0


def test_texts_that_a_database_refuses_are_made_acceptable(redis: redis_py.Redis, keeper: Keeper) -> None:
    texts = {"r": "a\x00b \ud800", "x": "ü" * 200_000, "res": "\x00"}
    emit(redis, {"e": "ended", "j": "odd", "st": "failed", "n": 1, "w": "w" * 500, **texts})
    keeper.run_once()
    run = Run.objects.get()
    assert run.reason == "a\ufffdb \ufffd"
    assert len(run.worker) == 200
    assert len(run.exception) <= 70_000


def test_two_keepers_at_once_cannot_both_write(engine: Engine, redis: redis_py.Redis, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)
    keeper.run_once()
    other = Keeper(redis, lease=keeper._lease)
    other.run_once()
    work(redis)
    records = keeper._stream.ready(10)
    LedgerPosition.objects.update(last_id="9-9")
    with pytest.raises(drain_module.NotKeeperError):
        keeper._drain.write(records)
    assert [status for _, status in rows()] == ["queued"]


def test_after_a_flush_the_ledger_keeps_what_it_had_and_goes_on(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)
    work(engine.connection)
    keeper.run_once()
    engine.connection.flushall()
    LedgerPosition.objects.update(last_id="99999999999999-0")  # the clock was set back meanwhile
    engine.register(make_spec())
    engine.at(120)
    keeper._lay_down()
    keeper.run_once()
    assert [status for _, status in rows()] == ["succeeded", "queued"]


def test_the_notes_of_a_schedule_follow_its_runs(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec())
    engine.at(60)
    work(engine.connection)
    keeper.run_once()
    schedule = Schedule.objects.get()
    assert schedule.next_run_at == T0 + timedelta(seconds=120)
    assert schedule.last_slot_at == T0 + timedelta(seconds=60)
    assert (schedule.last_status, schedule.runs_dispatched, schedule.failures_in_a_row) == ("succeeded", 1, 0)
    assert schedule.last_run_at == Run.objects.get().started_at
    engine.register(make_spec(func="tests.support.jobs.fail", args=()))
    engine.at(120)
    work(engine.connection)
    keeper.run_once()
    schedule.refresh_from_db()
    assert (schedule.last_status, schedule.runs_dispatched, schedule.failures_in_a_row) == ("failed", 2, 1)


def test_retries_are_told_attempt_by_attempt(engine: Engine, keeper: Keeper) -> None:
    make_schedule()
    engine.register(make_spec(func="tests.support.jobs.fail", args=(), retry_max=2, retry_intervals=(30, 60)))
    engine.at(60)
    work(engine.connection)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.status, run.attempt, run.finished_at) == ("queued", 1, None)
    assert run.next_attempt_at is not None
    assert run.started_at is not None
    assert 29 <= (run.next_attempt_at - run.started_at).total_seconds() <= 35
    assert run.exception == "ValueError: it did not work"
    assert Schedule.objects.get().failures_in_a_row == 0
