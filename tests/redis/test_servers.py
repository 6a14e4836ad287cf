"""The servers that an operator may have: Sentinel, another key prefix, a password, TLS, TCP and unix sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis as redis_py
from django_rq import get_queue
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from schedules.engine import Entries, Scheduler
from schedules.engine.sentinel import make_dependable
from schedules.services.connection import address_of, with_bounded_waits
from schedules.timing import IntervalTrigger
from tests.redis.conftest import make_spec
from tests.support.programs import free_port, python
from tests.support.redis_server import RedisServer
from tests.support.scheduler_process import SchedulerProcess
from tests.support.sentinel import Pair
from tests.support.tls import TlsServer
from tests.support.waiting import wait_for


def dispatched(connection: redis_py.Redis) -> list[bytes]:
    """Register one schedule, make it due, dispatch; return what is queued."""
    trigger = IntervalTrigger(every=60, anchor=datetime.now(UTC))
    spec = make_spec(trigger=trigger)
    scheduler = Scheduler(queue=get_queue("default", connection=connection), connection=connection)
    scheduler.register([spec])
    scheduler.change_execution_time(scheduler.template_job(spec.id), datetime.now(UTC))  # type: ignore[arg-type]
    scheduler.run(burst=True)
    return connection.lrange("rq:queue:default", 0, -1)


def test_tcp_and_unix_socket_are_the_same_server() -> None:
    with RedisServer(port=free_port()) as server, redis_py.Redis.from_url(server.tcp_url) as client:
        assert len(dispatched(client)) == 1
        with server.client() as other:
            assert other.llen("rq:queue:default") == 1


def test_a_server_with_a_password() -> None:
    with (
        RedisServer(port=free_port()) as server,
        redis_py.Redis.from_url(f"redis://:secret@127.0.0.1:{server.port}/0") as client,
    ):
        with server.client() as open_door:
            open_door.config_set("requirepass", "secret")
        assert len(dispatched(client)) == 1


def test_a_wrong_password_is_one_error_that_does_not_show_it() -> None:
    from schedules.services.connection import redis_errors_as_ours
    from schedules.services.errors import SchedulerUnavailableError

    with (
        RedisServer(port=free_port()) as server,
        redis_py.Redis.from_url(f"redis://:mistaken@127.0.0.1:{server.port}/0") as client,
    ):
        with server.client() as open_door:
            open_door.config_set("requirepass", "secret")
        with pytest.raises(SchedulerUnavailableError) as caught, redis_errors_as_ours(client):
            client.ping()
        assert "mistaken" not in str(caught.value)


def test_another_database_of_the_server() -> None:
    with RedisServer() as server, redis_py.Redis(unix_socket_path=str(server.socket), db=3) as client:
        assert len(dispatched(client)) == 1
        with server.client() as other:
            assert other.dbsize() == 0


def test_tls() -> None:
    with TlsServer() as server:
        url = f"rediss://127.0.0.1:{server.tls_port}/0?ssl_ca_certs={server.certificate}"
        with redis_py.Redis.from_url(url) as client:
            assert len(dispatched(client)) == 1


PREFIXED = """
import django; django.setup()
from datetime import UTC, datetime, timedelta
import django_rq
from schedules.engine import keys
from schedules.services import SchedulerService
from tests.support.jobs import add
scheduler = django_rq.get_scheduler()
SchedulerService.schedule_periodic(
    id="cc1dface-9213-4eed-8cb2-0edba6b2159c", interval=60, func=add, args=(20, 22)
)
job = scheduler.template_job("cc1dface-9213-4eed-8cb2-0edba6b2159c")
scheduler.change_execution_time(job, datetime.now(UTC))
scheduler.enqueue_at(datetime.now(UTC) - timedelta(seconds=1), add, 1)
scheduler.schedule(datetime.now(UTC) - timedelta(seconds=1), add, args=(1,), interval=60)
scheduler.run(burst=True)
from tests.support.workers import work
work(scheduler.connection)
names = sorted({name.decode().split(":")[0] for name in scheduler.connection.scan_iter()})
queue = django_rq.get_queue()
print(names, len(queue.finished_job_registry.get_job_ids()), len(list(scheduler.get_jobs())))
"""


def test_rq_key_prefix_is_followed_by_every_key(tmp_path: Path) -> None:
    with RedisServer() as server:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "scheduler_project.settings",
            "REDIS_URL": server.url,
            "RQ_KEY_PREFIX": "mine",
            "SCHEDULES_ALLOWED_TARGETS": "tests.support.jobs",
        }
        done = python("-c", PREFIXED, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip().splitlines()[-1] == "['mine'] 3 2"


# --- Sentinel: fail over under load ------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path) as pair:
        yield pair


def insist(what: Callable[[], object], *, seconds: float = 25) -> None:
    """Try until the cluster takes it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            what()
        except redis_py.RedisError:
            assert time.monotonic() < deadline, "the cluster did not come back"
            time.sleep(0.05)
        else:
            return


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fail_over_under_load_loses_nothing_that_was_acknowledged(pair: Pair) -> None:
    """The master dies while slots are dispatched; the replica goes on with every one, none twice."""
    connection = pair.client()
    scheduler = Scheduler(queue=get_queue("default", connection=connection), connection=connection)
    trigger = IntervalTrigger(every=1, anchor=datetime.now(UTC))
    specs = [
        make_spec(n, trigger=trigger, overlap_policy="allow_all", misfire_policy="fire_all")
        for n in range(1, 51)
    ]
    Entries(connection).register(specs)
    connection.wait(1, 2000)
    first = int(connection.zrange("rq:scheduler:scheduled_jobs", 0, 0, withscores=True)[0][1])
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        insist(lambda: scheduler.run(burst=True))
        time.sleep(0.05)
    connection.wait(1, 2000)  # acknowledged, also by the replica
    acknowledged = set(connection.lrange("rq:queue:default", 0, -1))
    pair.servers[0].kill()
    insist(lambda: scheduler.run(burst=True))
    until = int(time.time()) + 1
    wait_for(lambda: time.time() > until + 0.1, seconds=5)
    insist(lambda: scheduler.run(burst=True))
    queued = connection.lrange("rq:queue:default", 0, -1)
    assert acknowledged <= set(queued)
    assert len(queued) == len(set(queued))
    slots = {(job.rpartition(b"_")[0], int(job.rpartition(b"_")[2])) for job in queued}
    assert {slot for _, slot in slots} >= set(range(first, until + 1))
    assert len([slot for slot in slots if slot[1] <= until]) == 50 * (until - first + 1)


