"""The system check: where the endpoints remember must be shared by all web processes."""

from __future__ import annotations

import pytest
from django.urls import include, path

from schedules.router import endpoints, job_endpoint
from schedules.router.checks import check_router_cache

urlpatterns = [path("v1/jobs/", include("schedules.router.urls"))]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _endpoint(settings, monkeypatch) -> None:
    monkeypatch.setattr(endpoints, "_endpoints", {})
    settings.SCHEDULES_SIGNING_KEYS = ["whsec_" + "A" * 32]
    settings.SCHEDULES_ROUTER_CACHE = "default"

    @job_endpoint("news")
    def news() -> None: ...


@pytest.mark.parametrize(
    "backend,ids",
    [
        ("django.core.cache.backends.locmem.LocMemCache", ["schedules.W062"]),
        ("django.core.cache.backends.filebased.FileBasedCache", ["schedules.W062"]),
        ("django.core.cache.backends.dummy.DummyCache", ["schedules.E062"]),
        ("django.core.cache.backends.redis.RedisCache", []),
        ("django.core.cache.backends.db.DatabaseCache", []),
        ("django.core.cache.backends.memcached.PyMemcacheCache", []),
    ],
)
def test_a_cache_that_is_not_shared_is_told(settings, backend: str, ids: list[str]) -> None:
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "x"}}
    found = check_router_cache()
    assert [message.id for message in found] == ids
    assert all("SCHEDULES_ROUTER_CACHE" in (message.hint or "") for message in found)


def test_nothing_is_told_where_nothing_needs_to_be_remembered(settings, monkeypatch) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.SCHEDULES_SIGNING_KEYS = []
    assert check_router_cache() == []
    settings.SCHEDULES_SIGNING_KEYS = ["whsec_" + "A" * 32]
    monkeypatch.setattr(endpoints, "_endpoints", {})
    assert check_router_cache() == []


def test_broken_settings_are_left_to_their_own_checks(settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = ["none"]
    assert check_router_cache() == []
    settings.SCHEDULES_SIGNING_KEYS = ["whsec_" + "A" * 32]
    settings.SCHEDULES_ROUTER_CACHE = "elsewhere"
    assert check_router_cache() == []
