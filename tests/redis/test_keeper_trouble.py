"""The database is locked, or its disk is full: dispatch goes on, and all is in the ledger when the trouble is over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import pytest
import redis as redis_py
from django.conf import settings
from django.db import connection
from django.db.backends.signals import connection_created

from schedules.engine import keys
from schedules.keeper import lease as lease_module
from schedules.models import Run, Schedule
from tests.redis.conftest import Engine, make_spec
from tests.redis.test_keeper_drain import emit, make_schedule
from tests.redis.test_keeper_loop import Running, has, told
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
on_sqlite = pytest.mark.skipif(
    not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"), reason="SQLite's own trouble"
)
COUNT = 20


@pytest.fixture
def keepers(redis: redis_py.Redis) -> Iterator[Running]:
    running = Running(redis)
    yield running
    running.stop()


@contextmanager
def pragmas(*statements: str) -> Iterator[None]:
    """Let each connection to SQLite that is opened meanwhile begin with these."""

    def begin(*, connection: Any, **_: Any) -> None:
        for statement in statements:
            connection.connection.execute(statement)

    connection_created.connect(begin)
    try:
        yield
    finally:
        connection_created.disconnect(begin)


def much_is_told(redis: redis_py.Redis) -> None:
    """Put events on the stream whose rows take more than a megabyte."""
    now = time.time()  # rows of long ago would be pruned at once
    for number in range(COUNT):
        event = {"e": "ended", "j": f"job-{number}", "st": "succeeded", "n": 1, "out": "x" * 60_000}
        emit(redis, event, at=now)


def dispatch_goes_on(engine: Engine) -> None:
    """Dispatch a slot, with nothing but Redis."""
    engine.register(make_spec())
    assert engine.at(60).slots() == [60]


def all_is_written(redis: redis_py.Redis) -> None:
    wait_for(lambda: redis.xlen(keys.EVENTS) == 0, seconds=15)
    assert Run.objects.filter(job_id__startswith="job-", status="succeeded").count() == COUNT
    assert Run.objects.count() == Run.objects.values("job_id").distinct().count()
    assert Run.objects.get(schedule=UUID(int=1)).status == "queued"
    assert Schedule.objects.get().runs_dispatched == 1


@on_sqlite
def test_sqlite_is_locked_by_another_program(
    redis: redis_py.Redis, engine: Engine, keepers: Running, caplog: pytest.LogCaptureFixture
) -> None:
    make_schedule()
    with pragmas("PRAGMA busy_timeout = 100"):  # instead of 20 s, which the keeper would just sit out
        keepers.start()
        told(redis, "before")
        wait_for(lambda: has("before"))
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            much_is_told(redis)
            wait_for(lambda: "database is locked" in caplog.text)
            dispatch_goes_on(engine)
            assert Run.objects.count() == 1
        all_is_written(redis)


@on_sqlite
def test_sqlite_is_full(
    redis: redis_py.Redis, engine: Engine, keepers: Running, caplog: pytest.LogCaptureFixture
) -> None:
    make_schedule()
    connection.cursor().execute("VACUUM")  # pages that another test has left free would be room
    with pragmas("PRAGMA max_page_count = 1"):  # it may not grow beyond what it has
        keepers.start()
        much_is_told(redis)
        wait_for(lambda: "database or disk is full" in caplog.text)
        dispatch_goes_on(engine)
        assert Run.objects.count() == 0
    all_is_written(redis)


@pytest.mark.postgresql
def test_postgresql_is_locked_and_another_keeper_takes_over_meanwhile(
    redis: redis_py.Redis, engine: Engine, keepers: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.4)
    make_schedule()
    keepers.start()
    keepers.start()
    told(redis, "before")
    wait_for(lambda: has("before"))
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        other.cursor().execute("LOCK TABLE schedules_run IN ACCESS EXCLUSIVE MODE")
        first = redis.get(keys.LEASE)
        much_is_told(redis)
        dispatch_goes_on(engine)
        # It waits for the lock and cannot renew its lease, so both of them hold the same records in the end.
        wait_for(lambda: redis.get(keys.LEASE) not in (None, first))
        assert redis.xlen(keys.EVENTS) > COUNT
        other.rollback()
    all_is_written(redis)
