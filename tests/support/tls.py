"""Redis with TLS, for tests: a certificate, the options, and a server that was built with it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import free_port
from tests.support.redis_server import RedisServer, server_binary


class TlsServer(RedisServer):
    """A server that listens with TLS on `tls_port` as well. Skips the test where there is none with TLS."""

    def __init__(self, *, directory: Path | None = None, port: int = 0) -> None:
        super().__init__(directory=directory, port=port)
        self.tls_port = free_port()
        self.certificate = self.directory / "cert.pem"

    def start(self) -> None:
        if not self.options:
            self._make_certificate()
        # The server of the tests, or else the system's: the one in the wheel was built without TLS.
        system = shutil.which("redis-server", path="/usr/local/bin:/usr/bin")
        problem = ""
        for binary in [server_binary(), *([Path(system)] if system else [])]:
            self.binary = binary
            try:
                super().start()
            except AssertionError as error:
                problem = str(error)
            else:
                return
        pytest.skip(f"no redis-server with TLS: {problem[-100:]}")

    def _make_certificate(self) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("needs openssl to make a certificate")
        self.directory.mkdir(parents=True, exist_ok=True)
        key = self.directory / "key.pem"
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.options = (
            *("--tls-port", str(self.tls_port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(self.certificate), "--tls-key-file", str(key)),
            *("--tls-ca-cert-file", str(self.certificate)),
        )
