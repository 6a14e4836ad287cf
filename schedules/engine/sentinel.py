"""What django-rq and redis-py leave open where Redis is found through Sentinel, and a long-lived process cannot."""

from __future__ import annotations

from typing import Any, Final

from redis import Redis
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

ANSWER_SECONDS: Final = 5.0
"""How long one reply may take: redis-py's own default, which django-rq takes away for Sentinel."""


class _Tidy(SentinelManagedConnection):
    """Is closed when the wait for a reply is interrupted, as every other connection of redis-py.

    Else the reply would be taken for that of the next command: a worker that is told to stop while it waits for a job
    would hang until that wait is over.
    """

    def read_response(
        self, disable_decoding: Any = False, *, disconnect_on_error: bool | None = True, **options: Any
    ) -> Any:
        """Read one reply."""
        return super().read_response(disable_decoding, disconnect_on_error=disconnect_on_error, **options)


class _TidySSL(_Tidy, SentinelManagedSSLConnection):
    """The same with TLS."""


def make_dependable(connection: Redis) -> None:
    """Let a connection through Sentinel be closed when it is interrupted, and give up when the master hangs.

    Without a bound, a process whose master stands still would wait for it long after another was chosen. Connections
    of other kinds are left as they are.
    """
    pool = connection.connection_pool
    if not isinstance(pool, SentinelConnectionPool):
        return
    has_tls = issubclass(pool.connection_class, SentinelManagedSSLConnection)
    pool.connection_class = _TidySSL if has_tls else _Tidy
    if pool.connection_kwargs.get("socket_timeout") is None:
        pool.connection_kwargs["socket_timeout"] = ANSWER_SECONDS
    pool.disconnect()
    pool.reset()
