"""Read the settings `SCHEDULES_*`: the only place that does.

Each setting is one property of `conf`, read when it is asked for (so that tests can override settings and
nothing is read at import) and checked on the way. The system checks (`schedules.E001` …) ask each of them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULT_API_BASE_URL: Final = "http://127.0.0.1:8000"
SIGNING_KEY_PREFIX: Final = "whsec_"
SIGNING_KEY_BYTES: Final = range(24, 65)
"""Length of a key, from the Standard Webhooks specification."""


class ConfError(ImproperlyConfigured):
    """A setting has a value that cannot be used.

    Attributes:
        setting: its name.
        example: a line to paste into the settings that would be right.
    """

    def __init__(self, setting: str, problem: str, *, example: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.example = example


def _whole_number(setting: str, *, default: int, minimum: int, unit: str) -> int:
    value = getattr(settings, setting, default)
    # bool is an int: SCHEDULES_KEEP_DAYS = True would silently keep one day.
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfError(
            setting,
            f"is {value!r}; it must be a whole number of {unit}, {minimum} or more.",
            example=f"{setting} = {default}",
        )
    return value


def _texts(setting: str, *, default: Sequence[str], example: str, show: bool = True) -> tuple[str, ...]:
    value = getattr(settings, setting, default)
    # A bare text is a sequence of letters: the usual mistake, and it would allow nothing or everything.
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        said = repr(value) if show else f"a {type(value).__name__}"
        raise ConfError(setting, f"is {said}; it must be a list or tuple of texts.", example=example)
    for position, item in enumerate(value):
        if not isinstance(item, str) or not item.strip() or item != item.strip():
            said = repr(item) if show else "not a text, empty, or has spaces around it"
            raise ConfError(
                setting,
                f"has {said} at position {position}; each item must be a text that is not empty and has no "
                "spaces around it.",
                example=example,
            )
    return tuple(value)


def is_http_url(text: object) -> bool:
    """Say whether `text` is an absolute http or https URL with a host."""
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        # .port parses the number, and raises for one that is none.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class Conf:
    """The settings of the scheduler, typed; each property raises `ConfError` for a value it cannot use."""

    @property
    def misfire_threshold(self) -> int:
        """Seconds that a slot may be late before it is a misfire (`SCHEDULES_MISFIRE_THRESHOLD`)."""
        return _whole_number("SCHEDULES_MISFIRE_THRESHOLD", default=60, minimum=0, unit="seconds")

    @property
    def max_catchup(self) -> int:
        """Late slots that `fire_all` dispatches at most, per schedule (`SCHEDULES_MAX_CATCHUP`)."""
        return _whole_number("SCHEDULES_MAX_CATCHUP", default=100, minimum=1, unit="slots")

    @property
    def reconcile_seconds(self) -> int:
        """Seconds between two comparisons of Redis with the database (`SCHEDULES_RECONCILE_SECONDS`)."""
        return _whole_number("SCHEDULES_RECONCILE_SECONDS", default=30, minimum=1, unit="seconds")

    @property
    def grace(self) -> int:
        """Seconds after which a slot that has not started is late, unless its schedule says (`SCHEDULES_GRACE`)."""
        return _whole_number("SCHEDULES_GRACE", default=300, minimum=1, unit="seconds")

    @property
    def keep_days(self) -> int:
        """Days that runs are kept (`SCHEDULES_KEEP_DAYS`); failures three times as long."""
        return _whole_number("SCHEDULES_KEEP_DAYS", default=30, minimum=1, unit="days")

    @property
    def keep_runs(self) -> int:
        """Runs that are kept per schedule (`SCHEDULES_KEEP_RUNS`); failures three times as many."""
        return _whole_number("SCHEDULES_KEEP_RUNS", default=1000, minimum=1, unit="runs")

    @property
    def allowed_targets(self) -> tuple[str, ...]:
        """Dotted prefixes under which public functions may be scheduled (`SCHEDULES_ALLOWED_TARGETS`)."""
        example = 'SCHEDULES_ALLOWED_TARGETS = ["shop.tasks"]'
        prefixes = _texts("SCHEDULES_ALLOWED_TARGETS", default=(), example=example)
        for prefix in prefixes:
            if not all(part.isidentifier() and not part.startswith("_") for part in prefix.split(".")):
                raise ConfError(
                    "SCHEDULES_ALLOWED_TARGETS",
                    f"has {prefix!r}; each item must be the dotted name of a package, module or function, "
                    "without private parts and without a trailing dot or star.",
                    example=example,
                )
        return prefixes

    @property
    def free_targets(self) -> bool:
        """Whether superusers may type a function that is not in the list (`SCHEDULES_FREE_TARGETS`).

        What they type must be allowed all the same; it need only not have been found beforehand.
        """
        value = getattr(settings, "SCHEDULES_FREE_TARGETS", False)
        if not isinstance(value, bool):
            raise ConfError(
                "SCHEDULES_FREE_TARGETS",
                f"is {value!r}; it must be True or False.",
                example="SCHEDULES_FREE_TARGETS = False",
            )
        return value

    @property
    def api_base_url(self) -> str:
        """Address of the backend that HTTP jobs call, without a trailing slash (`API_BASE_URL`)."""
        value = getattr(settings, "API_BASE_URL", DEFAULT_API_BASE_URL)
        if not is_http_url(value):
            raise ConfError(
                "API_BASE_URL",
                f"is {value!r}; it must be an http or https URL with a host.",
                example='API_BASE_URL = "https://api.example.com"',
            )
        return str(value).rstrip("/")

    @property
    def http_allowed(self) -> tuple[str, ...]:
        """Prefixes of the URLs that HTTP jobs may call (`SCHEDULES_HTTP_ALLOWED`).

        Each is a URL (`https://api.example.com/v1/jobs/`) or a scheme with a star (`https://*`). Default: the
        backend's jobs, `API_BASE_URL` + `/v1/jobs/`.
        """
        example = 'SCHEDULES_HTTP_ALLOWED = [API_BASE_URL + "/v1/jobs/"]'
        if getattr(settings, "SCHEDULES_HTTP_ALLOWED", None) is None:
            return (f"{self.api_base_url}/v1/jobs/",)
        prefixes = _texts("SCHEDULES_HTTP_ALLOWED", default=(), example=example)
        for prefix in prefixes:
            if prefix not in ("http://*", "https://*") and not is_http_url(prefix):
                raise ConfError(
                    "SCHEDULES_HTTP_ALLOWED",
                    f"has {prefix!r}; each must be an http or https URL with a host, or https://* for any.",
                    example=example,
                )
        return prefixes

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """Keys that sign HTTP jobs, the one in use first (`SCHEDULES_SIGNING_KEYS`); no error shows them."""
        example = 'SCHEDULES_SIGNING_KEYS = ["whsec_" + 32 random bytes in base64]'
        keys = _texts("SCHEDULES_SIGNING_KEYS", default=(), example=example, show=False)
        for position, key in enumerate(keys):
            try:
                length = len(base64.b64decode(key.removeprefix(SIGNING_KEY_PREFIX), validate=True))
            except (binascii.Error, ValueError):
                length = 0
            if length not in SIGNING_KEY_BYTES:
                raise ConfError(
                    "SCHEDULES_SIGNING_KEYS",
                    f"has a key at position {position} that cannot be used; each must be {SIGNING_KEY_BYTES[0]} "
                    f"to {SIGNING_KEY_BYTES[-1]} random bytes in base64, with or without the prefix "
                    f"{SIGNING_KEY_PREFIX!r}.",
                    example=example,
                )
        return keys

    @property
    def notify_url(self) -> str:
        """URL that gets a signed message for every alarm; empty: none (`SCHEDULES_NOTIFY_URL`)."""
        value = getattr(settings, "SCHEDULES_NOTIFY_URL", "")
        if value != "" and not is_http_url(value):
            raise ConfError(
                "SCHEDULES_NOTIFY_URL",
                f"is {value!r}; it must be an http or https URL with a host, or empty.",
                example='SCHEDULES_NOTIFY_URL = ""',
            )
        return str(value)

    @property
    def http_proxy(self) -> str:
        """URL of the proxy for HTTP jobs; empty: none, whatever the environment says (`SCHEDULES_HTTP_PROXY`)."""
        value = getattr(settings, "SCHEDULES_HTTP_PROXY", "")
        if value != "" and not is_http_url(value):
            raise ConfError(
                "SCHEDULES_HTTP_PROXY",
                "must be an http or https URL with a host, or empty.",  # not shown: it may hold a password
                example='SCHEDULES_HTTP_PROXY = ""',
            )
        return str(value)

    @property
    def http_ca_bundle(self) -> str:
        """File of the authorities that HTTP jobs trust; empty: certifi's (`SCHEDULES_HTTP_CA_BUNDLE`)."""
        value = getattr(settings, "SCHEDULES_HTTP_CA_BUNDLE", "")
        if value != "" and not Path(value).is_file():
            raise ConfError(
                "SCHEDULES_HTTP_CA_BUNDLE",
                f"is {str(value)!r}; it must be a file of certificates in PEM form, or empty.",
                example='SCHEDULES_HTTP_CA_BUNDLE = ""',
            )
        return str(value)

    @property
    def router_cache(self) -> str:
        """Name of the cache in which job endpoints remember deliveries (`SCHEDULES_ROUTER_CACHE`)."""
        value = getattr(settings, "SCHEDULES_ROUTER_CACHE", "default")
        if value not in settings.CACHES:
            raise ConfError(
                "SCHEDULES_ROUTER_CACHE",
                f"is {value!r}; it must be one of CACHES: {', '.join(sorted(settings.CACHES))}.",
                example='SCHEDULES_ROUTER_CACHE = "default"',
            )
        return str(value)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the queues, in the order of django-rq's `RQ_QUEUES`."""
        value = getattr(settings, "RQ_QUEUES", None)
        if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) for name in value):
            raise ConfError(
                "RQ_QUEUES",
                "must be a dictionary with at least one queue, name to connection.",
                example='RQ_QUEUES = {"default": {"URL": "redis://127.0.0.1:6379/0"}}',
            )
        return tuple(value)


conf: Final = Conf()
