"""Keeping the tail of what a job prints and logs."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

from redis import Redis
from redis.exceptions import RedisError

LIMIT: Final = 64 * 1024
"""Bytes of a run's output that are kept: the last ones."""
MOST_A_SECOND: Final = 20
FOLLOWED_SECONDS: Final = 600
CUT_MARK: Final = "[… the beginning was cut off: {dropped} bytes]\n"


class Tail:
    """The last bytes written; older ones are counted and dropped, so gigabytes cost no memory."""

    def __init__(self, limit: int = LIMIT, *, follower: Callable[[bytes], None] | None = None) -> None:
        self._limit = limit
        self._follower = follower
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._total = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with self._lock:
            self._total += len(data)
            kept = data[-self._limit :]
            self._chunks.append(kept)
            self._size += len(kept)
            while self._size - len(self._chunks[0]) >= self._limit:
                self._size -= len(self._chunks.popleft())
            if (
                len(self._chunks) > 4096
            ):  # a job that prints single characters must not keep a million objects
                self._chunks = deque([b"".join(self._chunks)])
        if self._follower is not None:
            self._follower(kept)

    def text(self) -> str:
        """Return what is kept, marked if it was cut; bytes that are no text are shown as such."""
        with self._lock:
            data = b"".join(self._chunks)[-self._limit :]
            dropped = self._total - len(data)
        text = data.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
        if dropped:
            # A character may have been cut in half: what is left of it is dropped, not shown as bytes.
            return CUT_MARK.format(dropped=dropped) + text.lstrip("\ufffd")
        return text


class Follower:
    """Passes a job's output on while it runs, to whoever reads the stream; at most so much, never at the job's cost."""

    def __init__(self, connection: Redis, key: str) -> None:
        self._connection = connection
        self._key = key
        self._waiting = bytearray()
        self._second = 0
        self._sent = 0

    def __call__(self, data: bytes) -> None:
        """Pass some output on, or keep it for the next second if much was passed on in this."""
        self._waiting += data
        del self._waiting[:-LIMIT]
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._sent = second, 0
        if self._sent < MOST_A_SECOND:
            self.flush()

    def flush(self) -> None:
        """Pass on what was kept."""
        if not self._waiting:
            return
        self._sent += 1
        data, self._waiting = bytes(self._waiting), bytearray()
        # Whoever follows loses sight of it; the job goes on, and the ledger has the tail.
        with suppress(RedisError, OSError), self._connection.pipeline(transaction=False) as pipe:
            pipe.xadd(self._key, {"data": data}, maxlen=1000)
            pipe.expire(self._key, FOLLOWED_SECONDS)
            pipe.execute()


class _TeeBytes(io.RawIOBase):
    def __init__(self, stream: Any, tail: Tail) -> None:
        self._stream = stream
        self._tail = tail

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = bytes(data)
        self._tail.write(written)
        self._stream.write(written)
        return len(written)

    def flush(self) -> None:
        if not self._stream.closed:
            self._stream.flush()


class _TeeText(io.TextIOBase):
    """Writes through to the stream, and into the tail; has a `buffer` for bytes, as a real one has."""

    def __init__(self, stream: TextIO, tail: Tail) -> None:
        self._stream = stream
        self._tail = tail
        self.buffer = _TeeBytes(getattr(stream, "buffer", io.BytesIO()), tail)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._tail.write(text.encode("utf-8", "backslashreplace"))
        try:
            return self._stream.write(text)
        except (UnicodeEncodeError, ValueError):
            return len(text)  # the worker's own stream cannot show it; the ledger can

    def flush(self) -> None:
        self._stream.flush()


class _TailHandler(logging.Handler):
    def __init__(self, tail: Tail) -> None:
        super().__init__()
        self._tail = tail
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._tail.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - logging must not end the job; this is what logging itself does
            self.handleError(record)


@contextmanager
def kept_output(follower: Callable[[bytes], None] | None = None) -> Iterator[Tail]:
    """Keep what this process prints and logs while it is open, and let it through as well.

    Python's own streams and the root logger are kept, not file descriptors: a pipe between a job and its own
    process fills up and stands still when a library writes to it with the interpreter locked.
    """
    tail = Tail(follower=follower)
    handler = _TailHandler(tail)
    root = logging.getLogger()
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _TeeText(out, tail), _TeeText(err, tail)
    root.addHandler(handler)
    try:
        yield tail
    finally:
        sys.stdout, sys.stderr = out, err
        root.removeHandler(handler)
