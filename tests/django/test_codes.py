"""Each code from S100 to S111, provoked for real, is told alike by banner, command, `/health` and system check."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, Final

import pytest
import redis as redis_py
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client

from schedules.engine import Scheduler, keys
from schedules.health import facts
from schedules.models import Run, Schedule
from schedules.services.connection import forget_connections
from schedules.sync import Synchronizer
from tests.support.redis_server import RedisServer
from tests.support.samples import FUNC

BOARD: Final = "/admin/schedules/"
WRONG: Final = {"S100", "S101", "S102", "S103", "S104", "S105"}
NOTES: Final = {"S107", "S110", "S111"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis(redis: redis_py.Redis) -> Iterator[redis_py.Redis]:
    """A Redis as it should be, with a scheduler, a worker, and a schedule that is in sync."""
    names = ("maxmemory", "maxmemory-policy", "appendonly", "save")
    before = {name: redis.config_get(name)[name] for name in names}
    redis.config_set("appendonly", "yes")
    facts._resolved.clear()
    Scheduler(queue_name="default", connection=redis).heartbeat()
    a_worker(redis)
    Schedule.objects.create(name="news", func=FUNC, args=[30], interval=3600)
    Synchronizer().reconcile()
    yield redis
    if redis.connection_pool and is_there(redis):
        for name, value in before.items():
            redis.config_set(name, value)


def is_there(redis: redis_py.Redis) -> bool:
    try:
        return bool(redis.ping())
    except redis_py.RedisError:
        return False


def a_worker(redis: redis_py.Redis, *, ahead: float = 0) -> None:
    redis.sadd("rq:workers", "rq:worker:w")
    stamp = (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = {"queues": "default,high,low", "last_heartbeat": stamp, "hostname": "worker-3"}
    redis.hset("rq:worker:w", mapping=fields)


def signed(redis: redis_py.Redis, name: str, **changes: Any) -> None:
    """Let a second scheduler sign, as it does on another host."""
    (sign,) = (json.loads(value) for value in redis.hgetall(keys.SCHEDULERS).values())
    redis.hset(keys.SCHEDULERS, name, json.dumps({**sign, "name": name, **changes}))


def no_database(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> Any:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr(QuerySet, "__iter__", refuse)


def no_scheduler(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.delete(keys.SCHEDULERS)


def no_worker(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.delete("rq:worker:w")


def flushed(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    signs = redis.hgetall(keys.SCHEDULERS)
    redis.flushall()
    redis.hset(keys.SCHEDULERS, mapping=signs)
    a_worker(redis)


def no_function(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    Schedule.objects.update(func="tests.shop.jobs.gone")
    Synchronizer().reconcile()


def not_dispatched(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.zadd(keys.SCHEDULED, {str(Schedule.objects.get().pk): time.time() - 3600})


def not_started(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    Run.objects.create(
        schedule_name="news", queue="default", scheduled_for=datetime.now(UTC) - timedelta(minutes=9)
    )


def two_schedulers(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    signed(redis, "b", host="web-2")


def clock_of_a_worker(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    a_worker(redis, ahead=47)


def clock_of_a_scheduler(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.delete(keys.SCHEDULERS)
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() - 47)
        Scheduler(queue_name="default", connection=redis).heartbeat()


def keeps_nothing(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.config_set("appendonly", "no")
    redis.config_set("save", "")


def evicts(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.config_set("maxmemory", "500mb")
    redis.config_set("maxmemory-policy", "allkeys-lru")


def all_paused(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule.objects.get()
    schedule.pause(at=datetime.now(UTC), reason="DB maintenance")
    schedule.save()


def other_zone_data(redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = redis.hgetall(keys.SCHEDULERS)
    sign = json.loads(redis.hget(keys.SCHEDULERS, name) or "{}")
    redis.hset(keys.SCHEDULERS, name, json.dumps({**sign, "zone_data": "1999z"}))


Provoke = Callable[[redis_py.Redis, pytest.MonkeyPatch], None]
PROVOKED: Final[list[tuple[str, Provoke, str]]] = [
    ("S102", no_scheduler, "No scheduler is running."),
    ("S103", no_worker, "No worker listens on the queue default: 1 schedule sends there"),
    ("S104", flushed, "Redis "),
    ("S105", no_function, "tests.shop.jobs.gone cannot run"),
    ("S106", not_dispatched, "has not been dispatched"),
    ("S106", not_started, "has not started"),
    ("S107", two_schedulers, "2 schedulers run"),
    ("S108", clock_of_a_worker, "The clock of worker-3 is 47 s ahead"),
    ("S108", clock_of_a_scheduler, "47 s behind"),
    ("S109", keeps_nothing, "keeps nothing on disk"),
    ("S109", evicts, "allkeys-lru"),
    ("S110", all_paused, "DB maintenance"),
    ("S111", other_zone_data, "1999z"),
]


def status() -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("schedules_status", stdout=out)
    except SystemExit as leaving:
        return int(leaving.code or 0), out.getvalue()
    return 0, out.getvalue()


def checked() -> set[str]:
    ids = {str(message.id) for message in run_checks(include_deployment_checks=True)}
    return {each.removeprefix("schedules.") for each in ids if each.startswith("schedules.S1")}


def test_where_all_is_well_nothing_is_told(
    redis: redis_py.Redis, admin_client: Client, client: Client
) -> None:
    assert 'class="sch-banner"' not in admin_client.get(BOARD).content.decode()
    assert status()[0] == 0
    assert checked() == set()
    assert client.get("/health").json()["codes"] == []


@pytest.mark.parametrize(
    "code,provoke,text", PROVOKED, ids=[f"{code}-{provoke.__name__}" for code, provoke, _text in PROVOKED]
)
def test_it_is_told_alike_everywhere(
    redis: redis_py.Redis,
    admin_client: Client,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    provoke: Provoke,
    text: str,
) -> None:
    provoke(redis, monkeypatch)
    html = admin_client.get(BOARD).content.decode()
    assert f"<small>{code}</small>" in html
    exit_code, told = status()
    assert f" {code} " in told
    assert text in told
    assert exit_code == (code in WRONG)
    assert checked() == ({code} - NOTES)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["codes"]) == (503 if code in WRONG else 200, [code])


def test_s101_redis_is_gone(
    redis: redis_py.Redis, redis_server: RedisServer, admin_client: Client, client: Client
) -> None:
    forget_connections()
    redis_server.kill()  # asked to stop, it may first end the rewriting of its file that another test began
    try:
        assert "<small>S101</small>" in admin_client.get(BOARD).content.decode()
        exit_code, told = status()
        assert (exit_code, " S101 " in told) == (1, True)
        assert checked() == {"S101"}
        answer = client.get("/health")
        assert (answer.status_code, answer.json()["codes"]) == (503, ["S101"])
    finally:
        redis_server.start()


def test_s100_the_database_is_gone(
    redis: redis_py.Redis, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_database(redis, monkeypatch)
    exit_code, told = status()
    assert (exit_code, " S100 " in told) == (1, True)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["codes"]) == (503, ["S100"])


def test_of_many_three_are_shown_and_the_others_folded(
    redis: redis_py.Redis, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provoke in (no_worker, flushed, not_started, evicts, two_schedulers):
        provoke(redis, monkeypatch)
    html = admin_client.get(BOARD).content.decode()
    folded = html.partition("<summary>")[2]
    assert html.partition("<summary>")[0].count('<div class="sch-banner"') == 3
    assert "S107" in folded  # what is only a note comes last
