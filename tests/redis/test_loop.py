"""The loop in a process of its own: woken, stopped, paused, and Redis taken away from under it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis as redis_py

from schedules.engine import Entries, keys
from schedules.timing import IntervalTrigger, OnceTrigger
from tests.redis.conftest import make_spec, schedule_id
from tests.support.redis_server import RedisServer
from tests.support.scheduler_process import SchedulerProcess
from tests.support.stock import stock_scheduler
from tests.support.waiting import wait_for


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, which it may kill."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def process(server: RedisServer, tmp_path: Path) -> Iterator[SchedulerProcess]:
    with SchedulerProcess(url=server.url, directory=tmp_path) as process:
        wait_for(lambda: "Dispatching" in process.text(), seconds=20, what=process.text())
        with server.client() as client:
            # Asleep: subscribed, and its first pass done.
            wait_for(lambda: client.pubsub_numsub(keys.WAKE)[0][1] == 1)
        time.sleep(0.1)
        yield process


def every_second(server: RedisServer, number: int = 1) -> None:
    trigger = IntervalTrigger(every=1, anchor=datetime.now(UTC))
    with server.client() as client:
        Entries(client).register([make_spec(number, trigger=trigger, overlap_policy="allow_all")])


def once(server: RedisServer, moment: datetime, number: int = 1) -> None:
    with server.client() as client:
        Entries(client).register([make_spec(number, trigger=OnceTrigger(at=moment))])


def jobs(server: RedisServer) -> list[str]:
    with server.client() as client:
        return [job.decode() for job in client.lrange("rq:queue:default", 0, -1)]


def test_one_that_is_due_earlier_than_all_others_is_dispatched_without_a_poll(
    server: RedisServer, process: SchedulerProcess
) -> None:
    once(server, datetime.now(UTC) + timedelta(hours=1), 1)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    once(server, due, 2)
    wait_for(lambda: jobs(server), seconds=5)
    assert (datetime.now(UTC) - due).total_seconds() < 0.5


@pytest.mark.parametrize("how", ["enqueue_at", "service"])
def test_what_is_due_at_once_does_not_wait_for_the_next_look(
    server: RedisServer, process: SchedulerProcess, how: str
) -> None:
    from django_rq import get_queue

    from schedules.engine import Scheduler

    with server.client() as client:
        scheduler = Scheduler(queue=get_queue("default", connection=client), connection=client)
        if how == "enqueue_at":
            scheduler.enqueue_at(datetime.now(UTC), "tests.support.jobs.add", 1)
        else:
            scheduler.enqueue_once(
                datetime.now(UTC),
                "tests.support.jobs.add",
                args=(1,),
                kwargs={},
                queue="default",
                timeout=None,
                result_ttl=None,
                retry=None,
            )
    wait_for(lambda: jobs(server), seconds=1)


def test_a_connection_that_was_cut_while_it_slept_does_not_make_it_deaf(
    server: RedisServer, process: SchedulerProcess
) -> None:
    """The client library subscribes again by itself; what was registered in between rang nobody."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    with server.client() as client, client.pipeline() as pipe:
        made = stock_scheduler(client)._create_job("tests.support.jobs.add", args=(1,))
        # In one step, so that the message certainly finds no listener.
        pipe.client_kill_filter(_type="pubsub")
        pipe.zadd(keys.SCHEDULED, {made.id: due.timestamp()})
        pipe.publish(keys.WAKE, made.id)
        pipe.execute()
    wait_for(lambda: jobs(server), seconds=4)


def test_sigterm_ends_it_in_time_with_exit_code_0(server: RedisServer, process: SchedulerProcess) -> None:
    code, seconds = process.terminate()
    assert code == 0
    assert seconds < 2
    assert "Stopped." in process.text()
    with server.client() as client:
        assert client.keys(f"{keys.INSTANCES}*") == []


def test_a_second_signal_does_not_tear_it_out_of_its_farewell(
    server: RedisServer, process: SchedulerProcess
) -> None:
    """Ctrl-C comes from the terminal and from whoever started it."""
    process.signal(signal.SIGINT)
    code, seconds = process.terminate()
    assert code == 0
    assert seconds < 2
    with server.client() as client:
        assert client.keys(f"{keys.INSTANCES}*") == []


def test_sigterm_during_a_long_pass_finishes_the_batch_and_leaves_the_rest(
    server: RedisServer, process: SchedulerProcess
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=5)
    with server.client() as client:
        process.signal(signal.SIGSTOP)
        Entries(client).register(
            make_spec(n, trigger=IntervalTrigger(every=86400, anchor=past)) for n in range(1, 2)
        )
        members = {schedule_id(n): past.timestamp() for n in range(2, 20_001)}
        # Strangers with nothing behind them: each costs a call of its own, so the pass takes seconds.
        client.zadd(keys.SCHEDULED, members)  # type: ignore[arg-type]
        process.signal(signal.SIGCONT)
        wait_for(lambda: client.hlen(keys.QUARANTINE) > 100)
        code, seconds = process.terminate()
        assert (code, seconds < 5) == (0, True)
        assert client.zcard(keys.SCHEDULED) + client.hlen(keys.QUARANTINE) >= 19_999


