"""Say in a sentence why there was no answer, whatever library noticed it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from typing import Final

import requests
import urllib3.exceptions

NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


def reason_for(error: BaseException) -> str:
    """Return the reason in our own words: the libraries' repeat URLs, queries and what was received."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate was refused ({cause.verify_message or cause.reason})"
        if isinstance(cause, urllib3.exceptions.SSLError) or type(cause).__name__ == "CertificateError":
            continue
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or 'unknown reason'})"
    for cause in chain:
        if isinstance(cause, http.client.LineTooLong):
            return "a header line of its answer is longer than 65536 bytes"
        if isinstance(cause, http.client.HTTPException) and "headers" in str(cause):
            return "its answer has more than 100 headers"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "it closed the connection without an answer"
        if isinstance(cause, http.client.BadStatusLine):
            return "it did not answer in HTTP"
        if isinstance(cause, ConnectionRefusedError):
            return "it refused the connection"
        if isinstance(cause, ConnectionResetError):
            return "it reset the connection"
        if isinstance(cause, urllib3.exceptions.ProxyError):
            return "the proxy failed"
        if isinstance(cause, urllib3.exceptions.ConnectTimeoutError) and not isinstance(
            cause, urllib3.exceptions.NewConnectionError
        ):
            return "no connection came about in time"
        if isinstance(cause, http.client.IncompleteRead):  # urllib3's are subclasses of it
            return "its answer broke off or was not chunked correctly"
        if isinstance(cause, TimeoutError | requests.Timeout):
            return "nothing came in time"
    last = chain[-1]
    if isinstance(last, OSError) and last.strerror and not isinstance(last, requests.RequestException):
        return last.strerror[:1].lower() + last.strerror[1:]
    return f"the exchange failed ({type(last).__name__})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it wraps: as an argument, as its reason, or as its cause."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
