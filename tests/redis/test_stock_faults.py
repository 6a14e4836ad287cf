"""What stock rq-scheduler does wrong, line by line of the measurements; here it is right.

What takes processes, kills and cut connections has its own, larger tests: `tests/chaos`, `test_loop.py`,
`test_quarantine.py`, `test_retries.py`. Here each fault is told by one test of its own.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from django_rq import get_queue

from schedules.engine import Entries, Progress, Scheduler, keys
from schedules.timing import IntervalTrigger
from tests.redis.conftest import T0, Engine, make_spec, schedule_id
from tests.support.jobs import add
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.stock import stock_scheduler
from tests.support.waiting import wait_for
from tests.support.workers import work, worker_process

ROOT = Path(__file__).resolve().parent.parent.parent


DISPATCH = """
import sys, django, redis
django.setup()
from tests.redis.test_stock_faults import dispatch_over
dispatch_over(redis.Redis(unix_socket_path=sys.argv[1]))
"""


def dispatch_over(client: redis_py.Redis) -> None:
    """Dispatch what is due over a connection of one's own, as often as it breaks."""
    queue = get_queue("default", connection=client)
    scheduler = Scheduler(queue=queue, connection=client, queue_name="default")
    for _ in range(20):
        try:
            scheduler.run(burst=True)
        except redis_py.RedisError:
            continue
        return


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_dies_in_a_pass_loses_no_schedule_and_doubles_no_slot(
    engine: Engine, sign: signal.Signals
) -> None:
    """Stock: 4 to 7 of 200 gone for ever, 9 to 12 slots twice."""
    past = datetime.now(UTC) - timedelta(seconds=20)
    count = 3000
    Entries(engine.connection).register(
        make_spec(n, trigger=IntervalTrigger(every=3600, anchor=past + timedelta(seconds=10)))
        for n in range(1, count + 1)
    )
    path = engine.connection.connection_pool.connection_kwargs["path"]
    engine.connection.zadd(keys.SCHEDULED, {schedule_id(n): past.timestamp() for n in range(1, count + 1)})
    for _ in range(5):
        before = engine.connection.llen("rq:queue:default")
        if before == count:
            break
        # A process of its own, not a fork of this one: threads of other tests may hold locks here.
        process = subprocess.Popen(
            [sys.executable, "-c", DISPATCH, str(path)],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "scheduler_project.settings"},
        )
        wait_for(lambda before=before: engine.connection.llen("rq:queue:default") > before, seconds=30)
        process.send_signal(sign)
        process.wait(10)
    dispatch_over(engine.connection)
    queued = engine.queued()
    assert len(queued) == len(set(queued)) == count
    assert engine.connection.zcard(keys.SCHEDULED) == count


def test_a_batch_that_takes_longer_than_any_lock_is_not_dispatched_twice(
    engine: Engine, make_engine: Callable[[], Engine]
) -> None:
    """Stock: 586 of 1,200 twice; here one that slept in the middle of its batch finds it done."""
    engine.register(*(make_spec(n) for n in range(1, 1201)))
    engine.clock.set(T0 + timedelta(seconds=60))
    other = make_engine()
    other.clock.set(T0 + timedelta(seconds=60))
    moving = engine.scheduler.dispatcher._moving

    def after_a_long_sleep(*decided: Any) -> list[Any]:
        other.dispatch()
        return moving(*decided)

    engine.scheduler.dispatcher._moving = after_a_long_sleep  # type: ignore[method-assign]
    engine.dispatch()
    assert len(engine.queued()) == len(set(engine.queued())) == 1200


def test_no_lock_is_taken_and_so_none_is_deleted(engine: Engine) -> None:
    """Stock: a finished pass deletes the other's lock."""
    engine.connection.set("rq:scheduler_lock", "another's")
    assert engine.scheduler.acquire_lock() is True
    engine.scheduler.remove_lock()
    engine.register(make_spec())
    assert engine.at(60).slots() == [60]
    assert engine.connection.get("rq:scheduler_lock") == b"another's"


@pytest.mark.parametrize("after", range(8))
def test_a_reply_that_is_lost_after_the_server_executed_doubles_nothing(
    engine: Engine, redis_server: RedisServer, after: int
) -> None:
    """Stock: enqueued twice, no error."""
    past = datetime.now(UTC) - timedelta(seconds=20)
    Entries(engine.connection).register(
        make_spec(n, trigger=IntervalTrigger(every=3600, anchor=past)) for n in range(1, 11)
    )
    engine.connection.zadd(keys.SCHEDULED, {schedule_id(n): past.timestamp() for n in range(1, 11)})
    with Proxy(redis_server.socket) as proxy:
        client = redis_py.Redis.from_url(proxy.url)
        client.ping()
        proxy.cut_reply(skip=after)
        dispatch_over(client)
        client.close()
    assert len(engine.queued()) == len(set(engine.queued())) == 10


