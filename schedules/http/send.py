"""Send one request and return what came back: the one way out, for jobs and for test requests alike."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin

import requests

from schedules.http.addresses import Resolver, checked_addresses, look_up
from schedules.http.allowed import Rule
from schedules.http.answers import retry_after
from schedules.http.caller import Caller, current_caller
from schedules.http.deadline import Deadline
from schedules.http.errors import (
    DeadlineError,
    HttpJobError,
    PermanentHttpError,
    UnreachableError,
    UrlRefusedError,
)
from schedules.http.failures import NETWORK_ERRORS, reason_for
from schedules.http.named_secrets import Scrubber, resolve
from schedules.http.request import HttpRequest, check_url, validate_request
from schedules.http.settings import http_ca_bundle, http_proxy, signing_keys
from schedules.http.signing import sign
from schedules.http.texts import body_text, one_line, shown_headers
from schedules.http.transport import open_response
from schedules.http.urls import NormalUrl
from schedules.texts import gettext as _

USER_AGENT: Final = "schedules-job-request/1"
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResult:
    """An answer, of whatever status. No text of it holds a resolved secret."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: str
    """The body as text, as far as it was read; a note in brackets when it is not text."""
    size: int
    """Bytes that were read of the body."""
    truncated: bool
    """The body is longer than what was read."""
    milliseconds: int
    url: str
    """Where the answer came from, without the query."""
    retry_after: float | None = None


def send_request(
    *,
    caller: Caller | None = None,
    allowed: Sequence[str] | None = None,
    resolver: Resolver = look_up,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.time,
    **request: Any,
) -> HttpResult:
    """Check a request (the arguments of `validate_request`), send it once, return what was answered.

    Raises `PermanentHttpError` for what may not or cannot be sent, `RetryableHttpError` when no answer came.
    """
    return send(
        validate_request(allowed=allowed, **request),
        caller=caller or current_caller(),
        allowed=allowed,
        resolver=resolver,
        environ=environ,
        clock=clock,
    )


def send(
    request: HttpRequest,
    *,
    caller: Caller,
    allowed: Sequence[str] | None = None,
    resolver: Resolver = look_up,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.time,
) -> HttpResult:
    """Send a checked request; see `send_request`."""
    headers, scrubber, secret_names = resolve(request.headers, environ)
    first = _Hop(
        method=request.method, url=request.url, rule=request.rule, headers=headers, body=request.body
    )
    try:
        return _exchange(
            request,
            first,
            caller=caller,
            allowed=allowed,
            resolver=resolver,
            clock=clock,
            scrubber=scrubber,
            secret_names=secret_names,
        )
    except HttpJobError as error:
        # A redirect, for one, can repeat a secret in its address, which is then the text of a refusal.
        text = scrubber.scrub(str(error))
        if text == str(error):
            raise
        raise type(error)(text, status=error.status, retry_after=error.retry_after) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hop:
    """One station of a request; more than one only where redirects are followed."""

    method: str
    url: NormalUrl
    rule: Rule
    headers: dict[str, str]
    body: bytes | None


def _exchange(
    request: HttpRequest,
    hop: _Hop,
    *,
    caller: Caller,
    allowed: Sequence[str] | None,
    resolver: Resolver,
    clock: Callable[[], float],
    scrubber: Scrubber,
    secret_names: frozenset[str],
) -> HttpResult:
    started = time.monotonic()
    with Deadline(request.timeout) as deadline:
        for _number in range(MAX_REDIRECTS + 1):
            response = _open(hop, caller=caller, deadline=deadline, resolver=resolver, clock=clock)
            with response:
                location = response.headers.get("Location", "")
                followed = request.follow_redirects and response.status_code in _REDIRECTS and location
                if not followed:
                    return _read(response, request, hop, deadline, scrubber, started, clock)
            hop = _next_hop(hop, response.status_code, location, allowed=allowed, secret_names=secret_names)
    raise PermanentHttpError(
        _("%(url)s redirected more than %(most)s times.") % {"url": request.url.shown, "most": MAX_REDIRECTS}
    )


def _open(
    hop: _Hop, *, caller: Caller, deadline: Deadline, resolver: Resolver, clock: Callable[[], float]
) -> requests.Response:
    addresses = checked_addresses(hop.url, rule=hop.rule, resolver=resolver, timeout=deadline.remaining())
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **caller.headers(),
        **_signature(hop, caller, clock),
        **hop.headers,
    }
    try:
        return open_response(
            method=hop.method,
            url=hop.url,
            addresses=addresses,
            headers=headers,
            body=hop.body,
            deadline=deadline,
            proxy=http_proxy(),
            ca_bundle=http_ca_bundle(),
        )
    except NETWORK_ERRORS as error:
        raise _no_answer(hop, error, deadline) from None


