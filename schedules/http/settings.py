"""The settings of HTTP jobs, read when they are needed and nowhere else in this package."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

DEFAULT_API_BASE_URL = "http://127.0.0.1:8000"


def _list(name: str, default: Sequence[str]) -> tuple[str, ...]:
    value = getattr(settings, name, None)
    if value is None:
        return tuple(default)
    # A lone string is the most likely slip, and would otherwise be read letter by letter.
    return (value,) if isinstance(value, str) else tuple(value)


def http_allowed() -> tuple[str, ...]:
    """Return the prefixes that HTTP jobs may call (`SCHEDULES_HTTP_ALLOWED`)."""
    base = str(getattr(settings, "API_BASE_URL", DEFAULT_API_BASE_URL)).rstrip("/")
    return _list("SCHEDULES_HTTP_ALLOWED", (f"{base}/v1/jobs/",))


def signing_keys() -> tuple[str, ...]:
    """Return the keys that requests are signed with, newest first (`SCHEDULES_SIGNING_KEYS`)."""
    return tuple(key for key in _list("SCHEDULES_SIGNING_KEYS", ()) if key)


def http_proxy() -> str:
    """Return the proxy set on purpose (`SCHEDULES_HTTP_PROXY`); the environment's are never used."""
    return str(getattr(settings, "SCHEDULES_HTTP_PROXY", "") or "")


def http_ca_bundle() -> str:
    """Return the file of trusted authorities (`SCHEDULES_HTTP_CA_BUNDLE`); '' means certifi's."""
    return str(getattr(settings, "SCHEDULES_HTTP_CA_BUNDLE", "") or "")
