"""With Redis gone or hanging, every page of the app answers: it waits for one attempt, and asks no more after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py
from django.contrib.messages import get_messages
from django.core.signals import request_finished
from django.test import Client
from django.urls import reverse
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from schedules.health import redis_facts
from schedules.models import Run, Schedule
from schedules.services import SchedulerService, SchedulerUnavailableError, pages
from schedules.services.connection import forget_connections, scheduler_for
from tests.django.test_admin_basic import filled
from tests.django.test_rights import ours
from tests.support.redis_server import RedisServer
from tests.support.samples import FUNC

LIST = reverse("admin:schedules_schedule_changelist")

pytestmark = pytest.mark.django_db(transaction=True)


class Attempts:
    """Counts what of the connections to Redis failed, and how long that took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failed = 0
        self.waited = 0.0
        for name in ("_connect_and_check", "read_response", "send_packed_command", "connect_check_health"):
            method = getattr(AbstractConnection, name, None)
            if method is not None:
                monkeypatch.setattr(AbstractConnection, name, self._counting(method))
        self._inside = False

    def _counting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if self._inside:  # connecting reads and writes as well: one attempt
                return method(connection, *args, **kwargs)
            self._inside, began = True, time.monotonic()
            try:
                return method(connection, *args, **kwargs)
            except (RedisError, OSError):
                self.failed += 1
                self.waited += time.monotonic() - began
                raise
            finally:
                self._inside = False

        return counted

    def reset(self) -> None:
        self.failed, self.waited = 0, 0.0


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    return Attempts(monkeypatch)