@pytest.mark.parametrize("state", ["away", "hanging"])
def test_sigterm_ends_it_while_redis_does_not_answer(
    server: RedisServer, process: SchedulerProcess, state: str
) -> None:
    every_second(server)
    if state == "away":
        server.kill()
        wait_for(lambda: "Redis does not answer" in process.text(), seconds=15)
    else:
        server.sigstop()
        time.sleep(1.5)  # for it to be in the middle of a call
    code, seconds = process.terminate()
    assert code == 0
    assert seconds < 5


def test_redis_away_for_five_seconds_is_said_once_and_everything_goes_on(
    server: RedisServer, process: SchedulerProcess
) -> None:
    every_second(server)
    wait_for(lambda: jobs(server))
    server.kill()
    time.sleep(5)
    before = time.time()
    server.start()
    wait_for(
        lambda: any(int(job.rpartition("_")[2]) > before + 1 for job in jobs(server)),
        seconds=15,
        what="dispatching after Redis came back",
    )
    assert process.is_running
    assert process.text().count("Redis does not answer") == 1
    assert process.text().count("Redis is back") == 1
    assert "Traceback" not in process.text()
    # Every second of the outage is there: late by less than the misfire threshold.
    slots = sorted(int(job.rpartition("_")[2]) for job in jobs(server))
    assert len(slots) == len(set(slots))
    assert slots == list(range(slots[0], slots[-1] + 1))


def test_redis_that_hangs_longer_than_any_patience_is_waited_for(
    server: RedisServer, process: SchedulerProcess
) -> None:
    every_second(server)
    wait_for(lambda: jobs(server))
    server.sigstop()
    time.sleep(7)
    server.sigcont()
    before = time.time()
    wait_for(lambda: any(int(job.rpartition("_")[2]) > before + 1 for job in jobs(server)), seconds=15)
    slots = sorted(int(job.rpartition("_")[2]) for job in jobs(server))
    assert slots == list(range(slots[0], slots[-1] + 1))


def test_it_starts_while_redis_is_away(server: RedisServer, tmp_path: Path) -> None:
    every_second(server)
    server.kill()
    with SchedulerProcess(url=server.url, directory=tmp_path) as process:
        wait_for(lambda: "Redis does not answer" in process.text(), seconds=20)
        server.start()
        wait_for(lambda: jobs(server), seconds=10)


def test_a_paused_process_that_goes_on_doubles_nothing(
    server: RedisServer, process: SchedulerProcess, tmp_path: Path
) -> None:
    with SchedulerProcess(url=server.url, directory=tmp_path / "other"):
        every_second(server)
        wait_for(lambda: jobs(server), seconds=20)
        process.signal(signal.SIGSTOP)
        time.sleep(2)
        process.signal(signal.SIGCONT)
        last = time.time() + 1
        wait_for(lambda: any(int(job.rpartition("_")[2]) > last for job in jobs(server)), seconds=10)
    slots = [int(job.rpartition("_")[2]) for job in jobs(server)]
    assert sorted(slots) == list(range(min(slots), max(slots) + 1))


def test_a_sign_of_life_is_there_and_expires_by_itself(
    server: RedisServer, process: SchedulerProcess
) -> None:
    with server.client() as client:
        (key,) = client.keys(f"{keys.INSTANCES}*")
        assert float(client.hget(key, "heartbeat") or 0) > time.time() - 20
        assert int(client.hget(key, "pid") or 0) == (process.process and process.process.pid)
        assert 0 < client.ttl(key) <= 60


def test_at_rest_it_is_quiet(server: RedisServer, process: SchedulerProcess) -> None:
    once(server, datetime.now(UTC) + timedelta(days=365))
    with server.client() as client:
        time.sleep(0.3)
        before = client.info("commandstats")
        time.sleep(3)
        after = client.info("commandstats")
    sent = {
        name: stats["calls"] - before.get(name, {"calls": 0})["calls"]
        for name, stats in after.items()
        if re.fullmatch(r"cmdstat_(evalsha|hset|expire|publish|zadd|ping|subscribe)", name)
    }
    assert sum(sent.values()) <= 6, sent


def test_a_state_of_redis_that_passes_is_told_from_a_fault() -> None:
    from schedules.engine.loop import _is_passing

    passing = [
        redis_py.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
        redis_py.exceptions.ReadOnlyError("You can't write against a read only replica."),
        redis_py.exceptions.ResponseError(
            "Error running script: -READONLY You can't write against a replica"
        ),
        redis_py.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis_py.exceptions.MasterDownError(
            "Link with MASTER is down and replica-serve-stale-data is set to 'no'."
        ),
        redis_py.exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
        redis_py.exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis_py.exceptions.ResponseError("MASTERDOWN Link with MASTER is down"),
        redis_py.exceptions.TimeoutError("Timeout reading from socket"),
        redis_py.sentinel.MasterNotFoundError("No master found for 'x'"),
    ]
    assert all(_is_passing(error) for error in passing)
    assert not _is_passing(redis_py.exceptions.ResponseError("ERR unknown command 'COPY'"))


def test_a_redis_that_is_full_is_waited_for(server: RedisServer, process: SchedulerProcess) -> None:
    with server.client() as client:
        # Far enough off for a slow machine to fill Redis before the slot is due.
        once(server, datetime.now(UTC) + timedelta(seconds=4))
        client.config_set("maxmemory", "1")
        wait_for(lambda: "OOM" in process.text(), seconds=20)
        assert process.is_running
        client.config_set("maxmemory", "0")
        wait_for(lambda: jobs(server), seconds=10)
        assert client.hlen(keys.QUARANTINE) == 0
