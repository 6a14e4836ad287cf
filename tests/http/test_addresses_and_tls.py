"""The connection goes to an address that was checked, and TLS still means the name."""

from __future__ import annotations

import ipaddress
import socket
import threading
from types import SimpleNamespace

import pytest

from schedules.http import AddressRefusedError, UnreachableError, UrlRefusedError, send_request
from schedules.http.addresses import kind_of, look_up
from schedules.http.caller import Caller
from tests.http.misbehaving import MisbehavingServer, misbehaving

CALLER = Caller(key="job-1")


class Resolver:
    """Gives the next of its answers each time it is asked; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_address(
    server: MisbehavingServer, settings, monkeypatch
) -> None:
    def no_second_look(*arguments: object, **options: object) -> list[object]:
        if arguments[0] == "127.0.0.1":  # urllib3 passes addresses through here; only a name is a lookup
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", arguments[1]))]
        raise AssertionError(f"looked up {arguments[0]} behind the check")

    settings.SCHEDULES_HTTP_ALLOWED = [f"http://backend:{server.port}/"]
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr(socket, "getaddrinfo", no_second_look)
    result = send_request(url=f"http://backend:{server.port}/echo", caller=CALLER, resolver=resolver)
    assert result.status == 200
    assert resolver.asked == [("backend", server.port)]
    assert server.received[0].headers["host"] == f"backend:{server.port}"


def test_a_second_answer_of_the_resolver_is_checked_like_the_first(
    server: MisbehavingServer, settings
) -> None:
    """A name that was fit yesterday leads to the metadata service today."""
    settings.SCHEDULES_HTTP_ALLOWED = [f"http://backend:{server.port}/"]
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    url = f"http://backend:{server.port}/echo"
    assert send_request(url=url, caller=CALLER, resolver=resolver).status == 200
    with pytest.raises(AddressRefusedError, match=r"backend leads to 169\.254\.169\.254.*metadata"):
        send_request(url=url, caller=CALLER, resolver=resolver)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
        "fe80::1%eth0",
        "not an address",
    ],
)
def test_through_a_wildcard_no_name_leads_inside(server: MisbehavingServer, settings, answer: str) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"http://*:{server.port}/"]
    for answers in ([answer], ["93.184.215.14", answer]):
        with pytest.raises(AddressRefusedError):
            send_request(
                url=f"http://rebind.example:{server.port}/ok", caller=CALLER, resolver=Resolver(answers)
            )
    assert server.connections == 0


@pytest.mark.parametrize("answer", ["127.0.0.1", "10.1.2.3", "172.18.0.5", "fd12::5"])
def test_a_host_listed_by_name_may_be_an_inner_one(answer: str) -> None:
    from schedules.http.addresses import check_address
    from schedules.http.request import check_url

    url, rule = check_url("http://backend:8000/x", allowed=["http://backend:8000/"])
    check_address(ipaddress.ip_address(answer), url=url, rule=rule)


@pytest.mark.parametrize(
    "answer", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "fd00:ec2::254", "240.0.0.1"]
)
def test_a_host_listed_by_name_never_leads_to_metadata_or_multicast(server, settings, answer: str) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["http://backend/"]
    with pytest.raises(AddressRefusedError, match="list the address itself"):
        send_request(url="http://backend/ok", caller=CALLER, resolver=Resolver([answer]))


def test_the_next_address_is_tried_when_one_cannot_be_connected_to(
    server: MisbehavingServer, settings
) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"http://backend:{server.port}/"]
    result = send_request(
        url=f"http://backend:{server.port}/ok",
        caller=CALLER,
        resolver=Resolver(["127.0.0.2", "127.0.0.1"]),
    )
    assert result.status == 200
    assert len(server.received) == 1


def test_the_next_address_is_not_tried_once_something_was_sent(server: MisbehavingServer, settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"http://backend:{server.port}/"]
    with pytest.raises(UnreachableError):
        send_request(
            url=f"http://backend:{server.port}/hang-up",
            caller=CALLER,
            resolver=Resolver(["127.0.0.1", "127.0.0.1", "127.0.0.2"]),
        )
    assert len(server.received) == 1


def test_a_name_without_an_address_and_a_resolver_that_hangs_are_told(settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["http://backend/"]

    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    hung = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        hung.wait(5)
        return []

    with pytest.raises(UnreachableError, match=r"backend cannot be looked up.*Name or service not known"):
        send_request(url="http://backend/ok", caller=CALLER, resolver=fail)
    with pytest.raises(UnreachableError, match="backend has no address"):
        send_request(url="http://backend/ok", caller=CALLER, resolver=Resolver([]))
    try:
        with pytest.raises(UnreachableError, match=r"could not be looked up within 0\.2 s"):
            send_request(url="http://backend/ok", caller=CALLER, resolver=hang, timeout=0.2)
    finally:
        hung.set()


def test_a_name_with_a_flood_of_addresses_is_refused(settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["http://backend/"]
    with pytest.raises(AddressRefusedError, match="at most 32"):
        send_request(
            url="http://backend/ok", caller=CALLER, resolver=Resolver([f"10.0.0.{n}" for n in range(33)])
        )


def test_the_systems_resolver_knows_localhost() -> None:
    assert "127.0.0.1" in look_up("localhost", 80)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_have_no_kind(address: str) -> None:
    assert kind_of(ipaddress.ip_address(address)) is None


def test_ipv6_loopback_works_when_listed(settings) -> None:
    try:
        context = misbehaving(host="::1")
        running = context.__enter__()
    except OSError:
        pytest.skip("needs IPv6 on loopback")
    try:
        settings.SCHEDULES_HTTP_ALLOWED = [f"http://[::1]:{running.port}/"]
        assert send_request(url=f"http://[::1]:{running.port}/ok", caller=CALLER).status == 200
        assert running.received[0].headers["host"] == f"[::1]:{running.port}"
    finally:
        context.__exit__(None, None, None)


def test_no_proxy_of_the_environment_is_used(server: MisbehavingServer, monkeypatch, settings) -> None:
    with misbehaving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send_request(url=f"{server.base}/ok", caller=CALLER).status == 200
        assert proxy.connections == 0


def test_a_proxy_that_is_set_on_purpose_gets_the_checked_address(settings) -> None:
    with misbehaving(scripts={"http://93.184.215.14:80/x": _ok}) as proxy:
        settings.SCHEDULES_HTTP_ALLOWED = ["http://*"]
        settings.SCHEDULES_HTTP_PROXY = proxy.base
        resolver = Resolver(["93.184.215.14"])
        assert send_request(url="http://example.com/x", caller=CALLER, resolver=resolver).status == 200
        assert proxy.received[0].headers["host"] == "example.com"
        with pytest.raises(UrlRefusedError):
            send_request(url="https://example.com/x", caller=CALLER, resolver=resolver)


def _ok(sock: socket.socket, request: object) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


# --- TLS ---


def call_tls(server: MisbehavingServer, settings, host: str, authority: str) -> int:
    settings.SCHEDULES_HTTP_ALLOWED = [f"https://{host}:{server.port}/"]
    settings.SCHEDULES_HTTP_CA_BUNDLE = authority
    return send_request(
        url=f"https://{host}:{server.port}/ok", caller=CALLER, resolver=Resolver(["127.0.0.1"])
    ).status


def test_tls_checks_the_name_although_the_connection_goes_to_an_address(
    certificates: SimpleNamespace, settings
) -> None:
    with misbehaving(tls=certificates.context("good")) as server:
        assert call_tls(server, settings, "good.example", certificates.authority) == 200
        assert server.received[0].headers["host"] == f"good.example:{server.port}"


def test_the_server_is_told_the_name_it_is_called_by(certificates: SimpleNamespace, settings) -> None:
    context, names = certificates.context("good"), []
    context.sni_callback = lambda sock, name, _: names.append(name)
    with misbehaving(tls=context) as server:
        call_tls(server, settings, "good.example", certificates.authority)
    assert names == ["good.example"]


def test_a_certificate_for_an_address_serves_a_url_with_that_address(
    certificates: SimpleNamespace, settings
) -> None:
    with misbehaving(tls=certificates.context("address")) as server:
        assert call_tls(server, settings, "127.0.0.1", certificates.authority) == 200


@pytest.mark.parametrize(
    "certificate,reason",
    [
        ("other", "certificate was refused .*[Hh]ostname mismatch"),
        ("expired", "certificate was refused .*expired"),
        ("stranger", "certificate was refused .*self-signed"),
        # The address is what the connection goes to, and is not what was asked for.
        ("address", "certificate was refused .*[Hh]ostname mismatch"),
    ],
)
def test_a_wrong_certificate_ends_the_request_before_it_is_sent(
    certificates: SimpleNamespace, settings, certificate: str, reason: str
) -> None:
    with misbehaving(tls=certificates.context(certificate)) as server:
        with pytest.raises(UnreachableError, match=reason):
            call_tls(server, settings, "good.example", certificates.authority)
        assert server.received == []


def test_an_unknown_authority_is_refused_by_default(certificates: SimpleNamespace, settings) -> None:
    with (
        misbehaving(tls=certificates.context("good")) as server,
        pytest.raises(UnreachableError, match="certificate was refused"),
    ):
        call_tls(server, settings, "good.example", "")


def test_two_names_on_one_address_never_share_a_tls_connection(
    certificates: SimpleNamespace, settings
) -> None:
    with misbehaving(tls=certificates.context("good")) as server:
        assert call_tls(server, settings, "good.example", certificates.authority) == 200
        with pytest.raises(UnreachableError, match="certificate was refused"):
            call_tls(server, settings, "other.example", certificates.authority)


def test_plain_http_behind_an_https_url_is_told(server: MisbehavingServer, settings) -> None:
    with pytest.raises(UnreachableError, match="TLS failed"):
        call_tls(server, settings, "good.example", "")


def test_a_tls_handshake_that_never_ends_is_left_at_the_deadline(settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings.SCHEDULES_HTTP_ALLOWED = [f"https://127.0.0.1:{port}/"]
        with pytest.raises(UnreachableError.__mro__[1], match=r"within 0\.3 s|in time"):
            send_request(url=f"https://127.0.0.1:{port}/", caller=CALLER, timeout=0.3)


def test_a_drip_over_tls_is_left_at_the_deadline(certificates: SimpleNamespace, settings) -> None:
    with misbehaving(tls=certificates.context("address")) as server:
        settings.SCHEDULES_HTTP_ALLOWED = [f"{server.base}/"]
        settings.SCHEDULES_HTTP_CA_BUNDLE = certificates.authority
        for path in ("/drip-header", "/drip-body"):
            with pytest.raises(UnreachableError.__mro__[1], match=r"no complete answer within 0\.4 s"):
                send_request(url=server.base + path, caller=CALLER, timeout=0.4)
