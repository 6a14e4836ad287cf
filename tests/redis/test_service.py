"""`SchedulerService`: every call as it is documented, what it refuses and how it says so."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django_rq
import pytest
import redis as redis_py
from django.conf import settings
from pytest_django import Settings
from rq import Retry

from schedules.engine import Scheduler, keys
from schedules.services import (
    InvalidCallError,
    SchedulerService,
    SchedulerUnavailableError,
    ServiceError,
    UnknownScheduleError,
)
from tests.support.jobs import add, add_later, echo
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.workers import work

ID = UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c")
arg1, arg2 = 20, 22
my_function = add
service = SchedulerService()


def dispatch(redis: redis_py.Redis) -> list[str]:
    """Dispatch what is due now; return what is queued."""
    scheduler: Scheduler = django_rq.get_scheduler("default", connection=redis)
    scheduler.run(burst=True)
    return [job.decode() for job in redis.lrange("rq:queue:default", 0, -1)]


def make_due(redis: redis_py.Redis, schedule_id: UUID = ID) -> int:
    """Bring the next slot of an entry forward to now; return it (unix seconds)."""
    slot = int(time.time())
    state = (redis.get(keys.state(str(schedule_id))) or b"").decode().split(" ")
    redis.set(keys.state(str(schedule_id)), " ".join([state[0], str(slot), *state[2:]]))
    redis.zadd(keys.SCHEDULED, {str(schedule_id): slot})
    return slot


def test_schedule_periodic_on_the_class(redis: redis_py.Redis) -> None:
    job = SchedulerService.schedule_periodic(
        id=UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c"), interval=60, func=my_function, args=(arg1, arg2)
    )
    assert job is not None
    assert (job.id, job.func_name, job.args) == (str(ID), "tests.support.jobs.add", (20, 22))
    due = SchedulerService.next_run(ID)
    assert due is not None
    assert 58 <= (due - datetime.now(UTC)).total_seconds() <= 60
    slot = make_due(redis)
    assert dispatch(redis) == [f"{ID}_{slot}"]
    work(redis)
    assert django_rq.get_queue(connection=redis).fetch_job(f"{ID}_{slot}").return_value() == 42


def test_schedule_periodic_on_an_instance_as_documented(redis: redis_py.Redis) -> None:
    from schedules.job import job_request

    job = service.schedule_periodic(
        id=UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c"),
        every_seconds=10,
        func=job_request,
        args=[f"{settings.API_BASE_URL}/v1/jobs/breaking-news"],
    )
    assert job is not None
    assert job.func_name == "schedules.job.job_request"


def test_schedule_job_runs_as_soon_as_a_worker_is_free(redis: redis_py.Redis) -> None:
    job = SchedulerService.schedule_job(func=my_function, args=(arg1, arg2))
    work(redis)
    assert job.return_value() == 42


def test_schedule_at_in_the_past_is_due_at_once(redis: redis_py.Redis) -> None:
    with pytest.warns(RuntimeWarning, match="2023-10-01T12:00:00 has no time zone and is taken as UTC"):
        job = SchedulerService.schedule_at(
            execution_time=datetime(2023, 10, 1, 12, 0, 0), func=my_function, args=(arg1, arg2)
        )
    assert dispatch(redis) == [job.id]
    work(redis)
    assert job.return_value() == 42


def test_the_warning_points_at_the_caller(redis: redis_py.Redis) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SchedulerService.schedule_at(execution_time=datetime(2030, 1, 1), func=add, args=(1,))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2030, 6, 1, 12, 0, tzinfo=UTC),
        datetime(2030, 6, 1, 14, 0, tzinfo=ZoneInfo("Europe/Paris")),
        datetime(2030, 6, 1, 7, 30, tzinfo=timezone(timedelta(hours=-4, minutes=-30))),
    ],
)
def test_schedule_at_takes_a_moment_of_any_zone(redis: redis_py.Redis, moment: datetime) -> None:
    job = SchedulerService.schedule_at(execution_time=moment, func=add, args=(1,))
    assert redis.zscore(keys.SCHEDULED, job.id) == datetime(2030, 6, 1, 12, 0, tzinfo=UTC).timestamp()


def test_schedule_cron_as_documented(redis: redis_py.Redis) -> None:
    SchedulerService.schedule_cron(id=ID, cron="0 7 * * 1-5", timezone="Europe/Paris", func=echo)
    due = SchedulerService.next_run(ID)
    assert due is not None
    local = due.astimezone(ZoneInfo("Europe/Paris"))
    assert (local.hour, local.minute, local.weekday() < 5) == (7, 0, True)


def test_cancel_and_next_run_take_a_uuid_or_its_text(redis: redis_py.Redis) -> None:
    for form in (ID, str(ID), str(ID).upper(), ID.hex):
        SchedulerService.schedule_periodic(id=form, interval=60, func=add, args=(1,))
        assert SchedulerService.next_run(form) is not None
        assert redis.zcard(keys.SCHEDULED) == 1
        assert SchedulerService.cancel(form) is True
        assert SchedulerService.cancel(form) is False
        assert SchedulerService.next_run(form) is None


def test_all_options_reach_the_job(redis: redis_py.Redis) -> None:
    options: dict[str, Any] = {
        "func": echo,
        "args": [1],
        "kwargs": {"meta": 2, "timeout": 3, "func": 4},
        "queue": "low",
        "timeout": 7,
        "result_ttl": 11,
        "retry": Retry(max=2, interval=[10, 20]),
    }
    SchedulerService.schedule_periodic(id=ID, interval=60, **options)
    slot = make_due(redis)
    once = SchedulerService.schedule_at(execution_time=datetime.now(UTC) - timedelta(seconds=9), **options)
    now = SchedulerService.schedule_job(**options)
    dispatch(redis)
    queue = django_rq.get_queue("low", connection=redis)
    for job_id in (f"{ID}_{slot}", once.id, now.id):
        job = queue.fetch_job(job_id)
        assert job is not None
        assert (job.args, job.kwargs) == ((1,), {"meta": 2, "timeout": 3, "func": 4})
        assert (job.origin, job.timeout, job.result_ttl) == ("low", 7, 11)
        assert (job.retries_left, job.retry_intervals) == (2, [10, 20])
    assert {job.decode() for job in redis.lrange("rq:queue:low", 0, -1)} == {f"{ID}_{slot}", once.id, now.id}


@pytest.mark.parametrize("call", ["periodic", "at", "job"])
def test_a_coroutine_function_is_scheduled_as_it_is(redis: redis_py.Redis, call: str) -> None:
    if call == "periodic":
        SchedulerService.schedule_periodic(id=ID, interval=60, func=add_later, args=(20, 22))
        make_due(redis)
    elif call == "at":
        SchedulerService.schedule_at(
            execution_time=datetime(2023, 1, 1, tzinfo=UTC), func=add_later, args=(20, 22)
        )
    else:
        SchedulerService.schedule_job(func=add_later, args=(20, 22))
    (job_id,) = dispatch(redis)
    work(redis)
    assert django_rq.get_queue(connection=redis).fetch_job(job_id).return_value() == 42


def test_a_restart_of_a_client_never_pushes_the_next_run_later(redis: redis_py.Redis) -> None:
    SchedulerService.schedule_periodic(id=ID, interval=3600, func=add, args=(1,))
    first = SchedulerService.next_run(ID)
    time.sleep(1.1)
    for value in (1, 1, 2):
        SchedulerService.schedule_periodic(id=ID, interval=3600, func=add, args=(value,))
        assert SchedulerService.next_run(ID) == first
    job = django_rq.get_scheduler(connection=redis).template_job(str(ID))
    assert job.args == (2,)


def _register(url: str, interval: int) -> None:
    for _ in range(5):
        SchedulerService.schedule_periodic(id=ID, interval=interval, func=add, args=(1,))


def test_concurrent_calls_from_many_processes_end_with_one_entry(redis: redis_py.Redis) -> None:
    from schedules.services.connection import forget_connections

    forget_connections()  # the children are to connect themselves
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_register, args=("", 60 + n % 2)) for n in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process that has threads
        for process in processes:
            process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 8
    assert redis.zcard(keys.SCHEDULED) == 1
    assert redis.hlen(keys.INDEX) == 1


@pytest.mark.parametrize("interval", [0, -1, -5])
def test_an_interval_of_zero_or_less_takes_the_entry_out(
    redis: redis_py.Redis, interval: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    SchedulerService.schedule_periodic(id=ID, interval=60, func=add, args=(1,))
    assert SchedulerService.schedule_periodic(id=ID, interval=interval, func=add, args=(1,)) is None
    assert SchedulerService.next_run(ID) is None
    assert redis.zcard(keys.SCHEDULED) == 0
    assert [r.action for r in caplog.records if getattr(r, "schedule_id", "")][-1] == "schedule.not_scheduled"


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


class Holder:
    """Something with a method, and an instance."""

    def method(self) -> None: ...


def main_function() -> None: ...


main_function.__module__ = "__main__"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a lambda": ({"func": lambda: None}, "a lambda"),
    "a nested function": ({"func": nested()}, "defined inside another function"),
    "a function of the script": ({"func": main_function}, "of the script that is running"),
    "a method of an object": ({"func": Holder().method}, "a method of an object"),
    "a path that does not exist": (
        {"func": "no.such.module.f"},
        "'no.such.module.f', which cannot be imported",
    ),
    "a path that is a module": ({"func": "tests.support.jobs"}, "which is a module, not a function"),
    "no path at all": ({"func": "add"}, "func is 'add': allowed is a function, or its dotted path"),
    "a number as func": ({"func": 5}, "func is 5"),
    "None as func": ({"func": None}, "func is None"),
    "too many arguments": ({"args": (1, 2, 3)}, "do not fit tests.support.jobs.add"),
    "an unknown keyword": ({"kwargs": {"middle": 1}}, "middle"),
    "a text as args": ({"args": "abc"}, r"args is 'abc': allowed is a list or a tuple"),
    "a list as kwargs": ({"kwargs": [1]}, r"kwargs is \[1\]: allowed is a dictionary"),
    "numbers as names": ({"kwargs": {1: 2}}, "allowed is a dictionary with names"),
    "what cannot be pickled": ({"args": (lambda: 1,)}, "cannot be carried over to a worker"),
    "an unknown queue": ({"queue": "fast"}, "queue is 'fast': allowed are default, high, low"),
    "a timeout of zero": ({"timeout": 0}, "timeout is 0: allowed is"),
    "a timeout that is a text": ({"timeout": "1h"}, "timeout is '1h'"),
    "a result_ttl below minus one": ({"result_ttl": -2}, "result_ttl is -2"),
    "retry of zero": ({"retry": 0}, "retry is 0"),
    "retry that is a text": ({"retry": "often"}, "retry is 'often'"),
}
PERIODIC: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"id": None}, "id is None: allowed is a UUID"),
    "an id that is no UUID": ({"id": "breaking-news"}, "id is 'breaking-news': allowed is a UUID"),
    "a number as id": ({"id": 5}, "id is 5"),
    "interval and every_seconds": ({"every_seconds": 5}, "interval is 60 and every_seconds is 5"),
    "neither": ({"interval": None}, "interval is None and every_seconds is None"),
    "half a second": ({"interval": 0.5}, "interval is 0.5: allowed is a whole number"),
    "a text": ({"interval": "60"}, "interval is '60'"),
    "true": ({"interval": True}, "interval is True"),
    "more than a century": ({"interval": 10**12}, "interval is 1000000000000"),
    "not a number": ({"interval": float("nan")}, "interval is nan"),
    "endless": ({"interval": float("inf")}, "interval is inf"),
}


@pytest.mark.parametrize("changes, text", [*REFUSED.values(), *PERIODIC.values()], ids=[*REFUSED, *PERIODIC])
def test_schedule_periodic_refuses_and_says_what_is_allowed(
    redis: redis_py.Redis, changes: dict[str, Any], text: str
) -> None:
    call: dict[str, Any] = {"id": ID, "interval": 60, "func": add, "args": (1,)} | changes
    with pytest.raises(InvalidCallError, match=text):
        SchedulerService.schedule_periodic(**call)
    assert redis.dbsize() == 0


@pytest.mark.parametrize("call", ["job", "at", "cron"])
@pytest.mark.parametrize("changes, text", REFUSED.values(), ids=REFUSED)
def test_the_other_calls_refuse_the_same(
    redis: redis_py.Redis, call: str, changes: dict[str, Any], text: str
) -> None:
    given: dict[str, Any] = {"func": add, "args": (1,)} | changes
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    calls: dict[str, Callable[[], object]] = {
        "job": lambda: SchedulerService.schedule_job(**given),
        "at": lambda: SchedulerService.schedule_at(execution_time=moment, **given),
        "cron": lambda: SchedulerService.schedule_cron(id=ID, cron="@daily", **given),
    }
    with pytest.raises(InvalidCallError, match=text):
        calls[call]()
    assert redis.dbsize() == 0


@pytest.mark.parametrize("moment", [None, "2030-01-01", 5, datetime(2030, 1, 1).date()])
def test_schedule_at_refuses_what_is_no_moment(redis: redis_py.Redis, moment: Any) -> None:
    with pytest.raises(InvalidCallError, match=r"execution_time is .*: allowed is a datetime"):
        SchedulerService.schedule_at(execution_time=moment, func=add, args=(1,))


@pytest.mark.parametrize(
    "cron, zone, text",
    [
        ("every day", "UTC", "every day"),
        ("0 0 30 2 *", "UTC", "never fire"),
        ("* * * * *", "Mars/Olympus", "Mars/Olympus"),
        ("", "UTC", "cron is ''"),
        (None, "UTC", "cron is None"),
        ("* * * * *", None, "timezone None"),
    ],
)
def test_schedule_cron_refuses_what_can_never_be(
    redis: redis_py.Redis, cron: Any, zone: Any, text: str
) -> None:
    with pytest.raises(InvalidCallError, match=text):
        SchedulerService.schedule_cron(id=ID, cron=cron, timezone=zone, func=add, args=(1,))


def test_run_now_starts_one_run_beside_the_plan(redis: redis_py.Redis) -> None:
    SchedulerService.schedule_periodic(id=ID, interval=3600, func=add, args=(20, 22))
    before = SchedulerService.next_run(ID)
    job = SchedulerService.run_now(ID, started_by="somebody")
    work(redis)
    assert job.return_value() == 42
    assert SchedulerService.next_run(ID) == before


def test_run_now_of_what_is_not_registered_says_so(redis: redis_py.Redis) -> None:
    with pytest.raises(UnknownScheduleError, match=f"No schedule {ID} is registered"):
        SchedulerService.run_now(ID)


CALLS: dict[str, Callable[[], object]] = {
    "schedule_periodic": lambda: SchedulerService.schedule_periodic(id=ID, interval=60, func=add, args=(1,)),
    "an interval of zero": lambda: SchedulerService.schedule_periodic(id=ID, interval=0, func=add, args=(1,)),
    "schedule_cron": lambda: SchedulerService.schedule_cron(id=ID, cron="@daily", func=add, args=(1,)),
    "schedule_at": lambda: SchedulerService.schedule_at(
        execution_time=datetime(2030, 1, 1, tzinfo=UTC), func=add, args=(1,)
    ),
    "schedule_job": lambda: SchedulerService.schedule_job(func=add, args=(1,)),
    "cancel": lambda: SchedulerService.cancel(ID),
    "next_run": lambda: SchedulerService.next_run(ID),
    "run_now": lambda: SchedulerService.run_now(ID),
    "register": lambda: SchedulerService.unregister([str(ID)]),
    "registered": lambda: list(SchedulerService.registered()),
    "states": lambda: list(SchedulerService.states([str(ID)])),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_redis_away_is_one_error_of_ours_at_once(
    redis_server: RedisServer, call: Callable[[], object]
) -> None:
    if redis_server.process is not None:
        redis_server.stop()
    try:
        began = time.monotonic()
        with pytest.raises(
            SchedulerUnavailableError, match=r"Redis is not reachable at .*redis\.sock"
        ) as caught:
            call()
        assert time.monotonic() - began < 3
        assert isinstance(caught.value, ServiceError)
    finally:
        redis_server.start()


def test_redis_that_hangs_is_given_up_after_a_bounded_wait(
    redis: redis_py.Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from schedules.services import connection

    assert (connection.CONNECT_SECONDS, connection.ANSWER_SECONDS) == (1.0, 5.0)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    connection.forget_connections()
    redis_server.sigstop()
    try:
        began = time.monotonic()
        with pytest.raises(SchedulerUnavailableError):
            SchedulerService.next_run(ID)
        assert time.monotonic() - began < 4
    finally:
        redis_server.sigcont()
        connection.forget_connections()


def test_an_error_never_shows_the_password(settings: Settings) -> None:
    from schedules.services.connection import address_of

    client = redis_py.Redis.from_url("redis://user:secret@localhost:1/0")
    assert address_of(client) == "localhost:1"


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("call", ["job", "at", "run_now"])
def test_a_call_whose_reply_was_lost_queues_its_job_once(
    redis: redis_py.Redis,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    after: int,
) -> None:
    """The client library sends again what was not answered: the same job must not stand in the queue twice."""
    from schedules.services import connection

    SchedulerService.schedule_periodic(id=ID, interval=3600, func=add, args=(1,))
    with Proxy(redis_server.socket) as proxy:
        monkeypatch.setattr(
            connection.django_rq, "get_connection", lambda _name: redis_py.Redis.from_url(proxy.url)
        )
        connection.forget_connections()
        try:
            connection.scheduler_for("default").connection.ping()
            proxy.cut_reply(skip=after)
            with contextlib.suppress(SchedulerUnavailableError):
                if call == "job":
                    SchedulerService.schedule_job(func=add, args=(1,))
                elif call == "at":
                    SchedulerService.schedule_at(
                        execution_time=datetime(2023, 1, 1, tzinfo=UTC), func=add, args=(1,)
                    )
                else:
                    SchedulerService.run_now(ID)
        finally:
            connection.forget_connections()
    queued = dispatch(redis)
    assert len(queued) == len(set(queued)) <= 1
