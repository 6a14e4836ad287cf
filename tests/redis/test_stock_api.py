"""rq-scheduler's own API through our class, and entries that the library itself put into the same Redis."""

from __future__ import annotations

import os
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django_rq
import pytest
from rq.job import Job

from schedules.engine import Scheduler, keys
from schedules.engine.stock import UnreadableEntryError, read_meta
from tests.redis.conftest import T0, Engine
from tests.support.jobs import add, echo
from tests.support.stock import stock_scheduler
from tests.support.workers import work

NAIVE = T0.replace(tzinfo=None)
"""T0 as rq-scheduler takes it: naive UTC."""


def test_django_rq_builds_our_class(redis: object) -> None:
    assert isinstance(django_rq.get_scheduler(), Scheduler)


@pytest.mark.parametrize("moment", [T0, NAIVE, T0.astimezone()], ids=["aware", "naive", "local"])
def test_enqueue_at_runs_once_at_its_time(engine: Engine, moment: datetime) -> None:
    job = engine.scheduler.enqueue_at(moment + timedelta(seconds=10), add, 20, right=22)
    assert engine.at(9).queued() == []
    assert engine.at(10).queued() == [job.id]
    work(engine.connection)
    assert job.return_value() == 42
    assert job not in engine.scheduler
    assert engine.at(100).queued() == []


def test_enqueue_at_takes_the_library_s_options(engine: Engine) -> None:
    job = engine.scheduler.enqueue_at(
        T0,
        echo,
        1,
        job_id="mine",
        job_ttl=1000,
        job_result_ttl=5,
        job_description="what it is",
        meta={"a": 1},
        queue_name="low",
        timeout=7,
        other=2,
    )
    engine.at(0)
    assert engine.queued("low") == ["mine"]
    stored = Job.fetch("mine", connection=engine.connection)
    assert (stored.timeout, stored.result_ttl, stored.ttl) == (7, 5, 1000)
    assert (stored.description, stored.meta, stored.origin) == ("what it is", {"a": 1}, "low")
    assert (stored.args, stored.kwargs, job.id) == ((1,), {"other": 2}, "mine")


def test_enqueue_in_runs_so_long_from_now(engine: Engine) -> None:
    job = engine.scheduler.enqueue_in(timedelta(seconds=30), add, 1)
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    assert 28 <= (due - datetime.now(UTC)).total_seconds() <= 31


@pytest.mark.parametrize("call", ["enqueue_at", "enqueue_in", "schedule"])
def test_at_front_goes_before_what_is_queued(engine: Engine, call: str) -> None:
    scheduler = engine.scheduler
    engine.connection.rpush("rq:queue:default", "waiting")
    if call == "enqueue_in":
        job = scheduler.enqueue_in(timedelta(0), add, 1, at_front=True)
    elif call == "enqueue_at":
        job = scheduler.enqueue_at(T0, add, 1, at_front=True)
    else:
        job = scheduler.schedule(T0, add, args=(1,), at_front=True)
    engine.clock.set(datetime.now(UTC) + timedelta(seconds=2))
    engine.dispatch()
    assert engine.queued() == [job.id, "waiting"]


def test_schedule_runs_at_its_interval_without_drift(engine: Engine) -> None:
    engine.scheduler.schedule(T0, add, args=(1,), interval=90, id="every90")
    for minute in range(0, 60):
        engine.at(minute * 60 + 0.9)
        for job in engine.queued():
            engine.finish(job)
    slots = [e["j"].rpartition("_")[2] for e in engine.events("queued")]
    assert slots == [str(int(T0.timestamp()) + 90 * n) for n in range(40)]


def test_schedule_repeats_so_often_and_is_gone_then(engine: Engine) -> None:
    engine.scheduler.schedule(T0, add, args=(1,), interval=10, repeat=3, id="thrice")
    for step in range(10):
        engine.at(step * 10)
        work(engine.connection)
    assert [e["j"].rpartition("_")[2] for e in engine.events("queued")] == [
        str(int(T0.timestamp()) + 10 * n) for n in range(3)
    ]
    assert "thrice" not in engine.scheduler
    assert engine.connection.hgetall(keys.INDEX) == {}


