"""System checks of the endpoints."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from schedules.http.errors import SigningKeyError
from schedules.http.settings import signing_keys
from schedules.http.signing import read_keys
from schedules.router.endpoints import endpoint_names
from schedules.router.store import cache_alias

MAKE_KEY = "python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
_NOT_SHARED = ("LocMemCache",)
_NOT_ATOMIC = ("FileBasedCache",)
_NO_CACHE = ("DummyCache",)


def check_signing_keys(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Each signing key must be one (schedules.E061)."""
    try:
        read_keys(signing_keys())
    except SigningKeyError as error:
        hint = f"Make one: {MAKE_KEY}"
        return [Error(str(error), hint=hint, id="schedules.E061")]
    return []


def check_router_cache(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The cache of the endpoints must be shared by all web processes (schedules.E062, W062)."""
    try:
        get_resolver().url_patterns  # noqa: B018 - the endpoints are known once the addresses are loaded
    except ImproperlyConfigured:
        return []  # no addresses, no endpoints; broken ones are the business of Django's own check
    if not signing_keys() or not endpoint_names():
        return []
    alias = cache_alias()
    if alias not in settings.CACHES:
        text = f"SCHEDULES_ROUTER_CACHE is {alias!r}: {', '.join(sorted(settings.CACHES))} are in CACHES."
        return [Error(text, id="schedules.E062")]
    backend = str(settings.CACHES[alias].get("BACKEND", ""))
    hint = "Use a cache in Redis, Memcached or the database, and name it in SCHEDULES_ROUTER_CACHE."
    if backend.endswith(_NO_CACHE):
        text = f"The cache {alias!r} remembers nothing: the job endpoints would run replayed deliveries."
        return [Error(text, hint=hint, id="schedules.E062")]
    if backend.endswith(_NOT_SHARED):
        text = (
            f"The cache {alias!r} is local to each process: with several web processes, the job endpoints "
            "would run replayed and repeated deliveries."
        )
        return [Warning(text, hint=hint, id="schedules.W062")]
    if backend.endswith(_NOT_ATOMIC):
        text = f"The cache {alias!r} is not atomic: two deliveries at once could both run."
        return [Warning(text, hint=hint, id="schedules.W062")]
    return []
