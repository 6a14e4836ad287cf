"""Sender and receiver together, over a real connection to a real server."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.urls import include, path

from schedules.http import PermanentHttpError, RetryableHttpError, send_request
from schedules.http.caller import Caller
from schedules.job import job_request
from schedules.router import Delivery, endpoints, job_endpoint

urlpatterns = [path("v1/jobs/", include("schedules.router.urls"))]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

KEY, NEW_KEY = ("whsec_" + letter * 32 for letter in "AB")


@pytest.fixture
def base(settings, monkeypatch, live_server) -> str:
    monkeypatch.setattr(endpoints, "_endpoints", {})
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "live"}
    }
    settings.SECURE_SSL_REDIRECT = False
    settings.SCHEDULES_HTTP_ALLOWED = None
    settings.API_BASE_URL = live_server.url.replace("localhost", "127.0.0.1")
    settings.SCHEDULES_SIGNING_KEYS = [NEW_KEY, KEY]
    caches["default"].clear()
    return f"{settings.API_BASE_URL}/v1/jobs"


def test_a_call_arrives_with_its_slot(base: str) -> None:
    seen: list[Delivery] = []

    @job_endpoint("news")
    def news(delivery: Delivery) -> dict[str, str]:
        seen.append(delivery)
        return {"done": delivery.payload["edition"]}

    key = "0b8e6a52-9d0e-4f0e-8c62-6a6c8c4e1a11_1772346600"
    caller = Caller(key=key, schedule_name="Täglich 100%")
    result = send_request(url=f"{base}/news", json={"edition": "äöü"}, caller=caller)
    assert (result.status, result.body) == (200, '{"done": "\\u00e4\\u00f6\\u00fc"}')
    assert (seen[0].key, seen[0].schedule_name) == (key, "Täglich 100%")
    again = send_request(url=f"{base}/news", json={"edition": "äöü"}, caller=Caller(key=key, attempt=2))
    assert (again.body, len(seen)) == (result.body, 1)
    assert ("Idempotency-Replayed", "true") in again.headers


def test_a_failing_endpoint_is_tried_again_and_an_unknown_one_is_not(base: str, caplog) -> None:
    @job_endpoint("broken")
    def broken() -> None:
        raise RuntimeError

    with pytest.raises(RetryableHttpError, match=r'answered 500 Internal Server Error: \{"error"') as failure:
        job_request(f"{base}/broken")
    error_id = str(failure.value).rpartition('"id": "')[2].partition('"')[0]
    assert error_id in caplog.text
    with pytest.raises(PermanentHttpError, match="answered 404 Not Found"):
        job_request(f"{base}/unknown")
    with pytest.raises(PermanentHttpError, match="answered 405 Method Not Allowed"):
        job_request(f"{base}/broken", method="GET")


def test_without_keys_this_machine_is_served_in_debug(base: str, settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = []

    @job_endpoint("news")
    def news() -> None: ...

    settings.DEBUG = True
    assert job_request(f"{base}/news")["body_start"] == '{"ok": true}'
    settings.DEBUG = False
    with pytest.raises(PermanentHttpError, match="answered 401"):
        job_request(f"{base}/news")