@pytest.mark.parametrize("interval", [0, -5])
def test_an_interval_below_one_is_refused_with_a_sentence(engine: Engine, interval: int) -> None:
    with pytest.raises(ValueError, match=rf"interval is {interval}.*1 or more"):
        engine.scheduler.schedule(T0, add, args=(1,), interval=interval)
    assert engine.scheduler.count() == 0


def test_repeat_without_interval_is_refused_as_in_the_library(engine: Engine) -> None:
    with pytest.raises(ValueError, match="repeat"):
        engine.scheduler.schedule(T0, add, args=(1,), repeat=3)


def test_cron_runs_when_the_expression_says(engine: Engine) -> None:
    engine.clock.set(datetime.now(UTC))
    job = engine.scheduler.cron("*/5 * * * *", add, args=(1,), repeat=2, queue_name="low", meta={"a": 1})
    due = engine.scheduler.next_due(job.id)
    assert due is not None
    assert due.minute % 5 == 0
    for step in range(4):
        engine.clock.set(due + timedelta(minutes=5 * step))
        engine.dispatch()
        work(engine.connection, queue="low")
    assert len(engine.events("queued")) == 2
    assert job.meta["a"] == 1


def test_cron_that_cannot_be_is_refused(engine: Engine) -> None:
    for expression in ("0 0 30 2 *", "every day", "61 * * * *"):
        with pytest.raises(ValueError, match=r"."):
            engine.scheduler.cron(expression, add)
    assert engine.scheduler.count() == 0


def test_depends_on_is_kept(engine: Engine) -> None:
    first = engine.scheduler.enqueue_at(T0, add, 1)
    second = engine.scheduler.enqueue_at(T0, add, 2, depends_on=first)
    assert Job.fetch(second.id, connection=engine.connection)._dependency_ids == [first.id]


@pytest.mark.parametrize("by", ["job", "id"])
@pytest.mark.parametrize("kind", ["once", "interval", "cron"])
def test_cancel_takes_it_out(engine: Engine, by: str, kind: str) -> None:
    scheduler = engine.scheduler
    if kind == "once":
        job = scheduler.enqueue_at(T0, add, 1)
    elif kind == "interval":
        job = scheduler.schedule(T0, add, args=(1,), interval=10)
    else:
        job = scheduler.cron("* * * * *", add, args=(1,))
    assert job in scheduler
    assert job.id in scheduler
    scheduler.cancel(job if by == "job" else job.id)
    assert job not in scheduler
    engine.clock.set(datetime.now(UTC) + timedelta(days=1))
    assert engine.dispatch().queued() == []
    assert engine.connection.exists(keys.plan(job.id), keys.template(job.id)) == 0


def test_change_execution_time_moves_it(engine: Engine) -> None:
    job = engine.scheduler.enqueue_at(T0 + timedelta(hours=1), add, 1)
    engine.scheduler.change_execution_time(job, NAIVE + timedelta(seconds=5))
    assert engine.at(5).queued() == [job.id]
    with pytest.raises(ValueError, match="not in scheduled jobs queue"):
        engine.scheduler.change_execution_time(job, NAIVE)


def test_a_periodic_one_that_was_moved_goes_on_with_its_own_times(engine: Engine) -> None:
    job = engine.scheduler.schedule(T0 + timedelta(seconds=60), add, args=(1,), interval=60)
    engine.scheduler.change_execution_time(job, T0 + timedelta(seconds=75))
    engine.at(75)
    assert engine.slots() == [75]
    due = engine.scheduler.next_due(job.id)
    assert due == T0 + timedelta(seconds=120)


