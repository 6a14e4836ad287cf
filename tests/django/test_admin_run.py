"""The page of one run: what went wrong first, what may be seen by whom, and what can be done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from rq.job import Job

from schedules.admin.masking import MASK, masked
from schedules.admin.run_page import steps_of
from schedules.admin.traceback_view import parts_of, place_of
from schedules.models import Run, Schedule
from schedules.sync import Synchronizer
from tests.support.redis_server import RedisServer

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
FUNC = "tests.shop.jobs.sync_orders"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/rq/worker.py", line 10, in perform_job
    rv = job.perform()
         ^^^^^^^^^^^^^
  File "/srv/venv/lib/python3.11/site-packages/rq/job.py", line 20, in perform
    self._result = self._execute()
  File "/srv/shop/jobs.py", line 41, in sync_orders
    raise ValueError("orders table is locked")
ValueError: orders table is locked
"""

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(
        name="Sync orders", func=FUNC, args=[30], interval=1200, timezone="Europe/Berlin"
    )


def a_run(schedule: Schedule | None, **fields: Any) -> Run:
    values: dict[str, Any] = {
        "schedule": schedule,
        "schedule_name": "Sync orders",
        "func": FUNC,
        "scheduled_for": NOW,
        "enqueued_at": NOW + timedelta(seconds=0.1),
        "started_at": NOW + timedelta(seconds=200),
        "finished_at": NOW + timedelta(seconds=203.1),
        "status": "failed",
        "exception": "ValueError: orders table is locked",
        "traceback": TRACEBACK,
        "payload": '{"args": [30], "kwargs": {"api_key": "hush", "note": "fine"}}',
        "result": "",
        "output": "the output",
        "queue": "default",
        "worker": "w-2",
        "job_id": f"job-{Run.objects.count()}",
    }
    return Run.objects.create(**values | fields)