@pytest.mark.parametrize("field", ["payload", "meta", "status", "date", "type", "id"])
def test_one_unreadable_entry_stops_nobody_else(engine: Engine, field: str) -> None:
    """Stock: the process dies at every start, nothing is dispatched any more."""
    job = stock_scheduler(engine.connection).enqueue_at(T0.replace(tzinfo=None), add, 1)
    if field == "type":
        engine.connection.set(job.key, "a text")
    elif field == "id":
        engine.connection.zadd(keys.SCHEDULED, {b"\xff\xfe\x00": 1})
    elif field == "payload":
        engine.connection.hdel(job.key, "data")
    else:
        name = {"meta": "meta", "status": "status", "date": "created_at"}[field]
        engine.connection.hset(job.key, name, b"\x80garbage")
    engine.register(make_spec())
    assert engine.at(60).slots() == [60]
    assert len(engine.quarantined()) == 1


@pytest.mark.parametrize("what", ["queue emptied", "run deleted", "job expired", "display job deleted"])
def test_a_job_hash_that_goes_does_not_take_the_schedule_with_it(engine: Engine, what: str) -> None:
    """Stock: the schedule vanishes silently, because the schedule is the job."""
    engine.register(make_spec())
    (job_id,) = engine.at(60).queued()
    if what == "queue emptied":
        get_queue("default", connection=engine.connection).empty()
    elif what == "run deleted":
        job = get_queue("default", connection=engine.connection).fetch_job(job_id)
        assert job is not None
        job.delete()
    elif what == "job expired":
        engine.connection.pexpire(f"rq:job:{job_id}", 1)
        wait_for(lambda: not engine.connection.exists(f"rq:job:{job_id}"))
        engine.connection.delete("rq:queue:default")
    else:
        engine.connection.delete(f"rq:job:{schedule_id()}")
        engine.finish(job_id)
    assert [job.id for job in engine.scheduler.get_jobs()] == [schedule_id()]
    assert engine.at(120).slots() == [120]


@pytest.mark.parametrize("option", ["ttl", "failure_ttl", "result_ttl"])
def test_what_expires_jobs_does_not_expire_schedules(engine: Engine, option: str) -> None:
    job = stock_scheduler(engine.connection).schedule(T0.replace(tzinfo=None), add, args=(1,), interval=60)
    engine.connection.hset(job.key, option, "1")
    engine.at(0)
    work(engine.connection)
    assert engine.connection.ttl(keys.plan(job.id)) == -1
    assert engine.connection.ttl(keys.template(job.id)) == -1
    assert engine.at(60).slots() == [60]


def test_a_flush_is_healed_by_registering_again_without_losing_or_doubling(engine: Engine) -> None:
    engine.register(make_spec())
    engine.at(60)
    engine.connection.flushall()
    engine.clock.set(T0 + timedelta(seconds=130))
    engine.register(make_spec(), progress={schedule_id(): Progress(after=T0 + timedelta(seconds=60))})
    assert engine.dispatch().slots() == [120]


def test_a_cancel_while_a_batch_is_under_way_is_final(engine: Engine) -> None:
    """Stock: comes back to life 450 of 500 times."""
    engine.register(*(make_spec(n) for n in range(1, 501)))
    engine.clock.set(T0 + timedelta(seconds=60))
    dispatcher = engine.scheduler.dispatcher
    moving = dispatcher._moving

    def after_a_cancel(*decided: Any) -> list[Any]:
        engine.scheduler.unregister([schedule_id(n) for n in range(1, 501)])
        return moving(*decided)

    dispatcher._moving = after_a_cancel  # type: ignore[method-assign]
    engine.dispatch()
    dispatcher._moving = moving  # type: ignore[method-assign]
    engine.at(120).at(180)
    assert (engine.queued(), engine.connection.zcard(keys.SCHEDULED)) == ([], 0)


