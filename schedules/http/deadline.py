"""One moment after which a request is over, whatever the other side still sends.

Connect and read time-outs bound the wait for the *next* byte; a server that sends a byte now and then is
never late by them. Here a timer shuts the request's socket down at the deadline, which ends every blocking
call on it: header lines, chunk sizes, trailers, body.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from contextvars import ContextVar, Token
from types import TracebackType


class Deadline:
    """A context in which sockets that are watched die after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._ends_at = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._token: Token[Deadline | None] | None = None

    def remaining(self) -> float:
        """Return the seconds that are left, never less than a millisecond (0 would mean: no time-out)."""
        return max(self._ends_at - time.monotonic(), 0.001)

    def watch(self, sock: object) -> None:
        """End this socket's traffic at the deadline; at once when it has passed."""
        if not isinstance(sock, socket.socket):
            return
        with self._lock:
            self._sockets.append(sock)
            if self.passed:
                _shut_down(sock)

    def _end(self) -> None:
        with self._lock:
            self.passed = True
            for sock in self._sockets:
                _shut_down(sock)

    def __enter__(self) -> Deadline:
        self._token = _current.set(self)
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            # A connection that goes back to the pool must not be shut down by a timer that fires late.
            self._sockets.clear()
        if self._token is not None:
            _current.reset(self._token)


_current: ContextVar[Deadline | None] = ContextVar("schedules_http_deadline", default=None)


def current_deadline() -> Deadline | None:
    """Return the deadline of the request that this thread is sending."""
    return _current.get()


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not SSLSocket.shutdown: it would take the TLS state away from the thread that is reading.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