def test_get_jobs_tells_what_is_scheduled_earliest_first(engine: Engine) -> None:
    scheduler = engine.scheduler
    jobs = [scheduler.enqueue_at(T0 + timedelta(seconds=10 * n), add, n) for n in (3, 1, 2)]
    periodic = scheduler.schedule(T0 + timedelta(seconds=40), add, args=(1,), interval=10)
    order = [jobs[1].id, jobs[2].id, jobs[0].id, periodic.id]
    assert [job.id for job in scheduler.get_jobs()] == order
    assert [job.id for job in scheduler.get_jobs(until=T0 + timedelta(seconds=20))] == order[:2]
    assert [job.id for job in scheduler.get_jobs(until=NAIVE + timedelta(seconds=20))] == order[:2]
    assert [job.id for job in scheduler.get_jobs(offset=1, length=2)] == order[1:3]
    timed = list(scheduler.get_jobs(with_times=True))
    assert timed[0][1] == NAIVE + timedelta(seconds=10)
    assert [job.id for job, _ in timed] == order
    assert scheduler.count() == 4
    assert scheduler.count(until=T0 + timedelta(seconds=20)) == 2
    assert scheduler.count(until=int(T0.timestamp()) + 20) == 2
    assert scheduler.count(until=timedelta(0)) == (4 if datetime.now(UTC) > T0 else 0)


def test_get_jobs_changes_nothing_and_shows_a_schedule_whose_job_hash_is_gone(engine: Engine) -> None:
    """Stock deletes what it cannot show, so that looking at the page loses schedules."""
    periodic = engine.scheduler.schedule(T0, add, args=(1,), interval=10)
    one_off = engine.scheduler.enqueue_at(T0, add, 1)
    engine.connection.delete(periodic.key, one_off.key)
    assert [job.id for job in engine.scheduler.get_jobs()] == [periodic.id]
    assert engine.scheduler.count() == 2


def test_what_the_library_itself_put_there_is_dispatched(engine: Engine) -> None:
    stock = stock_scheduler(engine.connection)
    once = stock.enqueue_at(NAIVE + timedelta(seconds=5), add, 1)
    low = stock.enqueue_at(NAIVE + timedelta(seconds=5), add, 1, queue_name="low")
    engine.at(5)
    assert (engine.queued(), engine.queued("low")) == ([once.id], [low.id])
    work(engine.connection)
    assert once.return_value() == 2


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the library's own crontab
@pytest.mark.parametrize("kind", ["interval", "cron"])
def test_periodic_entries_of_the_library_are_adopted_and_go_on_at_their_own_times(
    engine: Engine, kind: str
) -> None:
    stock = stock_scheduler(engine.connection)
    if kind == "interval":
        job = stock.schedule(NAIVE, add, args=(20, 22), interval=60)
    else:
        job = stock.cron("* * * * *", add, args=(20, 22))
        engine.connection.zadd(keys.SCHEDULED, {job.id: T0.timestamp()})
    for minute in range(3):
        engine.at(60 * minute + 1)
        work(engine.connection)
    ran = [e["j"] for e in engine.events("ended")]
    assert ran == [f"{job.id}_{int(T0.timestamp()) + 60 * minute}" for minute in range(3)]
    assert Job.fetch(ran[-1], connection=engine.connection).return_value() == 42
    assert job in engine.scheduler
    assert [shown.id for shown in engine.scheduler.get_jobs()] == [job.id]
    stock.cancel(job)
    assert engine.at(600).queued() == []


def test_a_repeat_count_of_the_library_is_honoured(engine: Engine) -> None:
    stock_scheduler(engine.connection).schedule(NAIVE, add, args=(1,), interval=10, repeat=2)
    for step in range(5):
        engine.at(10 * step)
        work(engine.connection)
    assert len(engine.events("queued")) == 2
    assert engine.scheduler.count() == 0


def test_a_job_that_overwrites_its_meta_changes_nothing_of_its_schedule(engine: Engine) -> None:
    """Stock keeps interval, cron expression and count in the job's meta: it stops, or repeats for ever."""
    job = stock_scheduler(engine.connection).schedule(
        NAIVE, "tests.support.jobs.overwrite_meta", interval=60, repeat=3
    )
    for step in range(20):
        engine.at(30 * step)
        work(engine.connection)
    assert [int(e["j"].rpartition("_")[2]) - int(T0.timestamp()) for e in engine.events("queued")] == [
        0,
        60,
        120,
    ]
    assert job not in engine.scheduler


def test_one_that_was_cancelled_and_scheduled_anew_under_its_id_runs_its_new_times(engine: Engine) -> None:
    scheduler = engine.scheduler
    scheduler.schedule(T0, add, args=(1,), interval=10, id="same")
    engine.at(0)
    work(engine.connection)
    scheduler.cancel("same")
    scheduler.schedule(T0 + timedelta(seconds=100), add, args=(1,), interval=30, id="same")
    engine.at(50).at(100)
    assert engine.slots() == [100]
    assert scheduler.next_due("same") == T0 + timedelta(seconds=130)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", ["payload", "meta", "a list in the meta", "result", "a key of the meta"])
