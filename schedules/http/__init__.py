"""HTTP jobs: where they may go, how they are signed, and how they are sent."""

from __future__ import annotations

from schedules.http.errors import (
    AddressRefusedError,
    DeadlineError,
    HttpJobError,
    InvalidRequestError,
    PermanentHttpError,
    RetryableHttpError,
    SecretError,
    SigningKeyError,
    UnreachableError,
    UrlRefusedError,
)
from schedules.http.request import METHODS, HttpRequest, check_url, validate_request
from schedules.http.send import HttpResult, send_request

__all__ = [
    "METHODS",
    "AddressRefusedError",
    "DeadlineError",
    "HttpJobError",
    "HttpRequest",
    "HttpResult",
    "InvalidRequestError",
    "PermanentHttpError",
    "RetryableHttpError",
    "SecretError",
    "SigningKeyError",
    "UnreachableError",
    "UrlRefusedError",
    "check_url",
    "send_request",
    "validate_request",
]
