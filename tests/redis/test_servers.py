"""The servers that an operator may have: Sentinel, another key prefix, a password, TLS, TCP and unix sockets."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis as redis_py
from django_rq import get_queue
from redis.sentinel import Sentinel

from schedules.engine import Entries, Scheduler
from schedules.timing import IntervalTrigger
from tests.redis.conftest import make_spec
from tests.support.programs import free_port, python
from tests.support.redis_server import RedisServer
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


class Pair:
    """A master, a replica and three sentinels, all on ports of 127.0.0.1."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.servers = []
        for role in ("master", "replica"):
            port = free_port()
            options: tuple[str, ...] = ("--repl-diskless-sync-delay", "0")
            if role == "replica":
                options += ("--replicaof", "127.0.0.1", str(self.servers[0].port))
            else:
                # What is acknowledged has reached the replica, or is not acknowledged at all.
                options += ("--min-replicas-to-write", "0")
            server = RedisServer(port=port, options=options)
            self.servers.append(stack.enter_context(server))
        self.ports = [free_port() for _ in range(3)]
        for port in self.ports:
            config = directory / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
                f"sentinel monitor main 127.0.0.1 {self.servers[0].port} 2\n"
                "sentinel down-after-milliseconds main 700\n"
                "sentinel failover-timeout main 3000\n"
            )
            process = subprocess.Popen(
                [self.servers[0].binary, config, "--sentinel"],
                stdout=(directory / f"sentinel-{port}.log").open("wb"),
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        self.sentinel = Sentinel([("127.0.0.1", port) for port in self.ports], socket_timeout=1)

    def is_ready(self) -> bool:
        try:
            known = [
                redis_py.Redis(port=port, socket_timeout=1).sentinel_master("main") for port in self.ports
            ]
        except redis_py.RedisError:
            return False
        return all(one["num-other-sentinels"] == 2 and one["num-slaves"] == 1 for one in known)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        try:
            pair = Pair(stack, tmp_path)
            wait_for(pair.is_ready, seconds=15, what="three sentinels that know each other")
        except AssertionError as error:
            pytest.skip(f"no Sentinel with this redis-server: {str(error)[-200:]}")
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
    connection = pair.sentinel.master_for("main", socket_timeout=2)
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