def page(run: Run, name: str = "change") -> str:
    return reverse(f"admin:schedules_run_{name}", args=[run.pk])


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def text(html: str) -> str:
    """Return what a reader sees, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


class TestPage:
    def test_the_exception_is_the_heading_and_the_traceback_is_open(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        html = admin_client.get(page(a_run(schedule))).content.decode()
        assert re.search(r"<h1[^>]*><bdi>ValueError: orders table is locked</bdi></h1>", html)
        assert "/srv/shop/jobs.py line 41 in sync_orders" in text(html)
        assert "2 frames of libraries" in html
        folded = re.findall(r"<details>.*?</details>", html, re.DOTALL)
        assert ["shop/jobs.py" in piece for piece in folded if "rq/worker.py" in piece] == [False]

    def test_the_delays_are_named_and_the_times_are_in_the_zone_of_the_schedule(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        shown = text(admin_client.get(page(a_run(schedule))).content.decode())
        for words in (
            "planned Mon 23 Nov 09:00:00 CET 08:00:00 UTC",
            "100 ms until it was queued",
            "3 min 20 s for a worker",
            "3.1 s at work",
        ):
            assert words in shown

    def test_the_failures_in_a_row_and_the_neighbours(self, admin_client: Client, schedule: Schedule) -> None:
        before = [
            a_run(schedule, scheduled_for=NOW - timedelta(minutes=20 * n), status=status)
            for n, status in enumerate(("failed", "skipped", "failed", "succeeded", "failed"))
        ]
        after = a_run(schedule, scheduled_for=NOW + timedelta(minutes=20), status="running")
        html = admin_client.get(page(before[0])).content.decode()
        assert "2 failures in a row, the first Mon 23 Nov 08:20:00 CET" in text(html)
        assert f'rel="prev" href="{page(before[1])}"' in html
        assert f'rel="next" href="{page(after)}"' in html

    def test_secrets_in_arguments_are_masked(self, admin_client: Client, schedule: Schedule) -> None:
        html = admin_client.get(page(a_run(schedule))).content.decode()
        assert "hush" not in html
        assert MASK in html
        assert "fine" in html

    def test_without_the_right_to_payloads_none_is_shown(self, client: Client, schedule: Schedule) -> None:
        run = a_run(schedule, result="the result")
        html = staff(client, "view_run").get(page(run)).content.decode()
        for hidden in ("hush", "fine", "the output", "the result", "shop/jobs.py", "rq/worker.py"):
            assert hidden not in html
        assert "ValueError: orders table is locked" in html

    def test_a_run_whose_schedule_is_gone_still_opens(self, admin_client: Client, schedule: Schedule) -> None:
        run = a_run(schedule)
        schedule.delete()
        shown = text(admin_client.get(page(run)).content.decode())
        assert "Sync orders (schedule deleted)" in shown
        assert "Run again" not in shown

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": "queued", "started_at": None, "finished_at": None, "exception": "", "traceback": ""},
            {"status": "running", "finished_at": None, "exception": "", "traceback": ""},
            {"status": "missed", "enqueued_at": None, "started_at": None, "finished_at": None, "exception": "",
             "reason": "No scheduler ran.", "slots": 12, "scheduled_until": NOW + timedelta(hours=4)},
            {"status": "abandoned", "exception": "", "reason": "Its process was killed by signal 9."},
            {"status": "succeeded", "exception": "", "traceback": "", "result": "3", "payload": ""},
            {"status": "failed", "traceback": "no traceback at all", "payload": "{", "attempt": 3},
        ],
    )  # fmt: skip
    def test_every_kind_of_run_opens(
        self, admin_client: Client, schedule: Schedule, fields: dict[str, Any]
    ) -> None:
        response = admin_client.get(page(a_run(schedule, **fields)))
        assert response.status_code == 200
        assert fields.get("reason", "") in response.content.decode()

    def test_it_costs_as_many_queries_with_a_long_history_as_with_none(
        self, admin_client: Client, schedule: Schedule, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        run = a_run(schedule, scheduled_for=NOW + timedelta(days=9))
        for n in range(60):
            a_run(schedule, scheduled_for=NOW + timedelta(minutes=n), status="missed")
        with django_assert_max_num_queries(8):
            admin_client.get(page(run))

    def test_a_run_that_is_not_there_is_404(self, admin_client: Client) -> None:
        for name in ("change", "again", "stop"):
            assert admin_client.get(reverse(f"admin:schedules_run_{name}", args=[99])).status_code == 404


HOSTILE = "<script>alert(1)</script>\x00\u202egnp.exe\u2066 👩‍👩‍👧 \x1b[31mred\x1b[0m </textarea></pre>"


class TestHostileTexts:
    def test_html_control_characters_and_direction_marks_are_shown_harmlessly(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        run = a_run(
            schedule,
            **dict.fromkeys(("schedule_name", "func", "queue", "worker"), HOSTILE[:90].replace("\x00", "")),
            **dict.fromkeys(
                ("exception", "traceback", "result", "output", "reason"), HOSTILE.replace("\x00", "")
            ),
            payload=json.dumps({"args": [HOSTILE], "kwargs": {HOSTILE: HOSTILE}}),
        )
        html = admin_client.get(page(run)).content.decode()
        assert "alert(1)" in html
        assert "<script>alert" not in html
        assert "</textarea>" not in html
        assert not set(html) & {"\x00", "\u202e", "\u2066", "\x1b"}
        assert "⟨202E⟩" in html
        assert "👩‍👩‍👧" in html

    def test_a_hundred_kilobytes_are_cut_and_answered_quickly(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        long = "x" * 100_000
        run = a_run(schedule, exception=long, traceback=long, output=f"{long}END", result=long, payload=long)
        response = admin_client.get(page(run))
        assert response.status_code == 200
        assert "END" in response.content.decode()
        assert len(response.content) < 500_000


class TestTraceback:
    def test_the_pieces_are_all_of_the_text(self) -> None:
        parts = parts_of(TRACEBACK)
        assert "\n".join(part.lines for part in parts) == TRACEBACK.rstrip("\n")
        assert [(part.kind, part.frames) for part in parts] == [
            ("text", 0), ("library", 2), ("own", 1), ("text", 0),
        ]  # fmt: skip

    def test_of_a_chain_the_last_exception_counts(self) -> None:
        chain = (
            TRACEBACK
            + "\nDuring handling of the above exception, another exception occurred:\n\n"
            + (
                "Traceback (most recent call last):\n"
                '  File "/srv/shop/mail.py", line 7, in send\n    tell()\nOSError: x\n'
            )
        )
        place = place_of(chain)
        assert place is not None
        assert (place.file, place.line, place.name) == ("/srv/shop/mail.py", 7, "send")
        assert "\n".join(part.lines for part in parts_of(chain)) == chain.rstrip("\n")

    @pytest.mark.parametrize(
        "junk", ["", "no traceback", '  File "x", line 99999999999999999999, in f', "\n" * 9999]
    )
    def test_what_is_none_is_shown_as_it_is(self, junk: str) -> None:
        parts_of(junk)
        place_of(junk)


class TestMasking:
    @pytest.mark.parametrize(
        "key",
        ["password", "PASSWD", "db_password", "apiKey", "api-key", "access_token", "client_secret", "auth"],
    )
    def test_secrets_are_known_by_their_names(self, key: str) -> None:
        assert masked({"a": [{key: "v", "empty": ""}]}) == {"a": [{key: MASK, "empty": ""}]}

    def test_other_things_are_left_as_they_are(self) -> None:
        plain = {"author": "x", "keyboard": 1, "passenger": 2, "tokens": None, "url": "https://host/a?b=c"}
        assert masked(plain) == plain


def test_steps_that_lie_in_the_wrong_order_are_drawn_all_the_same(schedule: Schedule) -> None:
    """Clocks of two hosts may differ."""
    steps = steps_of(a_run(schedule, started_at=NOW - timedelta(seconds=5)))
    assert all(step.width >= 0 for step in steps)
    assert sum(step.width for step in steps) == pytest.approx(1000, abs=1)


class TestRunAgain:
    def token(self, client: Client, run: Run) -> str:
        found = re.search(r'name="token" value="([^"]+)"', client.get(page(run, "again")).content.decode())
        assert found is not None
        return found[1]

    @pytest.fixture
    def run(self, schedule: Schedule, redis: redis_py.Redis) -> Run:
        Synchronizer().reconcile()
        return a_run(schedule)

    def queued(self, redis: redis_py.Redis) -> int:
        return int(redis.llen("rq:queue:default"))

    def test_it_says_what_will_happen_and_changes_nothing(
        self, admin_client: Client, run: Run, redis: redis_py.Redis
    ) -> None:
        shown = text(admin_client.get(page(run, "again")).content.decode())
        assert "Run “Sync orders” again?" in shown
        assert "No worker listens on this queue: the run will wait." in shown
        assert self.queued(redis) == 0

    def test_a_double_click_runs_it_once_and_the_message_links_to_the_run(
        self, admin_client: Client, run: Run, redis: redis_py.Redis
    ) -> None:
        token = self.token(admin_client, run)
        first = admin_client.post(page(run, "again"), {"token": token}, follow=True).content.decode()
        second = admin_client.post(page(run, "again"), {"token": token}, follow=True).content.decode()
        assert self.queued(redis) == 1
        assert "“Sync orders” is queued." in first
        assert "it runs once" in second
        link = re.search(r'href="(/admin/schedules/run/job/[^"]+)"', first)
        assert link is not None
        assert "not in the ledger yet" in admin_client.get(link[1]).content.decode()
        job_id = link[1].rstrip("/").rpartition("/")[2]
        new = a_run(None, job_id=job_id, status="queued")
        assert admin_client.get(link[1]).headers["Location"] == page(new)
        assert LogEntry.objects.get().get_change_message() == f"Ran it again as {job_id}."

    def test_it_needs_its_own_permission(self, client: Client, run: Run, redis: redis_py.Redis) -> None:
        staff(client, "view_run", "view_payload")
        assert b"Run again" not in client.get(page(run)).content
        assert client.get(page(run, "again")).status_code == 403
        assert client.post(page(run, "again"), {"token": "t"}).status_code == 403
        User.objects.get().user_permissions.add(Permission.objects.get(codename="run_schedule"))
        assert b"Run again" in client.get(page(run)).content
        assert client.post(page(run, "again"), {"token": "t"}).status_code == 302
        assert self.queued(redis) == 1

    def test_the_new_run_has_the_arguments_of_the_old_one_unless_they_were_not_kept(
        self, admin_client: Client, run: Run, redis: redis_py.Redis
    ) -> None:
        Schedule.objects.update(args=[99])
        admin_client.post(page(run, "again"), {"token": "one"})
        Run.objects.update(payload="")
        admin_client.post(page(run, "again"), {"token": "two"})
        ids = [job_id.decode() for job_id in redis.lrange("rq:queue:default", 0, -1)]
        assert [Job.fetch(job_id, connection=redis).args[0] for job_id in ids] == [30, 99]


class TestStop:
    def test_a_running_job_is_stopped_by_telling_its_worker(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        run = a_run(schedule, status="running", finished_at=None, job_id="busy")
        job = Job.create("tests.support.jobs.add", args=(1,), id="busy", connection=redis)
        job.worker_name = "w-2"
        job.save()
        listener = redis.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("rq:pubsub:w-2")
        listener.get_message(timeout=1)
        assert b"stays done" in admin_client.get(page(run, "stop")).content
        response = admin_client.post(page(run, "stop"), follow=True)
        assert "The worker has been told to stop it." in response.content.decode()
        told = listener.get_message(timeout=1)
        listener.close()
        assert told is not None
        assert json.loads(told["data"])["job_id"] == "busy"
        assert LogEntry.objects.get().get_change_message() == "Stopped it."

    def test_what_does_not_run_is_told(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        response = admin_client.post(page(a_run(schedule), "stop"), follow=True)
        assert "is not running" in response.content.decode()
        assert not LogEntry.objects.exists()

    def test_it_needs_its_own_permission(
        self, client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        run = a_run(schedule, status="running", finished_at=None)
        staff(client, "view_run", "run_schedule")
        assert b"/stop/" not in client.get(page(run)).content
        assert client.post(page(run, "stop")).status_code == 403


class TestRedisAway:
    @pytest.fixture(autouse=True)
    def _away(self, redis: redis_py.Redis, redis_server: RedisServer) -> Iterator[None]:
        redis_server.stop()
        yield
        redis_server.start()

    def test_the_page_opens_within_a_second_and_says_so(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        run = a_run(schedule)
        began = datetime.now(UTC)
        html = admin_client.get(page(run)).content.decode()
        answer = admin_client.post(page(run, "again"), {"token": "t"}, follow=True).content.decode()
        assert datetime.now(UTC) - began < timedelta(seconds=2)
        assert "S101" in html
        assert "Redis is not reachable" in answer
