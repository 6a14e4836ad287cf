"""What a schedule may ask for: checked when it is saved, with a sentence that helps."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from schedules.http import InvalidRequestError, PermanentHttpError, RetryableHttpError, validate_request
from schedules.http.answers import SuccessCodes, is_retryable, retry_after
from schedules.http.request import HttpRequest
from schedules.job import validate_arguments

ALLOWED = ["https://api.example.com/v1/jobs/"]
URL = "https://api.example.com/v1/jobs/news"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def check(**changes: object) -> HttpRequest:
    return validate_request(**{"url": URL, "allowed": ALLOWED, **changes})  # type: ignore[arg-type]


def test_the_defaults_are_a_post_without_a_body() -> None:
    request = check()
    assert (request.method, request.body, request.headers, request.timeout) == ("POST", b"", {}, 30)
    assert check(method="GET").body is None


def test_the_default_place_is_the_backends_jobs(settings) -> None:
    settings.API_BASE_URL = "http://127.0.0.1:8000"
    settings.SCHEDULES_HTTP_ALLOWED = None
    assert validate_request(url="http://127.0.0.1:8000/v1/jobs/breaking-news")
    with pytest.raises(InvalidRequestError, match=r"127\.0\.0\.1:8000/v1/jobs/"):
        validate_request(url="http://127.0.0.1:8000/admin/")


def test_a_setting_that_cannot_be_used_is_told_and_not_retried(settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = "https://*"
    with pytest.raises(InvalidRequestError, match="SCHEDULES_HTTP_ALLOWED"):
        validate_request(url=URL)


def test_bodies_carry_their_type() -> None:
    assert check(json={"a": ["ü", 1.5, None]}).body == '{"a":["ü",1.5,null]}'.encode()
    assert check(json={}).headers == {"Content-Type": "application/json"}
    assert check(json={}, headers={"content-type": "application/vnd.x+json"}).headers == {
        "content-type": "application/vnd.x+json"
    }
    assert check(body="ü").headers == {"Content-Type": "text/plain; charset=utf-8"}
    assert check(json=0).body == b"0"
    assert check(body=b"bytes").body == b"bytes"


REFUSED = {
    "two bodies": ({"json": {}, "body": "x"}, "one body"),
    "body of a GET": ({"method": "GET", "json": {}}, "GET takes no body"),
    "unknown method": ({"method": "TRACE"}, "'TRACE' is not a method: POST"),
    "method with a line": ({"method": "GET /x HTTP/1.1\r\n"}, "not a method"),
    "method of another type": ({"method": 1}, "not a method"),
    "not JSON": ({"json": {"a": {1}}}, "cannot be written as JSON"),
    "not a number": ({"json": float("nan")}, "cannot be written as JSON"),
    "half a character": ({"json": "\ud800"}, "cannot be written as JSON"),
    "bytes of no text": ({"body": b"\xff"}, "not UTF-8"),
    "body of another type": ({"body": 5}, "of type int"),
    "endless body": ({"body": "x" * 1_048_577}, "at most 1048576"),
    "no time": ({"timeout": 0}, "timeout is 0: 0.1 to 3600 seconds"),
    "all the time": ({"timeout": 1e9}, "3600 seconds"),
    "time as text": ({"timeout": "30"}, "timeout is '30'"),
    "time as truth": ({"timeout": True}, "timeout is True"),
    "time not a number": ({"timeout": float("nan")}, "timeout is nan"),
    "endless answer": ({"max_response": 10**9}, "max_response"),
    "negative answer": ({"max_response": -1}, "max_response"),
    "success": ({"success": "ok"}, "'ok' is not a success code"),
    "empty success": ({"success": ""}, "'' is not a success code"),
    "success with a gap": ({"success": "200,,201"}, "'' is not a success code"),
    "headers as a list": ({"headers": [("a", "b")]}, "object of names"),
    "header name": ({"headers": {"a b": "c"}}, "not a header's name"),
    "header name with a line": ({"headers": {"a\r\nb": "c"}}, "not a header's name"),
    "header name with a colon": ({"headers": {"a:": "c"}}, "not a header's name"),
    "empty header name": ({"headers": {"": "c"}}, "not a header's name"),
    "header value with a line": ({"headers": {"a": "b\r\nHost: evil"}}, "one line"),
    "header value with a null": ({"headers": {"a": "b\x00"}}, "one line"),
    "header value of another alphabet": ({"headers": {"a": "ü"}}, "ASCII"),
    "header value of another type": ({"headers": {"a": 1}}, "one line"),
    "long header": ({"headers": {"a": "b" * 5000}}, "at most 4096"),
    "many headers": ({"headers": {f"a{n}": "b" for n in range(51)}}, "at most 50"),
    "header twice": ({"headers": {"X-A": "1", "x-a": "2"}}, "given twice"),
    "smuggling": ({"headers": {"Transfer-Encoding": "chunked"}}, "belongs to the connection"),
    "length": ({"headers": {"content-length": "0"}}, "belongs to the connection"),
    "host": ({"headers": {"Host": "evil.example"}}, "belongs to the connection"),
    "compression": ({"headers": {"Accept-Encoding": "gzip"}}, "belongs to the connection"),
    "proxy": ({"headers": {"Proxy-Authorization": "secret:X"}}, "belongs to the connection"),
    "our key": ({"headers": {"Idempotency-Key": "1"}}, "set by the scheduler"),
    "our signature": ({"headers": {"webhook-signature": "1"}}, "set by the scheduler"),
    "our schedule": ({"headers": {"X-Schedule-Id": "1"}}, "set by the scheduler"),
    "secret half named": ({"headers": {"X-A": "Bearer  secret:A"}}, "is named as"),
    "secret of a bad name": ({"headers": {"X-A": "secret:a-b"}}, "is named as"),
    "secret in a text": ({"headers": {"X-A": "my secret:A and more"}}, "is named as"),
    "user of a bearer": ({"headers": {"X-A": "Bearer me:secret:A"}}, "only Basic"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_sent_is_refused_with_the_reason(case: str) -> None:
    changes, reason = REFUSED[case]
    with pytest.raises(InvalidRequestError, match=reason):
        check(**changes)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "Cookie", "X-Api-Key", "X-Auth-Token"])
def test_a_credential_that_is_written_out_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"SCHEDULES_SECRET_NAME.*secret:NAME") as refusal:
        check(headers={name: "Bearer hunter2"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "value",
    [
        "secret:TOKEN",
        "Bearer secret:TOKEN",
        "Basic secret:PAIR",
        "Basic me:secret:PASSWORD",
        "Token secret:a_1",
    ],
)
def test_a_credential_that_is_named_is_kept_as_its_name(value: str) -> None:
    assert check(headers={"Authorization": value}).headers == {"Authorization": value}


def test_the_arguments_of_a_schedule_are_checked_as_the_function_takes_them(settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ALLOWED
    assert validate_arguments(args=[URL, "PUT"], kwargs={"json": {}}).method == "PUT"
    for args, kwargs, reason in (
        ([], {}, "missing a required argument: 'url'; its arguments are url, method"),
        ([URL], {"verify": False}, "unexpected keyword argument 'verify'"),
        ([URL], {"url": URL}, "multiple values"),
        ([URL], {"allowed": ["https://*"]}, "unexpected keyword argument 'allowed'"),
        (["http://evil.example/"], {}, "is not allowed"),
    ):
        with pytest.raises(InvalidRequestError, match=reason):
            validate_arguments(args=args, kwargs=kwargs)  # type: ignore[arg-type]


def test_success_codes_are_statuses_and_classes() -> None:
    codes = SuccessCodes.read(" 200, 204,3XX ")
    assert [status in codes for status in (200, 201, 204, 302, 399, 400)] == [
        True,
        False,
        True,
        True,
        True,
        False,
    ]


def test_what_is_retried() -> None:
    retried = [status for status in range(100, 600) if is_retryable(status)]
    assert [status for status in retried if 300 <= status < 500] == [408, 425, 429]
    assert all(is_retryable(status) for status in range(500, 600))


@pytest.mark.parametrize(
    "value,seconds",
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999999999", 86_400),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sunday, 01-Mar-26 12:00:10 GMT", 10),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("-5", None),
        ("1.5", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
        ("Sun, 99 Mar 2026 12:01:30 GMT", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after([value], now=NOW) == seconds


def test_errors_survive_being_pickled() -> None:
    for kind in (PermanentHttpError, RetryableHttpError, InvalidRequestError):
        error = pickle.loads(pickle.dumps(kind("why", status=503, retry_after=7.0)))
        assert (type(error), str(error), error.status, error.retry_after) == (kind, "why", 503, 7.0)
    assert (PermanentHttpError("x").retryable, RetryableHttpError("x").retryable) == (False, True)
