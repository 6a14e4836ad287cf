"""A small TCP proxy that cuts connections at the worst moments: before a request arrives, or before its reply does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self


class Proxy:
    """Forwards 127.0.0.1:`port` to a unix socket. A context manager."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._requests_to_cut = 0
        self._replies_to_cut = self._replies_to_skip = 0
        self._strike: tuple[Callable[[], object], bool] | None = None
        self._lock = threading.Lock()
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut_request(self, count: int = 1) -> None:
        """Close the connection instead of passing the next request on: the server never hears of it."""
        with self._lock:
            self._requests_to_cut += count

    def cut_reply(self, count: int = 1, *, skip: int = 0) -> None:
        """Close the connection instead of passing the next reply on: the server did it, the client cannot know.

        With `skip`, so many replies are passed on before.
        """
        with self._lock:
            self._replies_to_cut += count
            self._replies_to_skip = skip

    def strike(self, what: Callable[[], object], *, cut: bool) -> None:
        """Do this when the next reply comes, before it is passed on, or instead."""
        with self._lock:
            self._strike = (what, cut)

    @property
    def has_struck(self) -> bool:
        return self._strike is None

    def cut_nothing(self) -> None:
        """Take back what was asked for and has not happened yet."""
        with self._lock:
            self._requests_to_cut = self._replies_to_cut = 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                server.close()
                continue
            for source, sink, is_request in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, is_request), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._cuts(is_request) or (not is_request and self._strikes()):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _strikes(self) -> bool:
        with self._lock:
            if self._strike is None:
                return False
            what, cut = self._strike
            what()
            self._strike = None
            return cut

    def _cuts(self, is_request: bool) -> bool:
        with self._lock:
            if is_request and self._requests_to_cut:
                self._requests_to_cut -= 1
            elif not is_request and self._replies_to_cut and self._replies_to_skip:
                self._replies_to_skip -= 1
                return False
            elif not is_request and self._replies_to_cut:
                self._replies_to_cut -= 1
            else:
                return False
            self.cuts += 1
            return True
