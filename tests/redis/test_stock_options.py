"""Every parameter of rq-scheduler's own API comes to the same through our class as in the library itself.

Each option is given to the library first, on the same Redis; what a worker would find then is what it must find
with ours. Where ours differs on purpose, because stock's way is the fault, that is said here.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django_rq import get_queue
from rq.job import Callback, Dependency, Job
from rq_scheduler import Scheduler as StockScheduler

from schedules.engine import Scheduler
from tests.redis.conftest import T0, Engine
from tests.support.jobs import add, echo, note_failure, note_success
from tests.support.stock import stock_scheduler
from tests.support.workers import work

CALLS = ("enqueue_at", "enqueue_in", "schedule", "schedule every 60 s", "cron")
PERIODIC = CALLS[3:]
OPTIONS: dict[str, Any] = {
    "timeout": 7,
    "id": "mine",
    "ttl": 1000,
    "result_ttl": 5,
    "description": "what it is",
    "meta": {"a": 1},
    "queue_name": "low",
    "depends_on": "first",
    "on_success": Callback(note_success),
    "on_failure": Callback(note_failure, timeout=9),
    "at_front": True,
}
JOB_NAMED = ("id", "ttl", "result_ttl", "description")
"""What `enqueue_at` and `enqueue_in` call `job_…`."""


@dataclass(frozen=True)
class Found:
    """What a worker finds of a job."""

    queues: dict[str, list[str]]
    """What waits in each queue; the job itself is `*`."""
    fields: dict[str, Any]
    expires: bool
    """Whether the job is gone if nobody starts it in time."""


def call(scheduler: StockScheduler, name: str, moment: datetime, options: dict[str, Any]) -> Job:
    """Schedule `echo(1, b=2)` to be due at the moment, or, by a cron expression, within the minute after it."""
    if name.startswith("enqueue"):
        named = {f"job_{key}" if key in JOB_NAMED else key: value for key, value in options.items()}
        first = moment if name == "enqueue_at" else timedelta(0)
        return getattr(scheduler, name)(first, echo, 1, **named, b=2)
    if name == "cron":
        return scheduler.cron("* * * * *", echo, args=(1,), kwargs={"b": 2}, **options)
    more = {"interval": 60} if name in PERIODIC else {}
    return scheduler.schedule(moment, echo, args=(1,), kwargs={"b": 2}, **more, **options)


def found(connection: redis_py.Redis, scheduled_id: str) -> Found:
    """Read the job that was dispatched for what was scheduled."""
    queues = {
        name: [member.decode() for member in connection.lrange(f"rq:queue:{name}", 0, -1)]
        for name in ("default", "low")
    }
    deferred = [member.decode() for member in connection.zrange("rq:deferred:default", 0, -1)]
    (job_id,) = {
        member
        for member in [*deferred, *queues["default"], *queues["low"]]
        if member.startswith(scheduled_id)
    }
    job = Job.fetch(job_id, connection=connection)
    assert job.meta is not None
    return Found(
        queues={
            name: ["*" if member == job_id else member for member in members]
            for name, members in queues.items()
        },
        fields={
            "status": job.get_status(),
            "timeout": job.timeout,
            "ttl": job.ttl,
            "result_ttl": job.result_ttl,
            "description": job.description,
            "meta": job.meta.get("a"),
            "origin": job.origin,
            "on_success": (job._success_callback_name, job.success_callback_timeout),
            "on_failure": (job._failure_callback_name, job.failure_callback_timeout),
            "args": job.args,
            "kwargs": job.kwargs,
            "dependencies": sorted(connection.smembers(job.dependencies_key)),
            "dependents": connection.scard(Job.dependents_key_for("first")),
        },
        expires=connection.ttl(job.key) > 0,
    )


def prepare(connection: redis_py.Redis) -> None:
    connection.flushall()
    get_queue("default", connection=connection).enqueue(add, 1, job_id="first")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the library's own crontab
@pytest.mark.parametrize("option", [*OPTIONS, "nothing"])
@pytest.mark.parametrize("name", CALLS)
def test_every_option_comes_to_the_same_as_in_the_library(engine: Engine, name: str, option: str) -> None:
    options = {option: OPTIONS[option]} if option in OPTIONS else {}
    connection = engine.connection
    moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(seconds=1)

    prepare(connection)
    stock = stock_scheduler(connection)
    job = call(stock, name, moment, options)
    stock.enqueue_job(job)
    wanted = found(connection, job.id)

    prepare(connection)
    job = call(engine.scheduler, name, moment, options)
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    engine.clock.set(due)
    engine.dispatch()
    got = found(connection, job.id)

    if name in PERIODIC and option != "result_ttl":
        # Stock keeps the one job for ever, for it is the schedule; here every slot has a job of its own.
        assert (wanted.fields.pop("result_ttl"), got.fields.pop("result_ttl")) == (-1, None)
    if option == "depends_on":
        # RQ chooses one when the job is released; until then it makes no difference.
        assert (wanted.fields.pop("timeout"), got.fields.pop("timeout")) == (None, 180)
    assert got == wanted


@pytest.mark.parametrize("name", ["enqueue_at", "enqueue_in", "schedule", "cron", "cancel", "count", "get_jobs",
                                  "change_execution_time", "get_jobs_to_queue", "enqueue_job", "enqueue_jobs",
                                  "__contains__", "__init__", "run"])  # fmt: skip
def test_every_parameter_of_the_library_has_its_name_and_place(name: str) -> None:
    """A call by position or by name that the library takes is taken by ours."""
    theirs = inspect.signature(getattr(StockScheduler, name)).parameters
    ours = inspect.signature(getattr(Scheduler, name)).parameters
    if name != "__init__":  # which hands everything on
        assert list(ours) == list(theirs)
    assert {
        key: (theirs[key].default, ours[key].default)
        for key in theirs.keys() & ours.keys()
        if theirs[key].default != ours[key].default
    } == ({"result_ttl": (-1, None)} if name == "cron" else {})


@pytest.mark.parametrize("name", CALLS)
def test_a_job_that_depends_on_another_waits_for_it_and_runs_then(engine: Engine, name: str) -> None:
    connection = engine.connection
    prepare(connection)
    moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    job = call(engine.scheduler, name, moment, {"depends_on": "first"})
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    engine.clock.set(due)
    engine.dispatch()
    assert engine.queued() == ["first"]
    work(connection, count=1)
    (job_id,) = engine.queued()
    assert job_id.startswith(job.id)
    work(connection)
    ran = Job.fetch(job_id, connection=connection)
    assert ran.return_value() == [[1], {"b": 2}]
    if name in PERIODIC:  # the job it depended on is over by now
        engine.clock.advance(seconds=60)
        engine.dispatch()
        assert len(engine.queued()) == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_a_dependency_that_failed_counts_as_met_only_where_that_is_allowed(
    engine: Engine, allowed: bool
) -> None:
    queue = get_queue("default", connection=engine.connection)
    first = queue.enqueue("tests.support.jobs.fail", job_id="first")
    work(engine.connection)
    depends_on = Dependency(jobs=[first, Job.create(add, id="gone", connection=engine.connection)],
                            allow_failure=allowed)  # fmt: skip
    job = engine.scheduler.enqueue_at(engine.clock.now, add, 1, depends_on=depends_on)
    engine.dispatch()
    assert engine.queued() == ([job.id] if allowed else [])
    assert job.get_status() == ("queued" if allowed else "deferred")


@pytest.mark.parametrize("damaged", ["5", "null", '{"a": 1}', "[[1], 2.5, null]"])
def test_dependencies_that_are_none_stop_nobody(engine: Engine, damaged: str) -> None:
    job = engine.scheduler.enqueue_at(T0, add, 1)
    engine.connection.hset(job.key, "dependency_ids", damaged)
    periodic = engine.scheduler.schedule(T0, add, args=(1,), interval=60)
    engine.connection.hset(f"rq:schedules:template:{periodic.id}", "dependency_ids", damaged)
    other = engine.scheduler.enqueue_at(T0, add, 2)
    engine.dispatch()
    assert {job.id, other.id} <= set(engine.queued())
    assert len(engine.queued()) == 3


@pytest.mark.parametrize("name", PERIODIC)
def test_callbacks_are_called_at_every_run(engine: Engine, name: str) -> None:
    moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    options = {"on_success": Callback(note_success), "on_failure": Callback(note_failure)}
    job = call(engine.scheduler, name, moment, options)
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    for step in range(3):
        engine.clock.set(due + timedelta(seconds=60 * step))
        engine.dispatch()
        work(engine.connection)
    assert engine.connection.lrange("noted", 0, -1) == [
        f"success {job.id}_{int(due.timestamp()) + 60 * step}".encode() for step in range(3)
    ]


def test_a_failing_run_calls_back_too(engine: Engine) -> None:
    job = engine.scheduler.enqueue_at(
        engine.clock.now, "tests.support.jobs.fail", on_failure=Callback(note_failure)
    )
    engine.dispatch()
    work(engine.connection)
    assert engine.connection.lrange("noted", 0, -1) == [f"failure {job.id} ValueError".encode()]


@pytest.mark.parametrize("call_name", ["schedule", "cron"])
@pytest.mark.parametrize("repeat, runs", [(0, 1), (1, 1), (3, 3), (None, 5)])
def test_repeat_counts_the_runs_as_in_the_library(
    engine: Engine, call_name: str, repeat: int | None, runs: int
) -> None:
    """0 is one run: the library counts down after the first."""
    scheduler = engine.scheduler
    if call_name == "schedule":
        job = scheduler.schedule(engine.clock.now, add, args=(1,), interval=60, repeat=repeat)
    else:
        job = scheduler.cron("* * * * *", add, args=(1,), repeat=repeat)
    due = scheduler.next_due(job.id)
    assert due is not None
    for step in range(5):
        engine.clock.set(due + timedelta(seconds=60 * step))
        engine.dispatch()
        work(engine.connection)
    assert len(engine.events("queued")) == runs
    assert (job in scheduler) == (repeat is None)


@pytest.mark.parametrize("call_name", ["schedule", "cron"])
def test_a_repeat_below_zero_is_refused_with_a_sentence(engine: Engine, call_name: str) -> None:
    """Stock counts down from there, and so never ends."""
    calls = {
        "schedule": lambda: engine.scheduler.schedule(T0, add, args=(1,), interval=60, repeat=-1),
        "cron": lambda: engine.scheduler.cron("* * * * *", add, repeat=-1),
    }
    with pytest.raises(ValueError, match=r"repeat is -1.*0 or more"):
        calls[call_name]()
    assert engine.scheduler.count() == 0


@pytest.mark.parametrize("is_local, hour", [(True, 1), (False, 3)])
def test_cron_runs_by_the_local_zone_where_that_is_asked_for(
    engine: Engine, settings: Any, is_local: bool, hour: int
) -> None:
    settings.TIME_ZONE = "Africa/Maputo"  # UTC+2 all the year
    job = engine.scheduler.cron("0 3 * * *", add, args=(1,), use_local_timezone=is_local)
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    assert due.hour == hour


def test_a_time_with_a_fraction_of_a_second_is_not_early(engine: Engine) -> None:
    """Stock cuts it off, so that a job runs up to a second before its time."""
    moment = engine.clock.now + timedelta(seconds=10.75)
    job = engine.scheduler.enqueue_at(moment, add, 1)
    assert engine.at(10.7).queued() == []
    assert engine.at(10.75).queued() == [job.id]


def test_what_is_not_scheduled_can_be_cancelled_and_asked_for(engine: Engine) -> None:
    engine.scheduler.cancel("nobody")
    assert "nobody" not in engine.scheduler
    assert engine.scheduler.count() == 0
