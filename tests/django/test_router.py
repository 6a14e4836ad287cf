"""The receiving side in Django: every answer that a caller can get, and that a function runs once."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path

from schedules.http.signing import sign
from schedules.router import Delivery, EndpointError, endpoints, job_endpoint, views
from schedules.router.store import CacheStore, Running, fingerprint

KEY, NEW_KEY, STRANGE_KEY = ("whsec_" + letter * 32 for letter in "ABC")
SCHEDULE = "0b8e6a52-9d0e-4f0e-8c62-6a6c8c4e1a11"

urlpatterns = [path("v1/jobs/", include("schedules.router.urls"))]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _router(settings, monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(endpoints, "_endpoints", {})
    settings.SCHEDULES_SIGNING_KEYS = [KEY]
    settings.DEBUG = False
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "router"}
    }
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    caches["default"].clear()
    yield
    caches["default"].clear()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def signed(
    body: bytes = b"{}", *, key: str = "job-1", at: int | None = None, keys: tuple[str, ...] = (KEY,)
) -> dict[str, str]:
    """Return the headers of a genuine delivery."""
    timestamp = now() if at is None else at
    return {
        "Idempotency-Key": key,
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys=keys, message_id=key, timestamp=timestamp, body=body),
    }


def deliver(
    name: str = "news",
    body: bytes = b"{}",
    *,
    headers: dict[str, str] | None = None,
    content_type: str = "application/json",
    **environ: object,
) -> HttpResponse:
    given = signed(body) if headers is None else headers
    return Client(raise_request_exception=False).post(  # type: ignore[no-any-return]
        f"/v1/jobs/{name}", body, content_type=content_type, headers=given, **environ
    )


@pytest.fixture
def runs() -> list[object]:
    """What the endpoint `news` was called with."""
    seen: list[object] = []

    @job_endpoint("news", max_body=1000)
    def news(payload: object) -> dict[str, int]:
        seen.append(payload)
        return {"run": len(seen)}

    return seen


def test_a_genuine_delivery_runs_the_function(runs: list[object]) -> None:
    body = b'{"a": 1}'
    response = deliver(body=body)
    assert (response.status_code, response.json()) == (200, {"run": 1})
    assert runs == [{"a": 1}]


def test_a_function_may_be_a_coroutine() -> None:
    @job_endpoint("slow")
    async def slow(delivery: Delivery) -> str:
        return delivery.key

    assert deliver("slow").json() == "job-1"


def test_an_asynchronous_server_runs_both_kinds(runs: list[object]) -> None:
    @job_endpoint("slow")
    async def slow() -> None:
        return None

    async def deliver_both() -> list[object]:
        return [
            (
                await AsyncClient().post(
                    f"/v1/jobs/{name}", b"{}", content_type="application/json", headers=signed(key=name)
                )
            ).json()
            for name in ("slow", "news")
        ]

    assert asyncio.run(deliver_both()) == [{"ok": True}, {"run": 1}]


def test_a_function_gets_what_it_names() -> None:
    seen: dict[str, object] = {}

    @job_endpoint("all")
    def everything(request: object, delivery: Delivery, payload: object, optional: int = 1) -> HttpResponse:
        seen.update(request=request, delivery=delivery, payload=payload)
        return HttpResponse(request.body, status=202, content_type="text/plain")  # type: ignore[attr-defined]

    key = f"{SCHEDULE}_1772346600"
    headers = signed(b"[1]", key=key) | {"X-Schedule-Name": "T%C3%A4glich", "X-Schedule-Attempt": "3"}
    response = deliver("all", b"[1]", headers=headers)
    assert (response.status_code, response.content) == (202, b"[1]")
    delivery = seen["delivery"]
    assert isinstance(delivery, Delivery)
    assert (delivery.schedule_id, delivery.schedule_name, delivery.attempt) == (SCHEDULE, "Täglich", 3)
    assert delivery.scheduled_for == datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
    assert seen["payload"] == [1]


def test_a_function_with_other_arguments_is_refused_when_it_is_declared() -> None:
    with pytest.raises(EndpointError, match=r"wants 'user'.*delivery, payload, request"):

        @job_endpoint("bad")
        def bad(user: object) -> None: ...

    with pytest.raises(EndpointError, match="'a/b' cannot be an endpoint's name"):
        job_endpoint("a/b")


def test_a_name_is_given_once(runs: list[object]) -> None:
    with pytest.raises(EndpointError, match="'news' is taken by"):

        @job_endpoint("news")
        def other() -> None: ...


# --- refusals ---


@pytest.mark.parametrize("name", ["unknown", "news/more", "..", "new%0as", "NEWS"])
def test_an_unknown_name_is_404(runs: list[object], name: str) -> None:
    assert deliver(name).status_code == 404
    assert runs == []


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_another_method_is_405(runs: list[object], method: str) -> None:
    response = getattr(Client(), method)("/v1/jobs/news", headers=signed(b""))
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert runs == []


def test_a_large_body_is_413_before_it_is_read(runs: list[object]) -> None:
    assert deliver(body=b"[" + b" " * 998 + b"]").status_code == 200
    body = b"[" + b" " * 999 + b"]"
    assert deliver(body=body, headers=signed(body, key="job-2")).status_code == 413
    assert deliver(headers=signed(key="job-3"), CONTENT_LENGTH="9" * 5000).status_code == 413
    assert len(runs) == 1


def test_of_a_body_without_a_length_no_more_than_the_limit_is_read(runs: list[object], rf) -> None:
    stream = io.BytesIO(b" " * 100_000)
    request = rf.post("/v1/jobs/news", b"", content_type="application/json")
    request.META["CONTENT_LENGTH"] = ""
    request._stream = stream
    assert views.job_view(request, "news").status_code == 413
    assert stream.tell() == 1001


@pytest.mark.django_db(transaction=True)
def test_with_atomic_requests_the_function_is_in_a_transaction_and_the_claim_is_not(monkeypatch) -> None:
    """A claim within the transaction of a database cache would be seen by others only after the run."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    seen: list[tuple[str, bool]] = []
    claim = CacheStore.claim

    def spy(self: CacheStore, *arguments: Any, **options: Any) -> object:
        seen.append(("claim", connection.in_atomic_block))
        return claim(self, *arguments, **options)

    monkeypatch.setattr(CacheStore, "claim", spy)

    @job_endpoint("atomic")
    def atomic() -> None:
        seen.append(("function", connection.in_atomic_block))

    assert deliver("atomic").status_code == 200
    assert seen == [("claim", False), ("function", True)]


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: signed(b"other body"),
        lambda: signed(keys=(STRANGE_KEY,)),
        lambda: signed(at=now() - 301),
        lambda: signed(at=now() + 310),
        lambda: signed() | {"webhook-id": "another"},
        lambda: signed() | {"Idempotency-Key": "another"},
        lambda: signed() | {"webhook-signature": "v1,AAAA"},
    ],
    ids=["unsigned", "body", "key", "old", "future", "id", "idempotency key", "signature"],
)
def test_what_is_not_genuine_is_401(
    runs: list[object], headers: Callable[[], dict[str, str]], caplog
) -> None:
    response = deliver(headers=headers())
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "StandardWebhooks"
    assert set(response.json()) == {"error"}
    assert runs == []
    assert caplog.records[0].action == "router.refused"


