"""The one view behind all endpoints: checks a delivery, runs its function once, repeats its answer."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from schedules.http.settings import signing_keys
from schedules.router.endpoints import Endpoint, find_endpoint
from schedules.router.store import Answer, CacheStore, Mismatch, Running, fingerprint
from schedules.router.verification import (
    BodyError,
    Delivery,
    DeliveryRefusedError,
    read_delivery,
    verify_delivery,
)

logger = logging.getLogger(__name__)

WAIT_SECONDS: Final = 10.0
"""How long a second delivery waits for the answer of the first one that is being executed."""
POLL_SECONDS: Final = 0.05
RETRY_AFTER: Final = 5
_FORWARDED: Final = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
    "HTTP_VIA",
)
_BROWSER: Final = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_REFERER")


class _Refused(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


# Guarded by signatures, not by cookies. Not in one transaction with the function: a claim in a database cache
# must be seen by others at once.
@csrf_exempt
@transaction.non_atomic_requests
def job_view(request: HttpRequest, name: str) -> HttpResponse:
    """Run the endpoint of this name.

    404 unknown name, 405 other methods than POST, 413 too large, 401 not genuine or replayed, 400 not JSON,
    422 key used for something else, 425 still running (with Retry-After), 500 the function failed, 503 the
    cache is away.
    """
    try:
        endpoint = find_endpoint(name)
        if endpoint is None:
            raise _Refused(404, "There is no endpoint of this name.")
        if request.method != "POST":
            raise _Refused(405, "Only POST is allowed.", Allow="POST")
        delivery = _delivery(request, _body(request, endpoint.max_body))
        try:
            payload = delivery.payload
        except BodyError as error:
            raise _Refused(400, str(error)) from None
        return _once(endpoint, delivery, {"delivery": delivery, "payload": payload, "request": request})
    except _Refused as refusal:
        logger.warning(
            "Refused a request to the endpoint %r: %s %s",
            name,
            refusal.status,
            refusal,
            extra={"action": "router.refused", "status": refusal.status},
        )
        response = JsonResponse({"error": str(refusal)}, status=refusal.status)
        for header, value in refusal.headers.items():
            response[header] = value
        return response
    except Exception:
        error_id = uuid.uuid4().hex
        logger.exception(
            "The endpoint %r failed (id %s)",
            name,
            error_id,
            extra={"action": "router.failed", "error_id": error_id},
        )
        return JsonResponse({"error": "The endpoint failed; the log knows more.", "id": error_id}, status=500)


def _body(request: HttpRequest, limit: int) -> bytes:
    declared = str(request.META.get("CONTENT_LENGTH") or "")
    too_large = _Refused(413, f"The body is larger than {limit} bytes.")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > limit):
        raise too_large
    if hasattr(request, "_body"):  # a middleware has read it
        body = request.body
    else:
        body = request.read(limit + 1)
        request._body = body  # so that the function may use request.body
    if len(body) > limit:
        raise too_large
    return body


def _delivery(request: HttpRequest, body: bytes) -> Delivery:
    headers = {name.lower(): value for name, value in request.headers.items()}
    keys = signing_keys()
    if not keys:
        _only_local(request)
        return read_delivery(body=body, headers=headers, key=headers.get("idempotency-key", "")[:255])
    replays = _Guarded(CacheStore())
    try:
        return verify_delivery(body=body, headers=headers, keys=keys, now=datetime.now(UTC), replays=replays)
    except DeliveryRefusedError as error:
        raise _Refused(401, str(error), WWW_Authenticate="StandardWebhooks") from None


class _Guarded:
    """The cache, whose failure is told as 503: nothing runs that cannot be remembered."""

    def __init__(self, store: CacheStore) -> None:
        self.store = store

    def first_time(self, key: str, seconds: int) -> bool:
        with _cache_at_hand():
            return self.store.first_time(key, seconds)


@contextlib.contextmanager
def _cache_at_hand() -> Any:
    try:
        yield
    except Exception as error:
        logger.exception("The cache of the endpoints is away", extra={"action": "router.cache_away"})
        raise _Refused(503, "The cache is away.", Retry_After=str(RETRY_AFTER)) from error


def _only_local(request: HttpRequest) -> None:
    """Let requests of this very machine pass in DEBUG, when there are no keys; nothing else."""
    refused = _Refused(
        401,
        "Without SCHEDULES_SIGNING_KEYS only requests from this machine are served, and only in DEBUG.",
        WWW_Authenticate="StandardWebhooks",
    )
    try:
        address: Any = ipaddress.ip_address(str(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        raise refused from None
    mapped = getattr(address, "ipv4_mapped", None)
    if not settings.DEBUG or not (mapped or address).is_loopback:
        raise refused
    # A proxy on this machine forwards strangers; a browser on it posts for any web page that it shows.
    if any(request.META.get(name) for name in _FORWARDED + _BROWSER):
        raise refused


def _once(endpoint: Endpoint, delivery: Delivery, given: dict[str, Any]) -> HttpResponse:
    """Run the function, or give the answer of the delivery of the same key that ran it."""
    if not delivery.key:
        return _run(endpoint, given)
    store, token = CacheStore(), uuid.uuid4().hex
    mark = fingerprint(endpoint.name, delivery.body)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with _cache_at_hand():
            found = store.claim(delivery.key, token=token, mark=mark, seconds=endpoint.runs_at_most)
        if found is None:
            break
        if isinstance(found, Answer):
            return _given_again(found)
        if isinstance(found, Mismatch):
            raise _Refused(422, "The key was used before for another endpoint or another body.")
        if isinstance(found, Running) and time.monotonic() > deadline:
            # 425 and not 409: of the two it is the one that senders try again.
            raise _Refused(
                425, "The first delivery of this key is still running.", Retry_After=str(RETRY_AFTER)
            )
        time.sleep(POLL_SECONDS)
    response: HttpResponse | None = None
    try:
        response = _run(endpoint, given)
    finally:
        # A failure is no answer: the next attempt shall run. An answer that cannot be kept is still given.
        with contextlib.suppress(_Refused), _cache_at_hand():
            if response is None or response.status_code >= 500:
                store.give_up(delivery.key, token=token)
            else:
                store.keep(
                    delivery.key, token=token, mark=mark, answer=_answer(response), seconds=endpoint.remembers
                )
    return response


def _given_again(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body.encode(), content_type=answer.content_type, status=answer.status)
    response["Idempotency-Replayed"] = "true"
    return response


def _answer(response: HttpResponse) -> Answer:
    text = response.content.decode(response.charset or "utf-8", errors="replace")
    return Answer(status=response.status_code, content_type=response.get("Content-Type", ""), body=text)


def _run(endpoint: Endpoint, given: dict[str, Any]) -> HttpResponse:
    arguments = {name: given[name] for name in endpoint.arguments}
    if endpoint.is_async:
        value = async_to_sync(endpoint.function)(**arguments)
    else:
        with contextlib.ExitStack() as transactions:
            for alias, options in connections.settings.items():
                if options.get("ATOMIC_REQUESTS"):
                    transactions.enter_context(transaction.atomic(using=alias))
            value = endpoint.function(**arguments)
    if isinstance(value, HttpResponse):
        return value
    content = json.dumps({"ok": True} if value is None else value, cls=DjangoJSONEncoder)
    return HttpResponse(content, content_type="application/json")