def test_a_pickle_that_executes_something_is_never_opened(engine: Engine, tmp_path: Path, where: str) -> None:
    mark = tmp_path / "boom"
    job = stock_scheduler(engine.connection).schedule(NAIVE, add, args=(1,), interval=60)
    bomb = Bomb(mark)
    fields: dict[str, Any] = {
        "payload": ("data", bomb),
        "meta": ("meta", {"interval": 60, "x": bomb}),
        "a list in the meta": ("meta", {"interval": 60, "x": [bomb, {"y": bomb}]}),
        "result": ("result", bomb),
        "a key of the meta": ("meta", {"interval": 60, (1, 2): bomb}),
    }
    name, value = fields[where]
    engine.connection.hset(job.key, name, pickle.dumps(value))
    engine.at(0).at(60)
    assert len(engine.events("queued")) == 1
    assert not mark.exists()
    assert pickle.loads(pickle.dumps(bomb)) is None  # it does work
    assert mark.exists()


def test_a_meta_with_objects_of_the_user_is_read_around_them() -> None:
    meta = read_meta(
        pickle.dumps({"interval": 5, "when": T0, "path": Path("/"), "set": {1}, "c": complex(1)})
    )
    assert meta["interval"] == 5


@pytest.mark.parametrize("raw", [b"", b"garbage", b"[]", pickle.dumps(None), pickle.dumps("text")])
def test_a_meta_that_is_none_says_so(raw: bytes) -> None:
    with pytest.raises(UnreadableEntryError, match="meta"):
        read_meta(raw)


def test_a_meta_in_json_is_read_too(engine: Engine) -> None:
    assert read_meta(b'{"interval": 5}') == {"interval": 5}


def test_enqueue_jobs_and_enqueue_job_work_as_in_the_library(engine: Engine) -> None:
    job = engine.scheduler.enqueue_at(T0 + timedelta(days=3650), add, 1)
    due = engine.scheduler.enqueue_at(T0, add, 1)
    assert [found.id for found in engine.scheduler.enqueue_jobs()] == [due.id]
    engine.clock.set(datetime.now(UTC) + timedelta(seconds=2))
    engine.scheduler.enqueue_job(job)
    assert engine.queued() == [due.id, job.id]


def test_a_call_whose_reply_was_lost_is_not_run_twice(engine: Engine) -> None:
    """The client library sends again what was not answered; meanwhile the job has been dispatched."""
    for made in (
        lambda: engine.scheduler.enqueue_at(T0, add, 1),
        lambda: engine.scheduler.enqueue_once(
            T0,
            "tests.support.jobs.add",
            args=(1,),
            kwargs={},
            queue="default",
            timeout=None,
            result_ttl=None,
            retry=None,
        ),
    ):
        engine.connection.delete("rq:queue:default")
        script = engine.scheduler._place

        def sent_twice(script: Any = script, **options: Any) -> object:
            script(**options)
            engine.at(1)
            return script(**options)

        engine.scheduler._place = sent_twice  # type: ignore[assignment]
        job = made()
        engine.scheduler._place = script
        assert engine.at(2).queued() == [job.id]


@pytest.mark.parametrize("kind", ["once", "periodic", "ours", "ours periodic"])
def test_a_job_that_was_given_no_timeout_has_the_queue_s(engine: Engine, kind: str) -> None:
    """Without one in its hash, a worker leaves it "started" for ever."""
    stock = stock_scheduler(engine.connection)
    if kind == "once":
        stock.enqueue_at(NAIVE, add, 1)
    elif kind == "periodic":
        stock.schedule(NAIVE, add, args=(1,), interval=60)
    elif kind == "ours":
        engine.scheduler.enqueue_at(NAIVE, add, 1)
    else:
        engine.scheduler.schedule(NAIVE, add, args=(1,), interval=60)
    (job_id,) = engine.at(0).queued()
    assert engine.connection.hget(f"rq:job:{job_id}", "timeout") == b"180"
