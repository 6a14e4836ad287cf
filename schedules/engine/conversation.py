"""Several script calls on one connection, their answers read later: this process works while Redis does."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError
from redis.utils import HIREDIS_AVAILABLE


class Conversation:
    """Ask first, read the answers in the order of the questions. Leaving it drops what was not read.

    Nothing is sent twice: when the connection breaks, the error of redis-py comes out of `ask` or `answer`, and what
    Redis did of the questions is found by reading again.
    """

    def __init__(self, connection: Redis) -> None:
        self._pool = connection.connection_pool
        self._open: list[tuple[Script, Sequence[Any]]] = []

    def __enter__(self) -> Self:
        self._connection = self._pool.get_connection()
        return self

    def ask(self, script: Script, args: Sequence[Any]) -> None:
        """Send one call."""
        self._connection.send_packed_command(self._pack("EVALSHA", script.sha, 0, *args))
        self._open.append((script, args))

    def _pack(self, *command: Any) -> Sequence[bytes]:
        """Return the bytes of a command. redis-py looks at each of thousands of arguments before it asks hiredis."""
        if HIREDIS_AVAILABLE:
            from hiredis import pack_command

            return [pack_command(command)]
        return cast("Sequence[bytes]", self._connection.pack_command(*command))

    def answer(self) -> Any:
        """Wait for the answer to the oldest question that has none."""
        script, args = self._open.pop(0)
        try:
            return self._connection.read_response()
        except NoScriptError:
            return script(args=args)  # Redis was restarted or emptied: it learns the script by this call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._open or error is not None:
            # An answer that nobody reads would be taken for that to the next question.
            self._connection.disconnect()
        self._pool.release(self._connection)
