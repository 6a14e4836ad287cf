"""What a request carries, how it is judged, and what is kept of the answer."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import traceback
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from standardwebhooks.webhooks import Webhook

from schedules.http import (
    PermanentHttpError,
    RetryableHttpError,
    SecretError,
    SigningKeyError,
    caller,
    send_request,
    transport,
)
from schedules.http.caller import Caller
from schedules.http.named_secrets import MASK, Scrubber
from schedules.job import job_request
from tests.http.conftest import KEY, OTHER_KEY
from tests.http.misbehaving import MisbehavingServer, answer, misbehaving

SCHEDULE = "0b8e6a52-9d0e-4f0e-8c62-6a6c8c4e1a11"
SLOT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
JOB_ID = f"{SCHEDULE}_{int(SLOT.timestamp())}"


def as_job(monkeypatch, **attributes: object) -> None:
    monkeypatch.setattr(caller, "get_current_job", lambda: SimpleNamespace(**attributes))


def test_a_success_is_told_in_short(server: MisbehavingServer, caplog) -> None:
    with caplog.at_level(logging.INFO, "schedules.job"):
        result = job_request(f"{server.base}/ok?token=hunter2")
    assert result.pop("milliseconds") >= 0
    assert result == {
        "status": 200,
        "reason": "OK",
        "bytes": 14,
        "truncated": False,
        "body_start": '{"done": true}',
    }
    json.dumps(result)
    assert caplog.records[0].action == "http.succeeded"
    assert "hunter2" not in caplog.text


def test_a_request_says_which_slot_of_which_schedule_it_is(server: MisbehavingServer, monkeypatch) -> None:
    as_job(
        monkeypatch,
        id=JOB_ID,
        schedule_id=SCHEDULE,
        schedule_name="Täglich 100% neu",
        scheduled_for=SLOT,
        attempt=1,
    )
    job_request(f"{server.base}/ok", json={"a": "ü"})
    request = server.received[0]
    assert (request.method, request.target, request.body) == ("POST", "/ok", '{"a":"ü"}'.encode())
    headers = request.headers
    assert headers["idempotency-key"] == JOB_ID
    assert headers["x-schedule-id"] == SCHEDULE
    assert headers["x-schedule-name"] == "T%C3%A4glich 100%25 neu"
    assert headers["x-schedule-time"] == "2026-03-01T06:30:00Z"
    assert headers["x-schedule-attempt"] == "1"
    assert headers["user-agent"].startswith("schedules")
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", headers["traceparent"])
    assert "webhook-signature" not in headers


def test_a_plain_rq_job_is_understood_by_its_id(server: MisbehavingServer, monkeypatch) -> None:
    as_job(monkeypatch, id=JOB_ID, number_of_retries=2)
    job_request(f"{server.base}/ok")
    headers = server.received[0].headers
    assert headers["x-schedule-id"] == SCHEDULE
    assert headers["x-schedule-time"] == "2026-03-01T06:30:00Z"
    assert headers["x-schedule-attempt"] == "3"
    assert "x-schedule-name" not in headers


def test_outside_of_a_job_each_call_has_a_key_of_its_own(server: MisbehavingServer) -> None:
    job_request(f"{server.base}/ok")
    job_request(f"{server.base}/ok")
    keys = [request.headers["idempotency-key"] for request in server.received]
    assert len(set(keys)) == 2
    assert "x-schedule-id" not in server.received[0].headers
    assert server.received[0].headers["traceparent"] != server.received[1].headers["traceparent"]


def test_a_request_is_signed_with_every_key_so_that_keys_can_be_exchanged(
    server: MisbehavingServer, settings, monkeypatch
) -> None:
    settings.SCHEDULES_SIGNING_KEYS = [KEY, OTHER_KEY]
    as_job(monkeypatch, id=JOB_ID)
    job_request(f"{server.base}/ok", json={"a": "ü"})
    request = server.received[0]
    assert request.headers["webhook-id"] == JOB_ID
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for key in (KEY, OTHER_KEY):
        assert Webhook(key).verify(request.body, request.headers) == {"a": "ü"}


def test_a_request_without_a_body_is_signed_too(server: MisbehavingServer, settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = [KEY]
    job_request(f"{server.base}/ok", method="GET")
    Webhook(KEY).verify(b"", server.received[0].headers, json_parse=False)


def test_a_retry_never_repeats_the_signature_of_the_attempt_before(
    server: MisbehavingServer, settings
) -> None:
    settings.SCHEDULES_SIGNING_KEYS = [KEY]
    for attempt in (1, 2):
        send_request(url=f"{server.base}/ok", caller=Caller(key=JOB_ID, attempt=attempt))
    first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])


def test_a_stranger_behind_a_wildcard_gets_no_signature(server: MisbehavingServer, settings) -> None:
    """It could not check it, but it could forward it to the backend, where it would be valid."""
    settings.SCHEDULES_SIGNING_KEYS = [KEY]
    settings.SCHEDULES_HTTP_ALLOWED = ["http://*"]
    settings.SCHEDULES_HTTP_PROXY = server.base  # so that a "public" address answers on loopback
    send_request(
        url="http://stranger.example/x", caller=Caller(key="k"), resolver=lambda *_: ["93.184.215.14"]
    )
    assert "webhook-signature" not in server.received[0].headers
    settings.SCHEDULES_HTTP_ALLOWED = ["http://stranger.example/"]
    send_request(
        url="http://stranger.example/x", caller=Caller(key="k"), resolver=lambda *_: ["93.184.215.14"]
    )
    assert "webhook-signature" in server.received[1].headers


def test_a_bad_signing_key_is_named_by_its_position_and_not_shown(
    server: MisbehavingServer, settings
) -> None:
    settings.SCHEDULES_SIGNING_KEYS = [KEY, "my secret password"]
    with pytest.raises(SigningKeyError, match="key at position 1") as failure:
        job_request(f"{server.base}/ok")
    assert "my secret password" not in str(failure.value)
    assert server.received == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413])
def test_most_4xx_are_not_retried(server: MisbehavingServer, status: int) -> None:
    with pytest.raises(PermanentHttpError, match=f"answered {status} Whatever: start of the body") as failure:
        job_request(f"{server.base}/status/{status}")
    assert (failure.value.retryable, failure.value.status) == (False, status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_retried(server: MisbehavingServer, status: int) -> None:
    with pytest.raises(RetryableHttpError, match=f"answered {status} Whatever") as failure:
        job_request(f"{server.base}/status/{status}")
    assert (failure.value.retryable, failure.value.status, failure.value.retry_after) == (True, status, None)


@pytest.mark.parametrize("path,seconds", [("/busy", 7), ("/down-until", 86_400), ("/down", None)])
def test_retry_after_is_handed_on_and_bounded(
    server: MisbehavingServer, path: str, seconds: float | None
) -> None:
    with pytest.raises(RetryableHttpError) as failure:
        job_request(server.base + path)
    assert failure.value.retry_after == seconds


def test_success_is_what_the_schedule_says(server: MisbehavingServer) -> None:
    assert job_request(f"{server.base}/teapot", success="418")["status"] == 418
    assert job_request(f"{server.base}/status/404", success="2xx,4xx")["status"] == 404
    with pytest.raises(RetryableHttpError.__mro__[1], match="answered 201"):
        job_request(f"{server.base}/created", success="200")
    assert job_request(f"{server.base}/empty") | {"milliseconds": 0} == {
        "status": 204,
        "reason": "No Content",
        "milliseconds": 0,
        "bytes": 0,
        "truncated": False,
    }


def test_answers_are_kept_as_plain_text(server: MisbehavingServer) -> None:
    assert job_request(f"{server.base}/binary")["body_start"] == "[6 bytes that are not text]"
    assert job_request(f"{server.base}/terminal")["body_start"] == "a\ufffd[31mred\ufffd\nnext"
    assert job_request(f"{server.base}/latin")["body_start"] == "grüße"
    assert len(job_request(f"{server.base}/big")["body_start"]) == 1000


def test_an_answer_of_exactly_the_limit_is_whole(server: MisbehavingServer) -> None:
    result = job_request(f"{server.base}/exact")
    assert (result["bytes"], result["truncated"]) == (65536, False)
    result = job_request(f"{server.base}/exact", max_response=65535)
    assert (result["bytes"], result["truncated"]) == (65535, True)
    assert job_request(f"{server.base}/exact", max_response=0)["truncated"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post"])
def test_every_method_arrives(server: MisbehavingServer, method: str) -> None:
    if method == "HEAD":
        server.scripts["/ok"] = lambda sock, _: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n")
    assert job_request(f"{server.base}/ok", method)["status"] == 200
    assert server.received[0].method == method.upper()


def test_the_test_button_gets_the_answer_whatever_its_status(server: MisbehavingServer) -> None:
    result = send_request(url=f"{server.base}/teapot", method="GET")
    assert (result.status, result.reason, result.body) == (418, "I'm a teapot", "short and stout")
    result = send_request(url=f"{server.base}/cookie", method="GET")
    assert ("Set-Cookie", "[not shown]") in result.headers


# --- secrets ---

TOKEN = 'tok"en/+<&>-4711'
PASSWORD = "pass:wörd-0815"


@pytest.fixture
def _secrets(monkeypatch) -> None:
    monkeypatch.setenv("SCHEDULES_SECRET_TOKEN", TOKEN + "\n")
    monkeypatch.setenv("SCHEDULES_SECRET_PASSWORD", PASSWORD)
    monkeypatch.setenv("SCHEDULES_SECRET_LONG", "long-and-hard-to-guess")
    monkeypatch.setenv("SCHEDULES_SECRET_PAIR", f"user:{PASSWORD}")


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize(
    "value,sent",
    [
        ("secret:TOKEN", TOKEN),
        ("Bearer secret:TOKEN", f"Bearer {TOKEN}"),
        ("Basic user:secret:PASSWORD", "Basic dXNlcjpwYXNzOnfDtnJkLTA4MTU="),
        ("Basic secret:PAIR", "Basic dXNlcjpwYXNzOnfDtnJkLTA4MTU="),
    ],
)
def test_a_named_secret_is_sent_and_never_told(
    server: MisbehavingServer, caplog, value: str, sent: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        headers = {"Authorization": value}
        result = job_request(f"{server.base}/echo", headers=headers)
        shown = send_request(url=f"{server.base}/echo", headers=headers)
        with pytest.raises(RetryableHttpError) as failure:
            job_request(f"{server.base}/echo-failing", headers=headers)
    assert server.received[0].headers["authorization"] == sent
    assert headers == {"Authorization": value}
    trace = "".join(traceback.format_exception(failure.value))
    told = f"{result} {shown} {failure.value!r} {trace} {caplog.text}"
    for secret in (TOKEN, PASSWORD, sent.partition(" ")[2] or sent):
        assert secret not in told
    assert "[secret]" in result["body_start"]
    assert "[secret]" in str(failure.value)


@pytest.mark.usefixtures("_secrets")
def test_a_secret_that_is_cut_in_half_by_the_limit_is_not_told_either(server: MisbehavingServer) -> None:
    for limit in range(1, 400):
        result = job_request(
            f"{server.base}/echo", headers={"Authorization": "Bearer secret:LONG"}, max_response=limit
        )
        assert "long" not in result.get("body_start", "")
        if not result["truncated"]:
            break


def test_a_missing_secret_is_named_and_nothing_is_sent(server: MisbehavingServer, monkeypatch) -> None:
    monkeypatch.delenv("SCHEDULES_SECRET_TOKEN", raising=False)
    with pytest.raises(SecretError, match="environment has no SCHEDULES_SECRET_TOKEN") as failure:
        job_request(f"{server.base}/ok", headers={"X-Key": "secret:TOKEN"})
    assert not failure.value.retryable
    assert server.connections == 0


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\nb", "\u20ac", "gr\xfc\xdfe", "tab\tin it"])
def test_a_secret_that_a_header_cannot_carry_is_refused_without_showing_it(
    server: MisbehavingServer, monkeypatch, value: str
) -> None:
    monkeypatch.setenv("SCHEDULES_SECRET_TOKEN", value)
    with pytest.raises(SecretError, match="SCHEDULES_SECRET_TOKEN holds") as failure:
        job_request(f"{server.base}/ok", headers={"X-Key": "secret:TOKEN"})
    assert value not in str(failure.value)


def test_a_secret_is_recognised_however_an_answer_spells_it() -> None:
    value = 'a"b/c+dö&e'
    scrubber = Scrubber.of([value])
    latin_read_as_utf8 = value.encode("latin-1").decode("utf-8", errors="replace")
    utf8_read_as_latin = value.encode().decode("cp1252")
    for spelling in (
        value,
        json.dumps(value),
        quote(value),
        quote(value, safe=""),
        html.escape(value),
        base64.b64encode(value.encode()).decode(),
        latin_read_as_utf8,
        utf8_read_as_latin,
    ):
        assert MASK in scrubber.scrub(f"<{spelling}>")
        assert "c+d" not in scrubber.scrub(f"<{spelling}>")


@pytest.mark.usefixtures("_secrets")
def test_secrets_and_signatures_stay_at_their_origin_when_a_redirect_leaves_it(
    server: MisbehavingServer, settings
) -> None:
    with misbehaving() as elsewhere:
        settings.SCHEDULES_HTTP_ALLOWED = [f"{server.base}/", f"{elsewhere.base}/"]
        server.scripts["/leave"] = answer("307 Temporary Redirect", b"", f"Location: {elsewhere.base}/ok")
        job_request(
            f"{server.base}/leave",
            headers={"Authorization": "Bearer secret:TOKEN", "X-Team": "news"},
            follow_redirects=True,
        )
        assert "authorization" in server.received[0].headers
        assert "authorization" not in elsewhere.received[0].headers
        assert elsewhere.received[0].headers["x-team"] == "news"


@pytest.mark.usefixtures("_secrets")
def test_a_redirect_that_repeats_a_secret_does_not_tell_it(server: MisbehavingServer, settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = [f"{server.base}/in/"]

    def to(place: str) -> None:
        server.scripts["/in/leave"] = lambda sock, request: answer(
            "302 Found", b"", "Location: " + place + request.headers["authorization"].removeprefix("Bearer ")
        )(sock, request)

    for place, status in (("/out/", None), ("ftp:/", None), ("/in/", 404)):
        to(place)
        with pytest.raises(PermanentHttpError) as failure:
            job_request(
                f"{server.base}/in/leave",
                headers={"Authorization": "Bearer secret:LONG"},
                follow_redirects=True,
            )
        assert failure.value.status == status
        assert "long-and" not in "".join(traceback.format_exception(failure.value))


@pytest.mark.usefixtures("_secrets")
def test_rqs_description_and_payload_hold_the_name_of_a_secret_only(server: MisbehavingServer) -> None:
    import fakeredis
    from rq.job import Job

    job = Job.create(
        job_request,
        args=[f"{server.base}/ok"],
        kwargs={"headers": {"Authorization": "Bearer secret:TOKEN"}},
        connection=fakeredis.FakeRedis(),
    )
    stored = repr(job.to_dict()) + job.description
    assert "secret:TOKEN" in job.description
    assert TOKEN not in stored
    job.perform()
    assert TOKEN not in repr(job.to_dict()) + repr(job.return_value())
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert server.received[0].headers["idempotency-key"] == job.id


def test_a_forked_worker_does_not_use_its_parents_connections(server: MisbehavingServer) -> None:
    job_request(f"{server.base}/ok")
    mine = transport.session()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"same" if transport.session() is mine else b"own")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"own"
    os.close(reader)
    os.close(writer)
