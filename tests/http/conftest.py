"""A misbehaving server, and settings that allow to call it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from schedules.http import transport
from tests.http.misbehaving import MisbehavingServer, misbehaving

KEY = "whsec_" + "A" * 32
OTHER_KEY = "whsec_" + "B" * 32


@pytest.fixture(autouse=True)
def _fresh_pool() -> Iterator[None]:
    transport._sessions.clear()
    yield
    for session in transport._sessions.values():
        session.close()
    transport._sessions.clear()


@pytest.fixture
def server(settings) -> Iterator[MisbehavingServer]:  # type: ignore[no-untyped-def]
    with misbehaving() as running:
        settings.SCHEDULES_HTTP_ALLOWED = [f"{running.base}/"]
        settings.SCHEDULES_SIGNING_KEYS = []
        settings.SCHEDULES_HTTP_PROXY = ""
        settings.SCHEDULES_HTTP_CA_BUNDLE = ""
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An authority of our own and certificates for `good.example`, `other.example` and a day long gone."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make certificates")
    directory = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=directory, check=True, capture_output=True)

    extensions = {
        "good": "DNS:good.example",
        "other": "DNS:other.example",
        "expired": "DNS:good.example",
        "address": "IP:127.0.0.1",
    }
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca_extensions = (
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign",
    )
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA",
        *ca_extensions)  # fmt: skip
    run("req", "-x509", *new_key, "-keyout", "stranger.key", "-out", "stranger.crt", "-days", "2",
        "-subj", "/CN=good.example", "-addext", "subjectAltName=DNS:good.example")  # fmt: skip
    for name, alternative in extensions.items():
        (directory / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        days = "-1" if name == "expired" else "2"
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.crt", "-days", days, "-extfile", f"{name}.ext")  # fmt: skip

    def context(name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(directory / f"{name}.crt", directory / f"{name}.key")
        return made

    return SimpleNamespace(authority=str(Path(directory / "ca.pem")), context=context)