def test_a_replay_is_401_and_does_not_run(runs: list[object]) -> None:
    headers = signed()
    assert deliver(headers=headers).status_code == 200
    response = deliver(headers=headers)
    assert (response.status_code, len(runs)) == (401, 1)
    assert "replay" in response.json()["error"]


@pytest.mark.parametrize("keys", [(KEY,), (NEW_KEY,), (NEW_KEY, KEY)])
def test_old_and_new_key_count_while_keys_are_exchanged(runs: list[object], settings, keys) -> None:
    settings.SCHEDULES_SIGNING_KEYS = [NEW_KEY, KEY]
    assert deliver(headers=signed(keys=keys)).status_code == 200
    settings.SCHEDULES_SIGNING_KEYS = [NEW_KEY]
    assert deliver(headers=signed(key="job-2")).status_code == 401


@pytest.mark.parametrize("body", [b"{", b"\x00", b"NaN"])
def test_a_body_that_is_no_json_is_400(runs: list[object], body: bytes) -> None:
    response = deliver(body=body)
    assert (response.status_code, runs) == (400, [])
    assert "not JSON" in response.json()["error"]


def test_a_failing_function_is_500_with_an_id_that_is_in_the_log(caplog) -> None:
    @job_endpoint("broken")
    def broken() -> None:
        raise RuntimeError("hunter2 in the database")

    response = deliver("broken")
    assert response.status_code == 500
    error_id = response.json()["id"]
    assert "hunter2" not in response.content.decode()
    assert "Traceback" not in response.content.decode()
    assert error_id in caplog.text
    assert "hunter2 in the database" in caplog.text
    assert [getattr(record, "error_id", None) for record in caplog.records if record.exc_info] == [error_id]


