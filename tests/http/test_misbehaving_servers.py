"""Whatever a server does, a run ends in time, in bounded memory, and says what happened."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from schedules.http import DeadlineError, PermanentHttpError, UnreachableError, UrlRefusedError
from schedules.http.transport import session
from schedules.job import job_request
from tests.http.misbehaving import BOMB, MisbehavingServer


@pytest.mark.parametrize(
    "path",
    [
        "/silent",
        "/drip-status",
        "/drip-header",
        "/drip-body",
        "/drip-body-without-length",
        "/drip-chunk-size",
        "/endless-trailers",
        "/endless-continues",
    ],
)
def test_a_slow_server_is_left_at_the_deadline(server: MisbehavingServer, path: str) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineError, match=r"no complete answer within 0\.4 s"):
        job_request(server.base + path, timeout=0.4)
    assert 0.35 < time.monotonic() - started < 2


@pytest.mark.parametrize("path", ["/endless-body", "/endless-chunks"])
def test_of_an_endless_body_only_the_limit_is_read(server: MisbehavingServer, path: str) -> None:
    tracemalloc.start()
    try:
        result = job_request(server.base + path, timeout=5, max_response=1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result["bytes"], result["truncated"]) == (1000, True)
    assert peak < 3_000_000
    assert result["milliseconds"] < 4000


def test_the_connection_of_a_cut_answer_is_closed_and_not_reused(server: MisbehavingServer) -> None:
    assert job_request(f"{server.base}/big", max_response=10)["truncated"]
    assert job_request(f"{server.base}/ok")["status"] == 200
    assert server.connections == 2


def test_a_compressed_bomb_stays_compressed(server: MisbehavingServer) -> None:
    tracemalloc.start()
    try:
        result = job_request(f"{server.base}/bomb")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result["bytes"], result["truncated"]) == (len(BOMB), False)
    assert "not unpacked" in result["body_start"]
    assert peak < 3_000_000
    assert server.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "path,reason",
    [
        ("/ten-thousand-headers", "more than 100 headers"),
        ("/long-header", "longer than 65536 bytes"),
        ("/broken-chunk", "broke off or was not chunked correctly"),
        ("/short-chunk", "broke off or was not chunked correctly"),
        ("/negative-chunk", "broke off or was not chunked correctly"),
        ("/short-body", "broke off or was not chunked correctly"),
        ("/hang-up", "closed the connection without an answer"),
        ("/not-http", "did not answer in HTTP"),
        ("/reset-at-once", "reset the connection"),
        ("/reset-in-headers", "reset the connection"),
        ("/reset-in-body", "reset the connection|broke off"),
    ],
)
def test_a_broken_answer_is_told_in_a_sentence_and_may_be_retried(
    server: MisbehavingServer, path: str, reason: str
) -> None:
    with pytest.raises(UnreachableError, match=reason) as failure:
        job_request(server.base + path, timeout=5)
    assert failure.value.retryable
    assert str(failure.value).startswith(f"POST {server.base}{path} got no answer: ")


def test_a_chunk_of_minus_one_bytes_does_not_fill_memory(server: MisbehavingServer) -> None:
    """The standard library alone would read it to its end, which never comes."""
    tracemalloc.start()
    try:
        with pytest.raises(UnreachableError, match="not chunked correctly"):
            job_request(f"{server.base}/minus-one-chunk", timeout=3, max_response=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


def test_nobody_listening_is_told_in_a_sentence(server: MisbehavingServer) -> None:
    server.close()
    with pytest.raises(UnreachableError, match="it refused the connection"):
        job_request(f"{server.base}/ok")


def test_redirects_are_not_followed_unless_switched_on(server: MisbehavingServer) -> None:
    with pytest.raises(PermanentHttpError, match=r"answered 302 Found \(redirects are not followed\)"):
        job_request(f"{server.base}/redirect-metadata")
    assert job_request(f"{server.base}/redirect-metadata", success="2xx,302")["status"] == 302
    assert [request.target for request in server.received] == ["/redirect-metadata"] * 2


@pytest.mark.parametrize(
    "path,reason",
    [
        ("/redirect-metadata", "169.254.169.254/latest.* is not allowed"),
        ("/redirect-outside", "is not allowed"),
        ("/redirect-scheme", "'file' is not allowed as a scheme"),
        ("/redirect-userinfo", "user name"),
    ],
)
def test_each_hop_is_checked_when_redirects_are_followed(
    server: MisbehavingServer, settings, path: str, reason: str
) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"{server.base}{path}"]
    with pytest.raises(UrlRefusedError, match=reason):
        job_request(server.base + path, follow_redirects=True)
    assert len(server.received) == 1


def test_a_redirect_to_metadata_is_refused_even_where_everything_is_allowed(
    server: MisbehavingServer, settings
) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"{server.base}/", "http://*", "https://*"]
    with pytest.raises(PermanentHttpError, match="metadata"):
        job_request(f"{server.base}/redirect-metadata", follow_redirects=True)


def test_a_redirect_loop_ends(server: MisbehavingServer) -> None:
    with pytest.raises(PermanentHttpError, match="redirected more than 5 times"):
        job_request(f"{server.base}/redirect-loop", follow_redirects=True)
    assert len(server.received) == 6


def test_a_redirect_without_a_place_is_an_answer_like_any_other(server: MisbehavingServer) -> None:
    with pytest.raises(PermanentHttpError, match="answered 302 Found: where to"):
        job_request(f"{server.base}/redirect-nowhere", follow_redirects=True)


def test_a_followed_redirect_keeps_method_and_body_or_becomes_get(server: MisbehavingServer) -> None:
    job_request(f"{server.base}/redirect-ok", json={"a": 1}, follow_redirects=True)
    job_request(f"{server.base}/redirect-303", json={"a": 1}, follow_redirects=True)
    _, kept, _, changed = server.received
    assert (kept.method, kept.body) == ("POST", b'{"a":1}')
    assert (changed.method, changed.target, changed.body) == ("GET", "/echo", b"")
    assert "content-type" not in changed.headers


def test_a_cookie_of_one_job_is_not_sent_by_the_next(server: MisbehavingServer) -> None:
    job_request(f"{server.base}/cookie")
    job_request(f"{server.base}/echo")
    assert "cookie" not in server.received[1].headers
    assert not session().cookies


def test_a_connection_is_reused_within_one_process(server: MisbehavingServer) -> None:
    for _ in range(3):
        job_request(f"{server.base}/ok")
    assert server.connections == 1