def test_a_master_that_hangs_is_left_for_the_one_that_was_chosen(pair: Pair, tmp_path: Path) -> None:
    """Its connections stay open and are never answered: who waits for a reply without a bound waits for ever."""
    trigger = IntervalTrigger(every=1, anchor=datetime.now(UTC))
    connection = pair.client()
    Entries(connection).register([make_spec(trigger=trigger, overlap_policy="allow_all")])
    process = SchedulerProcess(
        url=pair.servers[0].tcp_url,
        directory=tmp_path,
        DJANGO_SETTINGS_MODULE="tests.acceptance.sentinel_settings",
        SENTINEL_PORTS=",".join(map(str, pair.ports)),
    )
    with process:
        wait_for(lambda: connection.llen("rq:queue:default"), seconds=20, what=process.text())
        pair.servers[0].sigstop()
        wait_for(lambda: pair.has_master(1), seconds=20)
        until = int(time.time()) + 1
        with pair.servers[1].client() as successor:
            wait_for(
                lambda: slots_of(successor)[-1:] > [until],
                seconds=20,
                what=f"slots after {until}: {process.text()}",
            )
            slots = slots_of(successor)
        assert process.terminate()[0] == 0
        assert "Traceback" not in process.text()
    assert slots == list(range(slots[0], slots[-1] + 1))


def slots_of(client: redis_py.Redis) -> list[int]:
    return [int(job.rpartition(b"_")[2]) for job in client.lrange("rq:queue:default", 0, -1)]


def test_bounded_waits_keep_sentinel_and_tls_and_say_where_they_lead() -> None:
    sentinel = Sentinel([("127.0.0.1", 26379), ("127.0.0.1", 26380)], socket_timeout=None)
    plain, with_tls = sentinel.master_for("main"), sentinel.master_for("main", ssl=True)
    for client, kind in ((plain, SentinelManagedConnection), (with_tls, SentinelManagedSSLConnection)):
        bounded = with_bounded_waits(client, connect=1, answer=5)
        assert bounded.connection_pool.connection_class is kind
        assert bounded.connection_pool.connection_kwargs["socket_timeout"] == 5
        make_dependable(client)
        assert issubclass(client.connection_pool.connection_class, kind)
        assert client.connection_pool.connection_kwargs["socket_timeout"] == 5
        assert address_of(bounded) == "main (Sentinel at 127.0.0.1:26379, 127.0.0.1:26380)"
    assert not issubclass(plain.connection_pool.connection_class, SentinelManagedSSLConnection)