def test_an_answer_that_json_cannot_say_is_500(caplog) -> None:
    @job_endpoint("odd")
    def odd() -> object:
        return {1, 2}

    assert deliver("odd").status_code == 500


def test_broken_keys_are_500_and_are_not_shown(runs: list[object], settings, caplog) -> None:
    settings.SCHEDULES_SIGNING_KEYS = ["hunter2"]
    response = deliver()
    assert (response.status_code, runs) == (500, [])
    assert "hunter2" not in response.content.decode() + caplog.text


# --- once ---


def test_a_second_delivery_gets_the_first_ones_answer(runs: list[object]) -> None:
    first = deliver(headers=signed(at=now() - 5))
    second = deliver(headers=signed(at=now() - 1))
    assert len(runs) == 1
    assert (second.status_code, second.content, second["Content-Type"]) == (
        first.status_code,
        first.content,
        first["Content-Type"],
    )
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert deliver(headers=signed(key="job-2")).json() == {"run": 2}


def test_an_answer_of_4xx_is_an_answer_and_a_failure_is_none() -> None:
    statuses = iter([500, 503, 422, 200])

    @job_endpoint("moody")
    def moody() -> HttpResponse:
        status = next(statuses)
        if status == 500:
            raise RuntimeError
        return HttpResponse(f"run {status}", status=status)

    answers = [deliver("moody", headers=signed(at=now() - seconds)).status_code for seconds in (9, 8, 7, 6)]
    assert answers == [500, 503, 422, 422]


def test_a_key_is_not_used_for_another_body_or_another_endpoint(runs: list[object]) -> None:
    @job_endpoint("other")
    def other() -> None: ...

    assert deliver(headers=signed(at=now() - 5)).status_code == 200
    assert deliver(body=b"[]", headers=signed(b"[]", at=now() - 4)).status_code == 422
    assert deliver("other", headers=signed(at=now() - 3)).status_code == 422
    assert len(runs) == 1


def test_of_two_deliveries_at_once_one_runs_and_both_get_its_answer() -> None:
    started, go_on, runs = threading.Event(), threading.Event(), []

    @job_endpoint("slow")
    def slow() -> dict[str, int]:
        runs.append(1)
        started.set()
        go_on.wait(10)
        return {"run": len(runs)}

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(deliver, "slow", headers=signed(at=now() - 5))
        assert started.wait(10)
        second = pool.submit(deliver, "slow", headers=signed(at=now() - 4))
        go_on.set()
        answers = [first.result(10), second.result(10)]
    assert [answer.json() for answer in answers] == [{"run": 1}] * 2
    assert runs == [1]