@pytest.fixture(params=["gone", "hanging"])
def away(
    request: pytest.FixtureRequest,
    redis: redis_py.Redis,
    redis_server: RedisServer,
    admin_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A Redis that was there, and is not any more."""
    # Waits that are short in themselves: how many there are is what counts here.
    monkeypatch.setattr(pages, "CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(pages, "ANSWER_SECONDS", 0.05)
    forget()
    Schedule.objects.create(name="news", func=FUNC, args=[30], interval=60, timezone="UTC")
    assert admin_client.get(LIST).status_code == 200  # connects
    if request.param == "gone":
        redis_server.stop()
    else:
        redis_server.sigstop()
    yield request.param
    if request.param == "gone":
        redis_server.start()
    else:
        redis_server.sigcont()
    forget()


def forget() -> None:
    forget_connections()
    redis_facts._client.cache_clear()


def test_every_page_waits_once_and_says_so(away: str, admin_client: Client, attempts: Attempts) -> None:
    run = Run.objects.create(
        schedule_name="x", scheduled_for="2026-03-01T12:00Z", status="running", job_id="j"
    )
    waits = {}
    for address in ours():
        attempts.reset()
        began = time.monotonic()
        answer = admin_client.get(address)
        waits[address] = time.monotonic() - began
        assert answer.status_code in (200, 302, 403, 404, 405, 503), (address, answer.status_code)
        # A connection that was closed while idle is tried a second time, at once; a server that hangs is not.
        assert attempts.failed <= (2 if away == "gone" else 1), (address, attempts.failed)
        assert attempts.waited < 0.4, (address, attempts.waited)
        if answer.status_code == 200 and "/preview/" not in address and "/jsi18n/" not in address:
            assert "S101" in answer.content.decode(), address
    assert len(waits) > 40
    assert reverse("admin:schedules_run_change", args=[run.pk]).startswith("/admin/schedules/run/")


@pytest.mark.parametrize(
    "deed", ["run", "pause", "resume", "change", "add", "delete", "again", "stop", "many", "all", "resync"]
)
def test_everything_that_is_sent_waits_once_and_loses_nothing(
    away: str, admin_client: Client, attempts: Attempts, deed: str
) -> None:
    schedule = Schedule.objects.get(name="news")
    run = Run.objects.create(
        schedule=schedule,
        schedule_name="news",
        scheduled_for="2026-03-01T12:00Z",
        status="running",
        job_id="j",
    )
    page = {verb: reverse(f"admin:schedules_schedule_{verb}", args=[schedule.pk]) for verb in
            ("run", "pause", "resume", "change", "delete")}  # fmt: skip
    key = str(schedule.pk)
    address, data = {
        "run": (page["run"], {"token": "t"}),
        "pause": (page["pause"], {"reason": "moving"}),
        "resume": (page["resume"], {}),
        "change": (page["change"], filled(name="news", interval="300")),
        "add": (reverse("admin:schedules_schedule_add"), filled(name="new")),
        "delete": (page["delete"], {"post": "yes"}),
        "again": (reverse("admin:schedules_run_again", args=[run.pk]), {"token": "t"}),
        "stop": (reverse("admin:schedules_run_stop", args=[run.pk]), {"token": "t"}),
        "many": (LIST, {"action": "run_now", "_selected_action": [key], "confirmed": "1", "token": "t"}),
        "all": (reverse("admin:schedules_schedule_pause_all"), {"reason": "moving"}),
        "resync": (reverse("admin:schedules_schedule_resync"), {}),
    }[deed]
    attempts.reset()
    answer = admin_client.post(address, data)
    assert answer.status_code == 302, (deed, answer.content[:2000])
    assert attempts.failed <= (2 if away == "gone" else 1), attempts.failed
    assert attempts.waited < 0.4
    told = " ".join(str(message) for message in get_messages(answer.wsgi_request))
    if deed in ("run", "again", "stop", "many", "resync"):
        assert "Redis is not reachable" in told
    elif deed in ("change", "add"):
        assert "Redis does not answer at the moment" in told
    stored = Schedule.objects.filter(pk=schedule.pk).first()
    assert (stored is None) == (deed == "delete")
    if stored is not None:
        assert (stored.interval == 300) == (deed == "change")
        assert (stored.pause_reason == "moving") == (deed in ("pause", "all"))
    assert Schedule.objects.filter(name="new").exists() == (deed == "add")


def test_with_the_waits_of_life_the_list_and_a_save_answer_within_a_second(
    redis: redis_py.Redis, redis_server: RedisServer, admin_client: Client
) -> None:
    schedule = Schedule.objects.create(name="news", func=FUNC, args=[30], interval=60, timezone="UTC")
    admin_client.get(LIST)
    assert pages.CONNECT_SECONDS <= pages.ANSWER_SECONDS <= 0.5
    redis_server.sigstop()
    try:
        for send in (
            lambda: admin_client.get(LIST),
            lambda: admin_client.post(
                reverse("admin:schedules_schedule_change", args=[schedule.pk]), filled(name="news")
            ),
        ):
            began = time.monotonic()
            assert send().status_code in (200, 302)
            took = time.monotonic() - began
            assert 0.4 < took < 1.0, took
    finally:
        redis_server.sigcont()


class TestBriefly:
    """What a page knows ends with it, and code outside of pages is as patient as ever."""

    @pytest.fixture(autouse=True)
    def _no_page(self) -> Iterator[None]:
        yield
        request_finished.send(sender=object)

    def test_a_failure_is_remembered_for_the_page_and_no_longer(self, redis: redis_py.Redis) -> None:
        asked: list[int] = []

        @pages.waits_briefly
        def view() -> Any:
            pages.remember("it hangs")
            with pytest.raises(SchedulerUnavailableError, match="it hangs"):
                SchedulerService.next_run("cc1dface-9213-4eed-8cb2-0edba6b2159c")
            asked.append(1)

        view()
        assert pages.known_problem() == "it hangs"  # templates are rendered after the view
        request_finished.send(sender=object)
        assert pages.known_problem() == ""
        assert SchedulerService.next_run("cc1dface-9213-4eed-8cb2-0edba6b2159c") is None
        assert asked

    def test_the_next_page_asks_again(self, redis: redis_py.Redis) -> None:
        def view() -> Any:
            return pages.known_problem()

        pages.waits_briefly(lambda: pages.remember("it hangs"))()  # type: ignore[arg-type, return-value, func-returns-value]
        assert pages.waits_briefly(view)() == ""

    def test_only_pages_are_impatient(self, redis: redis_py.Redis) -> None:
        def wait_of() -> float:
            return float(scheduler_for().connection.connection_pool.connection_kwargs["socket_timeout"])

        assert wait_of() == 5.0
        found: list[float] = []

        @pages.waits_briefly
        def view() -> Any:
            found.append(wait_of())

        view()
        assert found == [pages.ANSWER_SECONDS]

    def test_what_redis_refuses_is_no_reason_to_ask_no_more(self, redis: redis_py.Redis) -> None:
        from schedules.services.connection import redis_errors_as_ours

        @pages.waits_briefly
        def view() -> Any:
            for error in (redis_py.ResponseError("NOPERM"), ConnectionError("gone")):
                with pytest.raises(SchedulerUnavailableError), redis_errors_as_ours(redis):
                    raise error
                assert bool(pages.known_problem()) == isinstance(error, ConnectionError)

        view()
