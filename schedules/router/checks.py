"""System check of what the endpoints remember in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from schedules.conf import ConfError, conf
from schedules.router.endpoints import endpoint_names

HINT = "Use a cache in Redis, Memcached or the database, and name it in SCHEDULES_ROUTER_CACHE."


def check_router_cache(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that all web processes share the cache of the endpoints (schedules.E062, schedules.W062).

    Only where there are endpoints and keys: elsewhere nothing needs to be remembered.
    """
    try:
        get_resolver().url_patterns  # noqa: B018 - the endpoints are known once the addresses are loaded
        if not endpoint_names() or not conf.signing_keys:
            return []
        alias = conf.router_cache
    except (ConfError, ImproperlyConfigured):
        return []  # what is wrong there is told by the checks of settings and addresses
    backend = str(settings.CACHES[alias].get("BACKEND", "")).rpartition(".")[2]
    if backend == "DummyCache":
        text = f"The cache {alias!r} remembers nothing: the job endpoints would run replayed deliveries."
        return [Error(text, hint=HINT, id="schedules.E062")]
    if backend == "LocMemCache":
        text = (
            f"The cache {alias!r} is local to each process: with several web processes, the job endpoints "
            "would run replayed and repeated deliveries."
        )
        return [Warning(text, hint=HINT, id="schedules.W062")]
    if backend == "FileBasedCache":
        text = f"The cache {alias!r} is not atomic: two deliveries at once could both run."
        return [Warning(text, hint=HINT, id="schedules.W062")]
    return []
