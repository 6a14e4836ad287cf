"""Somebody is told when the state of a schedule changes: once, and never at the keeper's cost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import redis as redis_py
from django.core import mail
from django.utils import timezone as clock
from standardwebhooks.webhooks import Webhook

from schedules.keeper import Keeper
from schedules.keeper.alarms import Notice, addresses_in
from schedules.keeper.notify import Notifier
from schedules.models import Run, Schedule
from tests.redis.conftest import T0, schedule_id
from tests.redis.test_keeper_drain import emit, make_schedule

pytestmark = pytest.mark.django_db


class Heard(Notifier):
    """Keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[Notice] = []

    def hand_over(self, notices: Any) -> None:
        self.notices += notices

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def keeper(redis: redis_py.Redis, heard: Heard) -> Keeper:
    return Keeper(redis, notifier=heard)


@pytest.fixture
def end(redis: redis_py.Redis, keeper: Keeper) -> Callable[..., None]:
    """Let one run after another of schedule 1 end as the words say."""
    slots = iter(range(60, 100_000, 60))

    def ended(*statuses: str) -> None:
        for status in statuses:
            job_id = f"{schedule_id()}_{int(T0.timestamp()) + next(slots)}"
            emit(
                redis,
                {"e": "queued", "j": job_id, "t": "schedule", "q": "default"},
                {"e": "started", "j": job_id, "n": 1, "w": "w1"},
                {"e": "ended", "j": job_id, "st": status, "n": 1, "r": "ValueError: no"},
            )
            keeper.run_once()

    return ended


def test_the_first_failure_is_told_and_not_the_ones_after(end: Callable[..., None], heard: Heard) -> None:
    make_schedule()
    end("succeeded", "failed", "failed", "abandoned")
    assert heard.kinds == ["failing"]
    assert heard.notices[0].text == "It failed: ValueError: no"
    assert heard.notices[0].subject == "schedule 1 is failing"
    assert Schedule.objects.get().alarm == "failing"


def test_failures_are_told_after_the_threshold_in_a_row(end: Callable[..., None], heard: Heard) -> None:
    make_schedule(failure_threshold=3)
    end("failed", "failed", "succeeded", "failed", "failed")
    assert heard.kinds == ["failed", "recovered", "failed"]
    assert heard.notices[0].subject == "schedule 1 has failed"
    assert heard.notices[0].text == "It failed: ValueError: no"
    assert heard.notices[1].text == "It ran again, after it had failed."
    assert Schedule.objects.get().alarm == "failed"
    end("failed", "failed")
    assert heard.kinds == ["failed", "recovered", "failed", "failing"]
    assert "3 times in a row" in heard.notices[-1].text
    assert Schedule.objects.get().alarm == "failing"


def test_a_first_failure_and_missed_slots_are_each_told_beside_the_other(
    redis: redis_py.Redis, keeper: Keeper, end: Callable[..., None], heard: Heard
) -> None:
    make_schedule(failure_threshold=3)
    missed = int(T0.timestamp())
    emit(redis, {"e": "missed", "i": schedule_id(), "a": missed, "b": missed, "r": "Too late."})
    end("failed")
    assert heard.kinds == ["missed", "failed"]
    assert Schedule.objects.get().alarm == "missed"
    end("succeeded", "failed")
    missed += 30
    emit(redis, {"e": "missed", "i": schedule_id(), "a": missed, "b": missed, "r": "Too late."})
    keeper.run_once()
    assert heard.kinds[2:] == ["recovered", "failed", "missed"]
    assert Schedule.objects.get().alarm == "missed"


def test_recovery_is_told_once(end: Callable[..., None], heard: Heard) -> None:
    make_schedule()
    end("failed", "succeeded", "succeeded")
    assert heard.kinds == ["failing", "recovered"]
    schedule = Schedule.objects.get()
    assert (schedule.alarm, schedule.alarm_at) == ("", None)


def test_missed_slots_are_told_once_until_it_runs_again(
    redis: redis_py.Redis, keeper: Keeper, end: Callable[..., None], heard: Heard
) -> None:
    make_schedule()
    start = int(T0.timestamp())
    emit(redis, {"e": "missed", "i": schedule_id(), "a": start - 60, "b": start - 60, "r": "Too late."})
    emit(redis, {"e": "missed", "i": schedule_id(), "a": start, "b": start, "r": "Too late."})
    keeper.run_once()
    assert heard.kinds == ["missed"]
    assert heard.notices[0].text == "The slot of 2026-03-02 11:59:00 UTC was missed. Too late."
    end("succeeded")
    assert heard.kinds == ["missed", "recovered"]


def test_a_schedule_is_switched_off_when_it_is_to_be(end: Callable[..., None], heard: Heard) -> None:
    make_schedule(failure_threshold=2, pause_on_failure=True)
    end("failed")
    assert Schedule.objects.get().paused_at is None
    end("failed")
    schedule = Schedule.objects.get()
    assert schedule.paused_at is not None
    assert schedule.paused_until is None
    assert schedule.pause_reason == "Paused after 2 failures in a row: ValueError: no"
    assert heard.kinds == ["failed", "failing"]
    assert "paused" in heard.notices[1].text


