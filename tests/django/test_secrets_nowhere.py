"""The value of a named secret is in the request that is sent, and nowhere else: page, log, ledger, Redis."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
import redis as redis_py
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.test import Client
from django.urls import reverse

from schedules.keeper import Keeper
from schedules.models import Run, Schedule
from schedules.services import SchedulerService
from schedules.services.connection import forget_connections
from tests.support.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-nobody-may-read-this"


class _Echo(BaseHTTPRequestHandler):
    """Answers with the credentials it got, as careless servers do: in a header and in the body, with an error."""

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        credentials = self.headers.get("Authorization", "")
        self.seen.append(credentials)
        body = f"no access for {credentials}".encode()
        self.send_response(403)
        self.send_header("X-Echo", credentials)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    _Echo.seen.clear()
    with HTTPServer(("127.0.0.1", 0), _Echo) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/v1/jobs/"
        http.shutdown()


def everything_in(connection: redis_py.Redis) -> bytes:
    """Return every value that Redis holds, compressed ones also as they were."""
    values: list[bytes] = []
    for key in connection.scan_iter():
        kind = connection.type(key)
        if kind == b"hash":
            values += [part for pair in connection.hgetall(key).items() for part in pair]
        elif kind == b"list":
            values += connection.lrange(key, 0, -1)
        elif kind == b"zset":
            values += connection.zrange(key, 0, -1)
        elif kind == b"set":
            values += connection.smembers(key)
        elif kind == b"stream":
            values += [value for _, fields in connection.xrange(key) for value in fields.values()]
        else:
            values.append(connection.get(key) or b"")
    for value in list(values):
        try:
            values.append(zlib.decompress(value))
        except zlib.error:
            continue
    return b"\n".join(values)


def test_the_value_of_a_secret_is_nowhere_but_in_the_request(
    server: str,
    redis: redis_py.Redis,
    admin_client: Client,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_connections()
    settings.SCHEDULES_HTTP_ALLOWED = [server]
    monkeypatch.setenv("SCHEDULES_SECRET_BACKEND", SECRET)
    caplog.set_level(logging.DEBUG)
    schedule = Schedule(
        name="guarded",
        func="schedules.job.job_request",
        args=[f"{server}guarded"],
        kwargs={"headers": {"Authorization": "Bearer secret:BACKEND"}},
        interval=3600,
    )
    schedule.full_clean()
    schedule.save()
    job = SchedulerService.run_now(schedule.pk)
    work(redis)
    held = everything_in(redis)
    Keeper(redis).run_once()
    run = Run.objects.get(job_id=job.id)
    assert (_Echo.seen, run.status) == ([f"Bearer {SECRET}"], "failed")
    assert "403" in run.reason

    pages = [
        reverse("admin:schedules_schedule_changelist"),
        reverse("admin:schedules_schedule_change", args=[schedule.pk]),
        reverse("admin:schedules_schedule_history", args=[schedule.pk]),
        reverse("admin:schedules_run_changelist"),
        reverse("admin:schedules_run_change", args=[run.pk]),
        reverse("admin:django_rq_job_detail", args=[0, job.id]),
        "/admin/schedules/",
    ]
    for page in pages:
        answer = admin_client.get(page, follow=True)
        assert answer.status_code == 200, page
        assert SECRET not in answer.content.decode(), page
    assert SECRET not in caplog.text
    assert SECRET not in serializers.serialize(
        "json", [*Run.objects.all(), *Schedule.objects.all(), *LogEntry.objects.all()]
    )
    assert SECRET.encode() not in held + everything_in(redis)
    forget_connections()