def test_many_deliveries_at_once_run_once() -> None:
    barrier, runs = threading.Barrier(8), []

    @job_endpoint("slow")
    def slow() -> None:
        runs.append(1)

    def one(number: int) -> int:
        headers = signed(at=now() - number)
        barrier.wait(10)
        return deliver("slow", headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == {200}
    assert runs == [1]


def test_a_second_delivery_does_not_wait_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(views, "WAIT_SECONDS", 0.1)
    started, go_on = threading.Event(), threading.Event()

    @job_endpoint("slow")
    def slow() -> None:
        started.set()
        go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(deliver, "slow", headers=signed(at=now() - 5))
        assert started.wait(10)
        second = deliver("slow", headers=signed(at=now() - 4))
        go_on.set()
        assert first.result(10).status_code == 200
    assert (second.status_code, second["Retry-After"]) == (425, "5")


def test_a_claim_of_a_dead_process_lapses(runs: list[object]) -> None:
    store, mark = CacheStore(), fingerprint("news", b"{}")
    assert store.claim("job-1", token="dead", mark=mark, seconds=1) is None
    assert deliver().status_code == 200  # waits until the claim is over
    assert len(runs) == 1


def test_a_claim_of_others_is_not_given_up() -> None:
    store = CacheStore()
    assert store.claim("k", token="mine", mark="m", seconds=60) is None
    store.give_up("k", token="other")
    assert store.claim("k", token="other", mark="m", seconds=60) == Running()
    store.give_up("k", token="mine")
    assert store.claim("k", token="other", mark="m", seconds=60) is None


def test_a_long_answer_is_given_in_short_the_second_time() -> None:
    @job_endpoint("long")
    def long() -> HttpResponse:
        return HttpResponse("x" * 300_000)

    assert len(deliver("long", headers=signed(at=now() - 5)).content) == 300_000
    assert "too long to be kept" in deliver("long", headers=signed(at=now() - 4)).json()["note"]


def test_nothing_runs_while_the_cache_is_away(runs: list[object], monkeypatch, caplog) -> None:
    def away(*arguments: object, **options: object) -> bool:
        raise ConnectionError("redis://:hunter2@cache is away")

    monkeypatch.setattr(LocMemCache, "add", away)
    response = deliver()
    assert (response.status_code, runs) == (503, [])
    assert int(response["Retry-After"]) > 0
    assert "hunter2" not in response.content.decode()


# --- without keys ---


def test_without_keys_only_this_machine_is_served_and_only_in_debug(runs: list[object], settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = []
    assert deliver(headers={}).status_code == 401
    settings.DEBUG = True
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert deliver(headers={}, REMOTE_ADDR=address).status_code == 200
    for address in ("10.0.0.1", "192.168.1.5", "::ffff:10.0.0.1", "203.0.113.1", "", "unix:", "localhost"):
        assert deliver(headers={}, REMOTE_ADDR=address).status_code == 401
    assert len(runs) == 3


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "Origin", "Sec-Fetch-Site", "Referer"]
)
def test_without_keys_neither_proxies_nor_browsers_are_served(
    runs: list[object], settings, name: str
) -> None:
    """A proxy here speaks for strangers, and so does a browser: for the page that it shows."""
    settings.SCHEDULES_SIGNING_KEYS = []
    settings.DEBUG = True
    assert deliver(headers={name: "x"}).status_code == 401
    assert runs == []


def test_without_keys_a_key_still_runs_once(runs: list[object], settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = []
    settings.DEBUG = True
    for _ in range(2):
        assert deliver(headers={"Idempotency-Key": "k"}).json() == {"run": 1}
    assert deliver(headers={}).json() == {"run": 2}


def test_in_debug_keys_are_asked_for_all_the_same(runs: list[object], settings) -> None:
    settings.DEBUG = True
    assert deliver(headers={}).status_code == 401


def test_no_session_and_no_csrf_token_is_needed(runs: list[object]) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/v1/jobs/news", b"{}", content_type="application/json", headers=signed())
    assert response.status_code == 200


def test_what_the_logs_hold_is_no_secret(runs: list[object], caplog) -> None:
    headers = signed()
    with caplog.at_level(logging.DEBUG):
        deliver(headers=headers)
        deliver(headers=headers | {"Authorization": "Bearer hunter2"})
        deliver(body=json.dumps({"password": "hunter2"}).encode(), headers=headers)
    assert "hunter2" not in caplog.text
    assert KEY not in caplog.text