def test_an_edit_while_a_batch_is_under_way_is_not_overwritten(engine: Engine) -> None:
    engine.register(*(make_spec(n) for n in range(1, 51)))
    engine.clock.set(T0 + timedelta(seconds=60))
    dispatcher = engine.scheduler.dispatcher
    moving = dispatcher._moving
    trigger = IntervalTrigger(every=45, anchor=T0)

    def after_an_edit(*decided: Any) -> list[Any]:
        engine.register(*(make_spec(n, trigger=trigger, timeout=7) for n in range(1, 51)))
        return moving(*decided)

    dispatcher._moving = after_an_edit  # type: ignore[method-assign]
    engine.dispatch()
    dispatcher._moving = moving  # type: ignore[method-assign]
    engine.at(90)
    assert engine.slots() == [90] * 50
    assert {engine.connection.hget(f"rq:job:{job}", "timeout") for job in engine.queued()} == {b"7"}


def test_a_worker_slower_than_the_schedule_has_one_job_for_each_slot_and_one_at_a_time(
    engine: Engine,
) -> None:
    """Stock: one id 13 times in the queue, four copies at once, one status for all."""
    engine.register(make_spec(overlap_policy="buffer_all"))
    for minute in range(1, 14):
        engine.at(60 * minute)
    ids = {event["j"] for event in engine.events("queued")}
    assert len(ids) == 13
    assert len(engine.queued()) == 1


def test_a_job_that_writes_its_meta_neither_stops_nor_repeats_its_schedule(engine: Engine) -> None:
    engine.register(make_spec(func="tests.support.jobs.overwrite_meta", args=(), max_runs=3))
    for minute in range(1, 10):
        engine.at(60 * minute)
        work(engine.connection)
    assert len(engine.events("queued")) == 3


def test_an_interval_of_90_seconds_runs_960_times_a_day(engine: Engine) -> None:
    """Stock, at its default poll: 720 times; and after 60 days a daily job is 12 minutes late."""
    engine.register(
        make_spec(1, trigger=IntervalTrigger(every=90, anchor=T0), overlap_policy="allow_all"),
        make_spec(
            2, trigger=IntervalTrigger(every=86_400, anchor=T0), overlap_policy="allow_all", queue="low"
        ),
    )
    for minute in range(1, 24 * 60 + 1):
        engine.at(minute * 60 + 0.3)
    assert len(engine.slots()) == 960
    for day in range(2, 61):
        engine.at(day * 86_400 + 12)
    assert engine.slots("low") == [86_400 * day for day in range(1, 61)]


@pytest.mark.parametrize("interval", [-5, 0])
def test_an_interval_below_one_never_runs(engine: Engine, interval: int) -> None:
    """Stock: 40 runs in 4 s."""
    job = stock_scheduler(engine.connection).enqueue_at(T0.replace(tzinfo=None), add, 1)
    engine.connection.hset(job.key, "meta", pickle.dumps({"interval": interval}))
    for second in range(4):
        engine.at(second)
    # An interval of 0 is none, for stock as well: it is a one-off then.
    assert len(engine.queued()) == (1 if interval == 0 else 0)
    with pytest.raises(ValueError, match=rf"interval is {interval}"):
        engine.scheduler.schedule(T0, add, args=(1,), interval=interval)


