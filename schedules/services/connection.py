"""The service's connection: django-rq's configuration, with waits that a web request can afford."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, cast

import django_rq
from django.core.signals import setting_changed
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, TimeoutError
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from schedules.engine import Scheduler
from schedules.services import pages
from schedules.services.errors import SchedulerUnavailableError
from schedules.texts import gettext as _

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0
"""How long one reply may take. redis-py's own default is to wait for ever, and to try three times more."""


def with_bounded_waits(client: Redis, *, connect: float, answer: float) -> Redis:
    """Return a client of the same server whose connections give up after so many seconds."""
    pool = client.connection_pool
    bounds: dict[str, Any] = {
        **pool.connection_kwargs,
        "socket_connect_timeout": connect,
        "socket_timeout": answer,
        # A second try at once, for the connection that the server closed while it was idle; none for a server that
        # hangs: it would double the wait.
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }
    if isinstance(pool, SentinelConnectionPool):
        bounds.pop("connection_pool", None)
        # Named, for the options alone do not say any more whether it is one with TLS.
        bounds["connection_class"] = pool.connection_class
        return Redis(
            connection_pool=SentinelConnectionPool(pool.service_name, pool.sentinel_manager, **bounds)
        )
    return Redis(connection_pool=type(pool)(connection_class=pool.connection_class, **bounds))


def scheduler_for(queue: str = "default") -> Scheduler:
    """Return the scheduler that serves a queue's Redis, one per process; for pages another one, which waits less."""
    return _scheduler_for(queue, for_pages=pages.is_page())


@lru_cache(maxsize=16)
def _scheduler_for(queue: str, *, for_pages: bool) -> Scheduler:
    client = with_bounded_waits(
        django_rq.get_connection(queue),
        connect=pages.CONNECT_SECONDS if for_pages else CONNECT_SECONDS,
        answer=pages.ANSWER_SECONDS if for_pages else ANSWER_SECONDS,
    )
    return cast(Scheduler, django_rq.get_scheduler(queue, connection=client))


def forget_connections(**_signal: Any) -> None:
    """Make the next call connect anew: after settings have changed, as tests do."""
    _scheduler_for.cache_clear()


setting_changed.connect(forget_connections)


@contextmanager
def redis_errors_as_ours(client: Redis) -> Iterator[None]:
    """Turn every error of the connection into the one type that callers need to know.

    Raises:
        SchedulerUnavailableError: Redis does not answer, or refuses; or it did not answer this page before.
    """
    problem = pages.known_problem()
    if problem:
        raise SchedulerUnavailableError(_unavailable(client, problem))
    try:
        yield
    except RedisError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            pages.remember(str(error))
        raise SchedulerUnavailableError(_unavailable(client, error)) from error


def _unavailable(client: Redis, problem: object) -> str:
    return _("Redis is not reachable at %(address)s (%(error)s). Start it, or correct REDIS_URL.") % {
        "address": address_of(client),
        "error": problem,
    }


def address_of(client: Redis) -> str:
    """Return where a client connects to, without its password."""
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        found = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
        places = ", ".join(sorted(f"{one.get('host')}:{one.get('port')}" for one in found))
        return f"{pool.service_name} (Sentinel at {places})"
    options = pool.connection_kwargs
    if options.get("path"):
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
