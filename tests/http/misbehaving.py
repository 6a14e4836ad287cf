"""A real HTTP server on loopback that misbehaves on request: the path says how."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@dataclass
class Received:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes


@dataclass
class MisbehavingServer:
    """Answers each connection in a thread; `scripts` maps paths to what is done with the connection."""

    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    scripts: dict[str, Callable[[socket.socket, Received], None]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    bytes_sent: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self.listener = socket.create_server((self.host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.threads: list[threading.Thread] = []
        self.open: list[socket.socket] = []
        self.scripts = {**SCRIPTS, **self.scripts}
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    @property
    def base(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.host}:{self.port}"

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError, ValueError):
            sock.settimeout(10)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.open.append(sock)
            with sock, sock.makefile("rb") as reader:
                while True:
                    request = read_request(reader)
                    if request is None:
                        return
                    self.received.append(request)
                    script = self.scripts.get(request.target.partition("?")[0], not_found)
                    if script in ENDLESS:
                        script(sock, request, self)  # type: ignore[call-arg]
                    else:
                        script(sock, request)

    def close(self) -> None:
        self.closing.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(5)
        for sock in self.open:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)


def read_request(reader) -> Received | None:  # type: ignore[no-untyped-def]
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := reader.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Received(method=line[0], target=line[1], headers=headers, body=body)


def answer(status: str, body: bytes = b"", *headers: str) -> Callable[[socket.socket, Received], None]:
    """Return a script that answers properly."""

    def script(sock: socket.socket, request: Received) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        sock.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    return script


not_found = answer("404 Not Found", b"no such page")


def echo(sock: socket.socket, request: Received) -> None:
    """Answer with all that was received, as careless debug pages do."""
    text = f"{request.method} {request.target}\n" + "\n".join(f"{k}: {v}" for k, v in request.headers.items())
    body = text.encode("latin-1") + b"\n\n" + request.body
    answer("200 OK", body, "Content-Type: text/plain", f"X-Echo: {request.headers.get('authorization', '')}")(
        sock, request
    )


def echo_failing(sock: socket.socket, request: Received) -> None:
    answer(
        "500 Oh " + request.headers.get("authorization", ""),
        request.headers.get("authorization", "").encode(),
    )(sock, request)


def silent(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    server.closing.wait(10)


def drip_status(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    drip(sock, server, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 50)


def drip_header(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"X-Slow: ")
    drip(sock, server, b"x" * 1000)


def drip_body(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    drip(sock, server, b"x" * 1000)


def drip_body_without_length(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Connection: close\r\n\r\n")
    drip(sock, server, b"x" * 1000)


def drip_chunk_size(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    drip(sock, server, b"0" * 1000)


def endless_continues(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    while not server.closing.is_set():
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def minus_one_chunk(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n")
    send_for_ever(sock, server, b"x" * 65536)


def drip(sock: socket.socket, server: MisbehavingServer, content: bytes) -> None:
    for byte in content:
        if server.closing.wait(0.05):
            return
        sock.sendall(bytes([byte]))


def endless_body(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Connection: close\r\n\r\n")
    send_for_ever(sock, server, b"x" * 65536)


def endless_chunks(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    send_for_ever(sock, server, b"8000\r\n" + b"x" * 0x8000 + b"\r\n")


def endless_trailers(sock: socket.socket, request: Received, server: MisbehavingServer) -> None:
    sock.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
    send_for_ever(sock, server, b"X-Trailer: more\r\n", pause=0.01)


def send_for_ever(sock: socket.socket, server: MisbehavingServer, piece: bytes, pause: float = 0) -> None:
    while not server.closing.is_set():
        sock.sendall(piece)
        server.bytes_sent += len(piece)
        if pause:
            time.sleep(pause)


ENDLESS = {
    silent,
    drip_status,
    drip_header,
    drip_body,
    drip_body_without_length,
    drip_chunk_size,
    endless_body,
    endless_chunks,
    endless_trailers,
    endless_continues,
    minus_one_chunk,
}


def raw(content: bytes) -> Callable[[socket.socket, Received], None]:
    """Return a script that sends these bytes and hangs up."""

    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(content)
        sock.shutdown(socket.SHUT_RDWR)

    return script


def reset(after: bytes) -> Callable[[socket.socket, Received], None]:
    """Return a script that sends these bytes and resets the connection."""

    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(after)
        time.sleep(0.05)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The reader holds the descriptor open: detach both by closing the descriptor itself.
        socket.close(sock.detach())

    return script


BOMB = gzip.compress(b"\x00" * 50_000_000)
SCRIPTS: dict[str, Callable[..., None]] = {
    "/ok": answer("200 OK", b'{"done": true}', "Content-Type: application/json"),
    "/created": answer("201 Created", b"made"),
    "/empty": answer("204 No Content"),
    "/echo": echo,
    "/echo-failing": echo_failing,
    "/binary": answer("200 OK", b"\x89PNG\x00\x01", "Content-Type: image/png"),
    "/terminal": answer("200 OK", b"a\x1b[31mred\x07\r\nnext", "Content-Type: text/plain"),
    "/latin": answer(
        "200 OK", "gr\xfc\xdfe".encode("latin-1"), "Content-Type: text/plain; charset=iso-8859-1"
    ),
    "/cookie": answer("200 OK", b"", "Set-Cookie: session=abc; Path=/"),
    "/big": answer("200 OK", b"x" * 300_000),
    "/exact": answer("200 OK", b"x" * 65536),
    "/silent": silent,
    "/drip-status": drip_status,
    "/drip-header": drip_header,
    "/drip-body": drip_body,
    "/drip-body-without-length": drip_body_without_length,
    "/drip-chunk-size": drip_chunk_size,
    "/endless-body": endless_body,
    "/endless-chunks": endless_chunks,
    "/endless-trailers": endless_trailers,
    "/endless-continues": endless_continues,
    "/bomb": answer("200 OK", BOMB, "Content-Encoding: gzip"),
    "/ten-thousand-headers": raw(OK + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n"),
    "/long-header": raw(OK + b"X-Long: " + b"y" * 100_000 + b"\r\n\r\n"),
    "/broken-chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
    "/short-chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhello"),
    "/minus-one-chunk": minus_one_chunk,
    "/negative-chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"),
    "/short-body": raw(OK + b"Content-Length: 100\r\n\r\nhello"),
    "/hang-up": raw(b""),
    "/not-http": raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "/reset-at-once": reset(b""),
    "/reset-in-headers": reset(OK),
    "/reset-in-body": reset(OK + b"Content-Length: 100\r\n\r\nhello"),
    "/redirect-loop": answer("302 Found", b"", "Location: /redirect-loop"),
    "/redirect-ok": answer("307 Temporary Redirect", b"", "Location: /echo"),
    "/redirect-303": answer("303 See Other", b"", "Location: /echo#done"),
    "/redirect-metadata": answer(
        "302 Found", b"", "Location: http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    ),
    "/redirect-outside": answer("302 Found", b"", "Location: /../secret"),
    "/redirect-scheme": answer("302 Found", b"", "Location: file:///etc/passwd"),
    "/redirect-userinfo": answer("302 Found", b"", "Location: http://127.0.0.1@169.254.169.254/"),
    "/redirect-nowhere": answer("302 Found", b"where to?"),
    "/busy": answer("429 Too Many Requests", b"slow down", "Retry-After: 7"),
    "/down-until": answer("503 Service Unavailable", b"", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT"),
    "/down": answer("503 Service Unavailable", b"", "Retry-After: soon"),
    "/gone": answer("410 Gone", b"never again", "Retry-After: 3"),
    "/teapot": answer("418 I'm a teapot", b"short and stout"),
}
for _status in (400, 401, 403, 404, 405, 408, 409, 413, 425, 429, 500, 502, 503, 504):
    SCRIPTS[f"/status/{_status}"] = answer(f"{_status} Whatever", b"start of the body")


@contextmanager
def misbehaving(**options: object) -> Iterator[MisbehavingServer]:
    """Run a server for the length of a test."""
    server = MisbehavingServer(**options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
