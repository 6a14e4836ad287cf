"""A request as a schedule writes it: checked when it is saved, and again by the worker that sends it."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schedules.http.addresses import check_address
from schedules.http.allowed import Rule, find_rule
from schedules.http.answers import SuccessCodes
from schedules.http.errors import InvalidRequestError
from schedules.http.named_secrets import check_references
from schedules.http.settings import http_allowed
from schedules.http.urls import NormalUrl, normalise
from schedules.texts import gettext as _

METHODS: Final = ("POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
METHODS_WITH_BODY: Final = ("POST", "PUT", "PATCH", "DELETE")
MAX_BODY: Final = 1_048_576
MAX_TIMEOUT: Final = 3600
MAX_RESPONSE: Final = 10_485_760
MAX_HEADERS: Final = 50
MAX_HEADER_VALUE: Final = 4096

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110 5.6.2
_VALUE = re.compile(r"[\x20-\x7e]*")
_OURS: Final = frozenset(
    {"idempotency-key", "traceparent", "webhook-id", "webhook-timestamp", "webhook-signature"}
)
_CONNECTION: Final = frozenset(
    {
        "accept-encoding",  # an answer is never decompressed: no bombs
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """A request that may be sent. Its headers still name their secrets."""

    method: str
    url: NormalUrl
    rule: Rule
    headers: dict[str, str]
    body: bytes | None
    success: SuccessCodes
    timeout: float
    """Seconds for everything: looking up, connecting, sending, and the complete answer."""
    max_response: int
    """Bytes of the answer's body that are read."""
    follow_redirects: bool


def check_url(url: str, *, allowed: Sequence[str] | None = None) -> tuple[NormalUrl, Rule]:
    """Return the URL in normal form and the rule that allows it.

    No name is looked up: this runs where a schedule is saved. Addresses are checked when the request is sent.
    Raises `InvalidRequestError`, or `AddressRefusedError` when the host is written as an unfit address.
    """
    normal = normalise(url)
    rule = find_rule(normal, http_allowed() if allowed is None else allowed)
    if normal.address is not None:
        check_address(normal.address, url=normal, rule=rule)
    return normal, rule


def validate_request(
    *,
    url: str,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    body: str | bytes | None = None,
    timeout: float = 30,
    success: str = "2xx",
    max_response: int = 65536,
    follow_redirects: bool = False,
    allowed: Sequence[str] | None = None,
) -> HttpRequest:
    """Return the request that these arguments of `job_request` make.

    Raises `InvalidRequestError` or `AddressRefusedError` (both `PermanentHttpError`): one sentence for the
    user. Secrets are not looked up: only the worker has them.
    """
    normal, rule = check_url(url, allowed=allowed)
    method = _method(method)
    content, content_type = _body(json, body)
    if content is not None and method not in METHODS_WITH_BODY:
        raise InvalidRequestError(
            _("%(method)s takes no body: %(methods)s do.")
            % {"method": method, "methods": ", ".join(METHODS_WITH_BODY)}
        )
    checked = _headers(headers)
    if content_type and "content-type" not in {name.lower() for name in checked}:
        checked["Content-Type"] = content_type
    return HttpRequest(
        method=method,
        url=normal,
        rule=rule,
        headers=checked,
        # A method that carries a body says that it is empty: some servers insist on a Content-Length (411).
        body=b"" if content is None and method in METHODS_WITH_BODY else content,
        success=SuccessCodes.read(success),
        timeout=_number("timeout", timeout, lowest=0.1, highest=MAX_TIMEOUT, unit=_("seconds")),
        max_response=int(
            _number("max_response", max_response, lowest=0, highest=MAX_RESPONSE, unit=_("bytes"))
        ),
        follow_redirects=bool(follow_redirects),
    )


def _method(method: str) -> str:
    upper = method.upper() if isinstance(method, str) else ""
    if upper not in METHODS:
        raise InvalidRequestError(
            _("%(method)s is not a method: %(methods)s are.")
            % {"method": repr(method), "methods": ", ".join(METHODS)}
        )
    return upper


def _body(json: Any, body: str | bytes | None) -> tuple[bytes | None, str]:
    if json is not None and body is not None:
        raise InvalidRequestError(_("Both json and body are given: a request has one body."))
    content: bytes | None = None
    content_type = ""
    if json is not None:
        try:
            text = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            content = text.encode("utf-8")
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequestError(
                _("json cannot be written as JSON: %(error)s.") % {"error": error}
            ) from None
        content_type = "application/json"
    elif isinstance(body, str | bytes):
        try:
            content = body.encode("utf-8") if isinstance(body, str) else body
            content.decode("utf-8")
        except UnicodeError:
            raise InvalidRequestError(_("body is not UTF-8 text: other bytes cannot be signed.")) from None
        content_type = "text/plain; charset=utf-8"
    elif body is not None:
        raise InvalidRequestError(
            _("body is of type %(type)s: text is expected; for data use json.")
            % {"type": type(body).__name__}
        )
    if content is not None and len(content) > MAX_BODY:
        raise InvalidRequestError(
            _("The body has %(count)s bytes: at most %(most)s are allowed.")
            % {"count": len(content), "most": MAX_BODY}
        )
    return content, content_type


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise InvalidRequestError(
            _('headers must be an object of names and texts, such as {"X-Team": "news"}.')
        )
    if len(headers) > MAX_HEADERS:
        raise InvalidRequestError(
            _("There are %(count)s headers: at most %(most)s are allowed.")
            % {"count": len(headers), "most": MAX_HEADERS}
        )
    seen: set[str] = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise InvalidRequestError(
                _("%(name)s is not a header's name: letters, digits and hyphens are allowed.")
                % {"name": f"{name!r:.120}"}
            )
        lower = name.lower()
        if lower in seen:
            raise InvalidRequestError(_("Header %(name)s is given twice.") % {"name": name})
        seen.add(lower)
        if lower in _OURS or lower.startswith("x-schedule-"):
            raise InvalidRequestError(
                _("Header %(name)s is set by the scheduler itself: leave it out.") % {"name": name}
            )
        if lower in _CONNECTION:
            raise InvalidRequestError(
                _("Header %(name)s belongs to the connection, not to the request: leave it out.")
                % {"name": name}
            )
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or len(value) > MAX_HEADER_VALUE:
            # Without the value: it may be a secret that was pasted here.
            raise InvalidRequestError(
                _("Header %(name)s: its value must be one line of ASCII, at most %(most)s characters.")
                % {"name": name, "most": MAX_HEADER_VALUE}
            )
    checked = {name: value.strip(" ") for name, value in headers.items()}
    check_references(checked)
    return checked


def _number(name: str, value: float, *, lowest: float, highest: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise InvalidRequestError(
            _("%(name)s is %(value)s: %(lowest)s to %(highest)s %(unit)s are allowed.")
            % {"name": name, "value": f"{value!r:.50}", "lowest": lowest, "highest": highest, "unit": unit}
        )
    return value