def _signature(hop: _Hop, caller: Caller, clock: Callable[[], float]) -> dict[str, str]:
    """Return the Standard Webhooks headers; none without keys, and none through a wildcard rule.

    The keys are symmetric: only who holds them can check a signature, and who holds them is listed by name. A
    stranger that is reached through `https://*` could do one thing with a signed request: forward it to the
    backend, where it would be valid.
    """
    keys = signing_keys()
    if not keys or not hop.rule.literal:
        return {}
    if caller.repeated or caller.attempt > 1:
        # The id is the same on every attempt, as the specification wants it. So two attempts within one
        # second would carry the same signature, and the second would be refused as a replay: wait.
        time.sleep(1 - clock() % 1)
    timestamp = int(clock())
    return {
        "webhook-id": caller.key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(
            keys=keys, message_id=caller.key, timestamp=timestamp, body=hop.body or b""
        ),
    }


def _next_hop(
    hop: _Hop, status: int, location: str, *, allowed: Sequence[str] | None, secret_names: frozenset[str]
) -> _Hop:
    """Return where a redirect leads, after the same checks as for the first URL."""
    if not re.fullmatch(r"[\x21-\x7e]+", location):
        raise UrlRefusedError(
            _("%(url)s redirects to a URL with characters that are not allowed.") % {"url": hop.url.shown}
        )
    url, rule = check_url(urljoin(str(hop.url), location.partition("#")[0]), allowed=allowed)
    if hop.url.scheme == "https" and url.scheme == "http":
        raise UrlRefusedError(
            _("%(url)s redirects from https to http, which is refused.") % {"url": hop.url.shown}
        )
    headers = dict(hop.headers)
    if url.origin != hop.url.origin:
        headers = {name: value for name, value in headers.items() if name.lower() not in secret_names}
    if status == 303 or (status in {301, 302} and hop.method == "POST"):  # RFC 9110 15.4
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        method = "HEAD" if hop.method == "HEAD" else "GET"
        return _Hop(method=method, url=url, rule=rule, headers=headers, body=None)
    return replace(hop, url=url, rule=rule, headers=headers)


def _read(
    response: requests.Response,
    request: HttpRequest,
    hop: _Hop,
    deadline: Deadline,
    scrubber: Scrubber,
    started: float,
    clock: Callable[[], float],
) -> HttpResult:
    content = b""
    try:
        # One byte more than wanted tells whether there is more; never decoded, so a bomb stays small.
        while len(content) <= request.max_response:
            wanted = min(_CHUNK, request.max_response + 1 - len(content))
            piece = response.raw.read(wanted, decode_content=False)
            if not piece:
                break
            content += piece
    except NETWORK_ERRORS as error:
        raise _no_answer(hop, error, deadline) from None
    if deadline.passed:  # a socket that was shut down can look like the end of a body without a length
        raise _no_answer(hop, TimeoutError(), deadline)
    truncated = len(content) > request.max_response
    content = content[: request.max_response]
    return HttpResult(
        status=response.status_code,
        reason=one_line(scrubber.scrub(response.reason or ""), 100),
        headers=shown_headers(response.raw.headers.items(), scrubber),
        body=body_text(content, response.headers, scrubber, cut=truncated),
        size=len(content),
        truncated=truncated,
        milliseconds=round((time.monotonic() - started) * 1000),
        url=scrubber.scrub(hop.url.shown),
        retry_after=retry_after(
            [value for name, value in response.raw.headers.items() if name.lower() == "retry-after"],
            now=datetime.fromtimestamp(clock(), tz=UTC),
        ),
    )


def _no_answer(hop: _Hop, error: BaseException, deadline: Deadline) -> Exception:
    where = f"{hop.method} {hop.url.shown}"
    if deadline.passed or isinstance(error, requests.ReadTimeout):
        return DeadlineError(
            _("%(where)s got no complete answer within %(seconds)s s.")
            % {"where": where, "seconds": f"{deadline.seconds:g}"}
        )
    return UnreachableError(
        _("%(where)s got no answer: %(reason)s.") % {"where": where, "reason": reason_for(error)}
    )
