"""Sending what somebody is to be told: by mail and to a webhook, in a thread of its own.

The keeper hands over and goes on: a mail server that hangs holds up nothing but other messages.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, TypeAlias

import requests
from django.conf import settings
from django.core.mail import EmailMessage

from schedules.conf import conf
from schedules.http.signing import sign
from schedules.keeper.alarms import Notice
from schedules.translating import translated

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Messages that wait to be sent; what comes beyond is logged and dropped, so that memory is bounded."""
ATTEMPTS: Final = 3
FIRST_PAUSE: Final = 2.0
TIMEOUT: Final = (5.0, 10.0)
"""Seconds to connect to the webhook, and for its answer."""
_Send: TypeAlias = Callable[[Notice], None]


class Notifier:
    """Sends messages one after another. The thread lives as long as there is something to send."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Notice] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def hand_over(self, notices: Iterable[Notice]) -> None:
        """Take messages to be sent; never waits, never fails."""
        for notice in notices:
            logger.warning(
                "%s: %s",
                notice.subject,
                notice.text,
                extra={"action": f"alarm.{notice.kind}", **_ids(notice)},
            )
            try:
                self._waiting.put_nowait(notice)
            except queue.Full:
                logger.error(
                    "%d messages wait to be sent already; this one is dropped: %s",
                    MOST_WAITING,
                    notice.subject,
                    extra={"action": "alarm.dropped"},
                )
        with self._lock:
            if not self._waiting.empty() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
                self._thread.start()

    def finish(self, seconds: float) -> bool:
        """Wait until everything is sent, or so many seconds; return whether it is."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def stop(self) -> None:
        """Make no further attempts; what waits is dropped."""
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                notice = self._waiting.get(timeout=0.2)
            except queue.Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                continue
            self._attempt("mail", notice, send_mail)
            self._attempt("webhook", notice, send_webhook)

    def _attempt(self, way: str, notice: Notice, send: _Send) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                send(notice)
            except Exception as error:  # noqa: BLE001 - whatever a mail or web server does: it must not end the thread
                logger.warning(
                    "The %s about %r could not be sent (attempt %d of %d): %s: %s",
                    way,
                    notice.subject,
                    attempt,
                    ATTEMPTS,
                    type(error).__name__,
                    error,
                    extra={"action": "alarm.not_sent", **_ids(notice)},
                )
                if attempt == ATTEMPTS or self._stopped.wait(FIRST_PAUSE * attempt):
                    return
            else:
                return


def send_mail(notice: Notice) -> None:
    """Mail a message to whom it concerns, if there is somebody."""
    addresses = list(notice.addresses)
    if not addresses and "schedule" not in notice.data:
        addresses = [address for _, address in settings.ADMINS]
    if not addresses:
        return
    subject = f"{settings.EMAIL_SUBJECT_PREFIX}{translated(notice.subject)}"
    EmailMessage(
        subject=subject.replace("\n", " ").replace("\r", " "),
        body=translated(notice.text) + "\n",
        to=addresses,
    ).send()


def send_webhook(notice: Notice) -> None:
    """Post a message to `SCHEDULES_NOTIFY_URL`, signed as HTTP jobs are, if it is set.

    Raises:
        requests.RequestException: it was not accepted with a status of 2xx.
    """
    if not conf.notify_url:
        return
    moment = datetime.now(UTC)
    message = {"type": f"schedule.{notice.kind}", "timestamp": moment.isoformat()}
    texts = {"subject": translated(notice.subject), "text": translated(notice.text)}
    data = {**texts, **notice.data}
    body = json.dumps({**message, "data": data}).encode()
    headers = {
        "content-type": "application/json",
        "webhook-id": notice.id,
        "webhook-timestamp": str(int(moment.timestamp())),
    }
    if conf.signing_keys:
        headers["webhook-signature"] = sign(
            keys=conf.signing_keys, message_id=notice.id, timestamp=int(moment.timestamp()), body=body
        )
    with requests.Session() as session:
        session.trust_env = False  # no proxies or passwords out of the environment
        answer = session.post(
            conf.notify_url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
        )
        answer.raise_for_status()
        if not answer.ok or answer.is_redirect:
            raise requests.HTTPError(f"{answer.status_code} instead of a success", response=answer)


def _ids(notice: Notice) -> dict[str, str]:
    schedule = notice.data.get("schedule")
    return {"schedule_id": schedule["id"]} if schedule else {}