def test_the_lag_of_200_one_second_schedules_is_milliseconds(redis: redis_py.Redis, tmp_path: Path) -> None:
    """Stock at its best poll: half a second. The strict figures are those of `benchmarks/`."""
    from tests.support.scheduler_process import SchedulerProcess

    anchor = datetime.now(UTC).replace(microsecond=0)
    url = f"unix://{redis.connection_pool.connection_kwargs['path']}?db=0"
    with SchedulerProcess(url=url, directory=tmp_path) as process:
        wait_for(lambda: "Dispatching" in process.text(), seconds=20)
        trigger = IntervalTrigger(every=1, anchor=anchor)
        Entries(redis).register(
            make_spec(n, trigger=trigger, overlap_policy="allow_all") for n in range(1, 201)
        )
        wait_for(lambda: redis.llen("rq:queue:default") >= 600, seconds=20)
    lags = []
    for raw in redis.lrange("rq:queue:default", 0, -1):
        enqueued_at = (redis.hget(f"rq:job:{raw.decode()}", "enqueued_at") or b"").decode()
        moment = datetime.strptime(enqueued_at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        lags.append(moment.timestamp() - int(raw.rpartition(b"_")[2]))
    # The median alone, and generously: other tests share the machine.
    assert sorted(lags)[len(lags) // 2] < 0.25


def test_a_payload_is_never_executed_in_the_scheduler(engine: Engine, tmp_path: Path) -> None:
    """Stock unpickles, and so executes, what is in Redis."""
    mark = tmp_path / "boom"

    class Bomb:
        def __reduce__(self) -> object:
            return os.mkdir, (str(mark),)

    engine.register(make_spec())
    stock = stock_scheduler(engine.connection).enqueue_at(T0.replace(tzinfo=None), add, 1)
    bomb = pickle.dumps(Bomb())
    engine.connection.hset(keys.template(schedule_id()), "data", bomb)
    engine.connection.hset(stock.key, mapping={"data": bomb, "meta": bomb})
    engine.at(60)
    assert not mark.exists()


def test_a_delayed_retry_is_made_with_the_documented_commands(engine: Engine, tmp_path: Path) -> None:
    """Stock: `Retry(max=3, interval=1)` is never retried unless a worker is started with a scheduler of its own."""
    engine.register(
        make_spec(
            func="tests.support.jobs.fail_until",
            args=(str(tmp_path / "count"), 2),
            retry_max=3,
            retry_intervals=(1,),
        )
    )
    (job_id,) = engine.at(60).queued()
    work(engine.connection)
    engine.clock.set(datetime.now(UTC) + timedelta(seconds=3))
    engine.scheduler.dispatcher.promote_retries()
    work(engine.connection)
    assert engine.connection.hget(f"rq:job:{job_id}", "status") == b"finished"


def test_a_run_whose_work_horse_was_killed_is_told_at_once(engine: Engine, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    engine.register(make_spec(func="tests.support.jobs.kill_own_process", args=(str(mark),)))
    (job_id,) = engine.at(60).queued()
    with worker_process(engine.connection):
        wait_for(lambda: engine.events("ended"), seconds=20)
    (ended,) = engine.events("ended")
    assert (ended["j"], ended["st"]) == (job_id, "abandoned")
    assert "killed by signal 9 (SIGKILL)" in ended["r"]
    assert engine.at(120).slots() == [120]


CALL_EVERYTHING_AND_RUN = """
import datetime, sys, django; django.setup()
import django_rq
from tests.support.jobs import add
scheduler = django_rq.get_scheduler()
now = datetime.datetime.now(datetime.UTC)
scheduler.enqueue_at(now, add, 1)
scheduler.enqueue_in(datetime.timedelta(0), add, 1)
job = scheduler.schedule(now, add, args=(1,), interval=60)
scheduler.cron('* * * * *', add, args=(1,))
scheduler.change_execution_time(job, now)
assert job in scheduler and scheduler.count(until=datetime.timedelta(1)) == 4
scheduler.cancel(scheduler.enqueue_at(now, add, 1))
scheduler.run(burst=True)
assert len(list(scheduler.get_jobs(with_times=True))) == 2
scheduler.enqueue_in(datetime.timedelta(0), add, 1)
sys.argv = ['manage.py', 'rqscheduler']
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


def test_python_3_13_with_warnings_as_errors_dispatches(redis: redis_py.Redis) -> None:
    """Stock dies of deprecation warnings."""
    python, environment = python_3_13()
    process = subprocess.Popen(
        [python, "-W", "error", "-c", CALL_EVERYTHING_AND_RUN],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "scheduler_project.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: redis.llen("rq:queue:default") == 4 or process.poll() is not None, seconds=60)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in said) == (0, False), said[-3000:]
    assert redis.llen("rq:queue:default") == 4


def python_3_13() -> tuple[str, dict[str, str]]:
    """Return a Python 3.13 and the environment in which it finds what is installed here; skip if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    shared = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(shared)}
    for python in [shutil.which("python3.13"), *pyenv.glob("versions/3.13.*/bin/python3.13")]:
        if python is None:
            continue
        # With what is installed for another version; what is compiled for that one has a substitute in Python.
        probe = [python, "-c", "import rq_scheduler, rq, redis, django.db.backends.sqlite3.base"]
        if subprocess.run(probe, env=environment, capture_output=True, check=False).returncode == 0:
            return str(python), environment
    pytest.skip("there is no python3.13 that can use the packages of this Python")


def test_redis_away_does_not_end_the_process() -> None:
    """Stock dies after 5 s without Redis: see the processes of `test_loop.py`."""
    from schedules.engine.loop import _is_passing

    assert _is_passing(redis_py.ConnectionError("Connection refused"))


def test_a_pass_over_thousands_takes_few_round_trips(engine: Engine) -> None:
    """Stock: 11 commands and 5 round trips for each job."""
    engine.register(*(make_spec(n) for n in range(1, 2001)))
    engine.clock.set(T0 + timedelta(seconds=60))
    engine.connection.config_resetstat()
    began = time.monotonic()
    engine.dispatch()
    seconds = time.monotonic() - began
    sent = engine.connection.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert len(engine.queued()) == 2000
    assert sent < 100
    assert seconds < 5
