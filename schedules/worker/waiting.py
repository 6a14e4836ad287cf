"""Waiting for a job in a way that can be left, and only where no job is lost by it.

RQ leaves by an exception out of the signal's handler, at whatever line the worker stands. Inside hiredis that ends the
interpreter with a segmentation fault; between a command and its answer the next command reads what was not meant for
it; a job whose answer is under way is gone; and where something swallows it, the worker goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq.exceptions import DequeueTimeout, StopRequested
from rq.intermediate_queue import IntermediateQueue
from rq.queue import Queue

GLANCE: Final = 0.2
"""Seconds between two looks, on this side of the socket, at whether to leave. They cost Redis nothing."""
SLACK: Final = 10.0
"""Seconds that an answer may take beyond the time for which Redis was asked to wait."""
LEAVE_SECONDS: Final = 2.0
"""How long Redis is given to answer somebody who wants to leave."""


def leavable(queue_class: type[Queue], is_leaving: Callable[[], bool]) -> type[Queue]:
    """Return a class of queues like this one, whose waits for a job end when it is time to leave.

    Its `lpop` and `lmove` raise `StopRequested` instead of taking a job then; one that was taken meanwhile is returned.
    """

    class Leavable(queue_class):  # type: ignore[valid-type, misc]
        @classmethod
        def lpop(cls, queue_keys: Sequence[str], timeout: int | None, connection: Redis | None = None) -> Any:
            if timeout is None or connection is None:
                return super().lpop(queue_keys, timeout, connection=connection)
            answer = _wait(connection, ("BLPOP", *queue_keys, timeout), timeout, is_leaving)
            if answer is None:
                raise DequeueTimeout(timeout, queue_keys)
            return tuple(answer)

        @classmethod
        def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
            if timeout is None:
                return super().lmove(connection, queue_key, timeout)
            taken = IntermediateQueue(queue_key, connection).key
            command = ("BLMOVE", queue_key, taken, "LEFT", "RIGHT", timeout)
            answer = _wait(connection, command, timeout, is_leaving)
            if answer is None:
                raise DequeueTimeout(timeout, queue_key)
            return queue_key, answer

    Leavable.__name__, Leavable.__qualname__ = queue_class.__name__, queue_class.__qualname__
    return Leavable


def hurry(client: Redis) -> None:
    """Let no further command wait for longer than somebody can who wants to leave.

    A worker's connections wait for as long as a job may take to come.
    """
    pool = client.connection_pool
    pool.connection_kwargs |= {"socket_timeout": LEAVE_SECONDS, "retry": Retry(NoBackoff(), 0)}
    pool.disconnect(inuse_connections=False)
    pool.reset()  # its connections were made with other bounds


def cut_off(client: Redis) -> None:
    """Let whatever waits for Redis at this moment, in another thread, fail at once instead."""
    pool = client.connection_pool
    pool.set_retry(Retry(NoBackoff(), 0))
    pool.disconnect()


def _wait(
    client: Redis, command: tuple[Any, ...], seconds: float, is_leaving: Callable[[], bool]
) -> Any | None:
    """Send a command for which Redis waits up to so many seconds, and return its answer; None: there was none.

    Raises:
        StopRequested: it is time to leave, and Redis has given nothing.
    """
    if is_leaving():
        raise StopRequested
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        client_id = _id_of(connection)
        connection.send_command(*command)
        deadline = time.monotonic() + seconds + SLACK
        while not connection.can_read(timeout=GLANCE):
            if is_leaving():
                return _leave(client, connection, client_id)
            if time.monotonic() > deadline:
                raise RedisTimeoutError(f"Redis did not answer {command[0]} within {seconds + SLACK:.0f} s.")
        return connection.read_response()
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _leave(client: Redis, connection: Any, client_id: int | None) -> Any:
    """Let Redis end its wait, and return what it had given before; hanging up might lose that."""
    hurry(client)
    answer = None
    if client_id is not None and _unblock(client, client_id) and connection.can_read(timeout=LEAVE_SECONDS):
        answer = connection.read_response()
    if answer is None:
        raise StopRequested
    return answer


def _unblock(client: Redis, client_id: int) -> bool:
    """Let Redis end the wait of a connection; return whether it heard of it in time."""
    try:
        client.client_unblock(client_id)
    except RedisError:
        return False
    return True


def _id_of(connection: Any) -> int | None:
    """Return the number under which Redis knows a connection; None where it is not allowed to ask."""
    connection.send_command("CLIENT", "ID")
    try:
        return int(connection.read_response())
    except ResponseError:
        return None