def test_a_pause_reaches_redis_at_once(redis: redis_py.Redis, heard: Heard) -> None:
    make_schedule(pause_on_failure=True)
    healed: list[float] = []
    keeper = Keeper(redis, notifier=heard, reconcile=lambda: healed.append(time.monotonic()))
    keeper.run_once()
    keeper._due["reconcile"] = time.monotonic() + 1000
    emit(redis, {"e": "ended", "j": f"{schedule_id()}_{int(T0.timestamp())}", "st": "failed", "n": 1})
    keeper.run_once()
    assert keeper._due["reconcile"] == 0.0


def test_a_replayed_event_tells_nothing_again(
    redis: redis_py.Redis,
    keeper: Keeper,
    end: Callable[..., None],
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_schedule(failure_threshold=2)
    monkeypatch.setattr(keeper._stream, "finish", lambda *_: None)
    end("failed")
    keeper._lay_down()
    keeper._closing.forget()
    heir = Keeper(redis, notifier=heard, lease=keeper._lease)
    heir.run_once()
    assert Schedule.objects.get().failures_in_a_row == 1
    assert heard.kinds == ["failed"]


def test_a_slot_that_waits_longer_than_the_grace_is_late_and_said_once(
    redis: redis_py.Redis, keeper: Keeper, heard: Heard
) -> None:
    make_schedule(grace=120)
    make_schedule(2, name="patient")  # with the 300 s of the settings
    for number, seconds in ((1, 130), (2, 200)):
        slot = clock.now() - timedelta(seconds=seconds)
        emit(
            redis,
            {
                "e": "queued",
                "j": f"{schedule_id(number)}_{int(slot.timestamp())}",
                "t": "schedule",
                "q": "default",
            },
            at=slot.timestamp(),
        )
    redis.sadd("rq:workers:default", "rq:worker:w1")
    redis.hset("rq:worker:w1", "birth", "x")
    keeper.run_once(look_at=0)
    keeper.run_once(look_at=1)
    assert [(notice.kind, notice.data["schedule"]["name"]) for notice in heard.notices] == [
        ("late", "schedule 1")
    ]
    assert Schedule.objects.get(name="schedule 1").alarm == "late"
    assert Schedule.objects.get(name="patient").alarm == ""


def test_a_queue_on_which_nobody_works_is_said_once_and_so_is_its_end(
    redis: redis_py.Redis, keeper: Keeper, heard: Heard
) -> None:
    make_schedule(grace=10_000)
    moment = clock.now() - timedelta(seconds=70)
    job_id = f"{schedule_id()}_{int(moment.timestamp())}"
    emit(redis, {"e": "queued", "j": job_id, "t": "schedule", "q": "low"}, at=moment.timestamp())
    redis.sadd("rq:workers:low", "rq:worker:dead")  # its key has expired
    keeper.run_once(look_at=0)
    keeper.run_once(look_at=1)
    assert heard.kinds == ["no_worker"]
    assert "manage.py rqworker low" in heard.notices[0].text
    redis.sadd("rq:workers:low", "rq:worker:w1")
    redis.hset("rq:worker:w1", "birth", "x")
    keeper.run_once(look_at=2)
    keeper.run_once(look_at=3)
    assert heard.kinds == ["no_worker", "worker_back"]


# --- sending ---------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook(settings: Any) -> Iterator[list[tuple[dict[str, str], bytes]]]:
    """Listen as `SCHEDULES_NOTIFY_URL`; the first request is refused."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(500 if len(got) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.SCHEDULES_NOTIFY_URL = f"http://127.0.0.1:{server.server_port}/alarms"
    yield got
    server.shutdown()
    server.server_close()


NOTICE = Notice(
    kind="failing",
    subject="nightly is failing",
    text="It failed: no",
    addresses=("ops@example.com",),
    data={"schedule": {"id": "1", "name": "nightly", "func": "f"}},
)


def test_the_webhook_is_signed_and_tried_again_as_the_same_message(
    webhook: list[tuple[dict[str, str], bytes]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings.SCHEDULES_SIGNING_KEYS = [key]
    monkeypatch.setattr("schedules.keeper.notify.FIRST_PAUSE", 0.01)
    notifier = Notifier()
    notifier.hand_over([NOTICE])
    assert notifier.finish(10)
    assert len(webhook) == 2
    (first, _), (headers, body) = webhook
    assert first["webhook-id"] == headers["webhook-id"]
    Webhook(key).verify(body, headers)
    message = json.loads(body)
    assert message["type"] == "schedule.failing"
    assert message["data"]["schedule"]["name"] == "nightly"


def test_a_mail_goes_to_the_addresses_of_the_schedule() -> None:
    notifier = Notifier()
    notifier.hand_over([NOTICE])
    assert notifier.finish(10)
    (message,) = mail.outbox
    assert message.to == ["ops@example.com"]
    assert message.subject.endswith("nightly is failing")


def test_a_mail_server_that_hangs_does_not_hold_up_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("schedules.keeper.notify.send_mail", lambda _: release.wait(10))
    notifier = Notifier()
    began = time.monotonic()
    notifier.hand_over([NOTICE] * 2000)
    assert time.monotonic() - began < 2
    notifier.stop()
    release.set()
    assert notifier.finish(10)


def test_addresses_are_read_from_commas_and_lines() -> None:
    assert addresses_in(" a@example.com,\nb@example.com\n") == ("a@example.com", "b@example.com")


def test_runs_of_code_raise_no_alarm(redis: redis_py.Redis, keeper: Keeper, heard: Heard) -> None:
    emit(redis, {"e": "ended", "j": "some-job", "st": "failed", "n": 1})
    keeper.run_once()
    assert heard.kinds == []
    assert Run.objects.get().status == "failed"
