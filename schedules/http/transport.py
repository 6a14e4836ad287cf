"""Carry a request to an address that was checked, and to no other.

The URL that `requests` sees holds the address; the `Host` header and TLS (SNI and the check of the
certificate) keep the name. So no name is looked up a second time. The session is pooled per worker process:
RQ's standard worker forks a process for each job, whose pool lives as long as that job; a `SimpleWorker`
keeps its connections between jobs.
"""

from __future__ import annotations

import http.client
import os
import socket
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from schedules.http.deadline import Deadline, current_deadline
from schedules.http.urls import NormalUrl

CONNECT_SECONDS: Final = 10.0
POOL_SIZE: Final = 8


class _StrictResponse(http.client.HTTPResponse):
    """Refuses negative chunk sizes: the standard library takes -1 for "read until the end", into memory."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            self._close_conn()  # type: ignore[attr-defined]
            raise ValueError("negative chunk size")
        return size


class _Watched(HTTPConnection):
    """A connection whose sockets the current deadline knows, fresh or reused."""

    response_class = _StrictResponse

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        deadline = current_deadline()
        if deadline is not None:
            deadline.watch(sock)
            # Bounds the TLS handshake, during which the socket changes hands and cannot be watched.
            sock.settimeout(min(deadline.remaining(), CONNECT_SECONDS))
        return sock

    def connect(self) -> None:
        super().connect()
        self._watch()

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._watch()
        super().request(*args, **kwargs)

    def _watch(self) -> None:
        deadline = current_deadline()
        if deadline is not None and self.sock is not None:
            deadline.watch(self.sock)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


class PinnedAdapter(HTTPAdapter):
    """Connects to the address in the URL and speaks TLS with the name in the Host header."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        # What is returned here is part of the pool's key: connections of two names that share an address,
        # checked against two certificates, never mix.
        host_params, pool_kwargs = super().build_connection_pool_key_attributes(request, verify, cert)
        if host_params["scheme"] == "https":
            name = urlsplit(f"//{request.headers['Host']}").hostname
            return host_params, {**pool_kwargs, "server_hostname": name}
        return host_params, pool_kwargs


_sessions: dict[int, requests.Session] = {}


def session() -> requests.Session:
    """Return the session of this process; a child never uses the connections of its parent."""
    pid = os.getpid()
    found = _sessions.get(pid)
    if found is None:
        _sessions.clear()
        found = _sessions.setdefault(pid, _new_session())
    return found


def _new_session() -> requests.Session:
    made = requests.Session()
    made.trust_env = False  # no proxies, no .netrc, no certificate bundle from the environment
    made.headers.clear()
    # One job's cookies are no business of the next.
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        made.mount(scheme, PinnedAdapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, max_retries=0))
    return made


def open_response(
    *,
    method: str,
    url: NormalUrl,
    addresses: tuple[str, ...],
    headers: dict[str, str],
    body: bytes | None,
    deadline: Deadline,
    proxy: str,
    ca_bundle: str,
) -> requests.Response:
    """Send to the first of the checked addresses that can be connected to; the body is not read yet.

    The next address is tried only when no connection came about, so that a request is never sent twice.
    Raises `requests.RequestException` and what lies below it.
    """
    for number, address in enumerate(addresses, start=1):
        connect = min(CONNECT_SECONDS, deadline.remaining() / (len(addresses) - number + 1))
        request = requests.Request(method, f"{url.scheme}://{_bracketed(address)}:{url.port}/").prepare()
        request.url = f"{url.scheme}://{_bracketed(address)}:{url.port}{url.target}"
        request.headers.clear()
        request.headers.update(headers)
        request.headers["Host"] = url.authority
        request.body = body
        request.headers.pop("Content-Length", None)
        if body is not None:
            request.headers["Content-Length"] = str(len(body))
        try:
            return session().send(
                request,
                stream=True,
                allow_redirects=False,
                timeout=(connect, deadline.remaining()),
                verify=ca_bundle or True,
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
        except requests.ConnectionError as error:
            if number == len(addresses) or deadline.passed or not never_connected(error):
                raise
    raise AssertionError("a checked URL has at least one address")


def never_connected(error: requests.ConnectionError) -> bool:
    """Say whether the failure came before anything could be sent."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
