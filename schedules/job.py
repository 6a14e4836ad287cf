"""The function that makes a schedule an HTTP request: `func=job_request, args=[url]`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schedules.http.answers import is_retryable
from schedules.http.caller import current_caller
from schedules.http.errors import HttpJobError, InvalidRequestError, PermanentHttpError, RetryableHttpError
from schedules.http.request import HttpRequest, validate_request
from schedules.http.send import HttpResult, send
from schedules.http.texts import one_line
from schedules.texts import gettext as _

__all__ = ["job_request"]  # what may be scheduled of this module

logger = logging.getLogger(__name__)

BODY_START = 1000
"""Characters of an answer that are kept with the run."""


def job_request(
    url: str,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    body: str | bytes | None = None,
    timeout: float = 30,
    success: str = "2xx",
    max_response: int = 65536,
    *,
    follow_redirects: bool = False,
) -> dict[str, Any]:
    """Call a URL and return what it answered; fail when the answer is no success.

    `url`: http or https, under a prefix of `SCHEDULES_HTTP_ALLOWED`. `headers`: names and texts;
    credentials are named, not written: `{"Authorization": "Bearer secret:NAME"}` takes
    `SCHEDULES_SECRET_NAME` from the worker's environment. `json` or `body`: what is sent. `timeout`:
    seconds until the complete answer. `success`: statuses such as `"2xx"` or `"200,204,3xx"`.
    `max_response`: bytes of the answer that are read. `follow_redirects`: off; when on, every hop is
    checked as the first URL is.

    Returns `status`, `reason`, `milliseconds`, `bytes`, `truncated`, and `body_start` when there is a body.
    Raises `PermanentHttpError` (no retry: refused, 3xx, 4xx but 408, 425 and 429) or `RetryableHttpError`,
    which may carry `retry_after` seconds.
    """
    try:
        request = validate_request(
            url=url,
            method=method,
            headers=headers,
            json=json,
            body=body,
            timeout=timeout,
            success=success,
            max_response=max_response,
            follow_redirects=follow_redirects,
        )
        result = send(request, caller=current_caller())
        if result.status not in request.success:
            raise _unsuccessful(request, result)
    except HttpJobError as error:
        logger.warning(
            "%s", error, extra={"action": "http.failed", "status": error.status, "retryable": error.retryable}
        )
        raise
    logger.info(
        "%s %s answered %s in %s ms",
        request.method,
        result.url,
        result.status,
        result.milliseconds,
        extra={"action": "http.succeeded", "status": result.status},
    )
    return summary(result)


def validate_arguments(*, args: Sequence[Any], kwargs: Mapping[str, Any]) -> HttpRequest:
    """Return the request that a schedule of `job_request` with these arguments makes.

    For where a schedule is saved. Raises `InvalidRequestError` or `AddressRefusedError`: a sentence for the user.
    """
    try:
        given = _SIGNATURE.bind(*args, **kwargs)
    except TypeError as error:
        names = ", ".join(_SIGNATURE.parameters)
        raise InvalidRequestError(
            _("job_request: %(error)s; its arguments are %(names)s.") % {"error": error, "names": names}
        ) from None
    return validate_request(**given.arguments)


def summary(result: HttpResult) -> dict[str, Any]:
    """Return what is kept of an answer: short, JSON-able, without secrets."""
    kept = {
        "status": result.status,
        "reason": result.reason,
        "milliseconds": result.milliseconds,
        "bytes": result.size,
        "truncated": result.truncated,
    }
    if result.body:
        kept["body_start"] = result.body[:BODY_START]
    return kept


def _unsuccessful(request: HttpRequest, result: HttpResult) -> HttpJobError:
    text = f"{request.method} {result.url} answered {result.status} {result.reason}".rstrip()
    if 300 <= result.status < 400 and not request.follow_redirects:
        text += " (redirects are not followed)"
    start = one_line(result.body, BODY_START)
    text = f"{text}: {start}" if start else f"{text}, where {request.success.text} is a success."
    if is_retryable(result.status):
        return RetryableHttpError(text, status=result.status, retry_after=result.retry_after)
    return PermanentHttpError(text, status=result.status)


_SIGNATURE: Final = inspect.signature(job_request)
