"""Say in a sentence why there was no answer, whatever library noticed it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from typing import Final

import requests
import urllib3.exceptions

from schedules.texts import gettext as _

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
            return _("its TLS certificate was refused (%(reason)s)") % {
                "reason": cause.verify_message or cause.reason
            }
        if isinstance(cause, urllib3.exceptions.SSLError) or type(cause).__name__ == "CertificateError":
            continue
        if isinstance(cause, ssl.SSLError):
            return _("TLS failed (%(reason)s)") % {"reason": cause.reason or _("unknown reason")}
    for cause in chain:
        if isinstance(cause, http.client.LineTooLong):
            return _("a header line of its answer is longer than 65536 bytes")
        if isinstance(cause, http.client.HTTPException) and "headers" in str(cause):
            return _("its answer has more than 100 headers")
        if isinstance(cause, http.client.RemoteDisconnected):
            return _("it closed the connection without an answer")
        if isinstance(cause, http.client.BadStatusLine):
            return _("it did not answer in HTTP")
        if isinstance(cause, ConnectionRefusedError):
            return _("it refused the connection")
        if isinstance(cause, ConnectionResetError):
            return _("it reset the connection")
        if isinstance(cause, urllib3.exceptions.ProxyError):
            return _("the proxy failed")
        if isinstance(cause, urllib3.exceptions.ConnectTimeoutError) and not isinstance(
            cause, urllib3.exceptions.NewConnectionError
        ):
            return _("no connection came about in time")
        if isinstance(cause, http.client.IncompleteRead):  # urllib3's are subclasses of it
            return _("its answer broke off or was not chunked correctly")
        if isinstance(cause, TimeoutError | requests.Timeout):
            return _("nothing came in time")
    last = chain[-1]
    if isinstance(last, OSError) and last.strerror and not isinstance(last, requests.RequestException):
        return last.strerror[:1].lower() + last.strerror[1:]
    return _("the exchange failed (%(type)s)") % {"type": type(last).__name__}


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
