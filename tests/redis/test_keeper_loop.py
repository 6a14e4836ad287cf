"""The keeper's loop: one keeps, another follows it, and nothing takes it down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py
from django.db import OperationalError, connections

from schedules.engine import keys
from schedules.keeper import Keeper
from schedules.keeper import drain as drain_module
from schedules.keeper import keeper as keeper_module
from schedules.keeper import lease as lease_module
from schedules.keeper.lease import Lease
from schedules.keeper.stream import CONSUMER, GROUP
from schedules.models import Run
from tests.redis.test_keeper_drain import emit
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class Running:
    """Keepers in threads."""

    def __init__(self, connection: redis_py.Redis) -> None:
        self._connection = connection
        self._running: list[tuple[threading.Thread, threading.Event]] = []
        self.left_open: list[str] = []
        """Databases to which a keeper that ended was connected still."""

    def start(self, **options: Any) -> threading.Event:
        stop = threading.Event()
        keeper = Keeper(self._connection, **options)

        def run() -> None:
            keeper.run(stop)
            self.left_open += [name for name in connections if connections[name].connection is not None]

        thread = threading.Thread(target=run)
        thread.start()
        self._running.append((thread, stop))
        return stop

    def stop(self) -> None:
        for _, stop in self._running:
            stop.set()
        for thread, _ in self._running:
            thread.join(15)
            assert not thread.is_alive()


@pytest.fixture
def keepers(redis: redis_py.Redis) -> Iterator[Running]:
    running = Running(redis)
    yield running
    running.stop()


def told(connection: Any, name: str) -> None:
    emit(connection, {"e": "queued", "j": name, "t": "manual", "q": "default"})


def has(name: str) -> bool:
    return Run.objects.filter(job_id=name).exists()


def test_an_event_is_in_the_ledger_within_half_a_second(redis: redis_py.Redis, keepers: Running) -> None:
    keepers.start()
    told(redis, "first")
    wait_for(lambda: has("first"))
    began = time.monotonic()
    told(redis, "second")
    wait_for(lambda: has("second"), seconds=2)
    assert time.monotonic() - began < 0.8
    wait_for(lambda: redis.xlen(keys.EVENTS) == 0)


def test_it_stops_at_once_and_gives_the_lease_back(redis: redis_py.Redis, keepers: Running) -> None:
    stop = keepers.start()
    wait_for(lambda: redis.exists(keys.LEASE))
    began = time.monotonic()
    stop.set()
    keepers.stop()
    assert time.monotonic() - began < 3
    assert not redis.exists(keys.LEASE)
    assert not keepers.left_open


def test_one_keeps_and_another_follows_when_it_is_gone(
    redis: redis_py.Redis, keepers: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.4)
    dead = Lease(redis)
    assert dead.take()
    assert dead.take(), "a holder renews"
    keepers.start()
    told(redis, "before")
    time.sleep(0.5)
    assert not has("before")
    wait_for(lambda: has("before"), seconds=3)
    assert redis.get(keys.LEASE) != dead.token.encode()
    assert not dead.take()
    dead.release()
    assert redis.exists(keys.LEASE), "a lease is given back by its owner alone"


def test_the_lease_is_followed_within_fifteen_seconds() -> None:
    assert lease_module.LEASE_SECONDS + keeper_module.ASK_AGAIN < 15
    assert lease_module.RENEW_SECONDS < lease_module.LEASE_SECONDS - 4


def test_reconciling_happens_at_the_start_and_its_faults_stop_nothing(
    redis: redis_py.Redis, keepers: Running, settings: Any
) -> None:
    settings.SCHEDULES_RECONCILE_SECONDS = 1
    calls: list[float] = []

    def reconcile() -> None:
        calls.append(time.monotonic())
        raise RuntimeError("a fault")

    keepers.start(reconcile=reconcile)
    wait_for(lambda: len(calls) >= 2, seconds=5)
    told(redis, "after a fault")
    wait_for(lambda: has("after a fault"))


def test_the_database_away_for_a_while_costs_no_event(
    redis: redis_py.Redis, keepers: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows = drain_module.write_rows
    tries: list[int] = []

    def away(*args: Any, **options: Any) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("disk full")
        write_rows(*args, **options)

    monkeypatch.setattr(drain_module, "write_rows", away)
    keepers.start()
    for number in range(20):
        told(redis, f"job-{number}")
    wait_for(lambda: Run.objects.count() == 20, seconds=15)
    wait_for(lambda: redis.xlen(keys.EVENTS) == 0)


def test_redis_restarted_and_flushed_is_outlived(
    redis: redis_py.Redis, redis_server: RedisServer, keepers: Running
) -> None:
    keepers.start()
    told(redis, "before")
    wait_for(lambda: has("before"))
    redis_server.restart()
    told(redis, "after the restart")
    wait_for(lambda: has("after the restart"), seconds=15)
    redis.flushall()
    told(redis, "after the flush")
    wait_for(lambda: has("after the flush"), seconds=15)


def test_at_rest_it_asks_redis_for_next_to_nothing(redis: redis_py.Redis, keepers: Running) -> None:
    keepers.start()
    told(redis, "first")
    wait_for(lambda: has("first"))
    Run.objects.update(status="succeeded")
    time.sleep(keeper_module.LOOK_SECONDS * 0.15 + 1)
    wait_for(lambda: redis.info("stats")["total_commands_processed"], seconds=1)
    before = redis.info("stats")["total_commands_processed"]
    time.sleep(6)
    # A renewal is three commands (a script and what it calls); a look, which the open run called for, about eight.
    assert redis.info("stats")["total_commands_processed"] - before < 20


def test_what_somebody_read_who_still_took_himself_for_the_keeper_is_not_lost(
    redis: redis_py.Redis, keepers: Running
) -> None:
    """He stood still, or Redis was flushed with his lease, or the answer never reached anybody."""
    keepers.start()
    told(redis, "before")
    wait_for(lambda: has("before") and redis.xlen(keys.EVENTS) == 0)
    with redis.pipeline(transaction=True) as pipe:  # so that the keeper, who waits for it, does not get it
        told(pipe, "taken")
        pipe.xreadgroup(GROUP, CONSUMER, {keys.EVENTS: ">"})
        assert pipe.execute()[-1]
    told(redis, "after")
    wait_for(lambda: has("after") and redis.xlen(keys.EVENTS) == 0)
    assert has("taken")


def test_two_keepers_who_both_took_the_lease_between_them_write_everything_once(
    redis: redis_py.Redis, keepers: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module.Lease, "take", _sure)
    keepers.start()
    keepers.start()
    names = [f"job-{number}" for number in range(300)]
    for name in names:
        told(redis, name)
        time.sleep(0.01)
    wait_for(lambda: redis.xlen(keys.EVENTS) == 0, seconds=30)
    written = list(Run.objects.values_list("job_id", flat=True))
    missing, doubled = len({*names} - {*written}), len(written) - len({*written})
    print(f"two keepers at once: {len(names)} events, {missing} missing, {doubled} doubled")
    assert (missing, doubled) == (0, 0)


def _sure(lease: Lease) -> bool:
    lease._sure_until = time.monotonic() + lease_module.LEASE_SECONDS
    return True
