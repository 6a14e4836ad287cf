"""The form of a schedule: what is read, what is refused, what is said when two people edit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from schedules.models import Schedule
from tests.django.test_admin_basic import errors_in, filled
from tests.django.test_codes import a_worker
from tests.support.samples import FUNC

ADD = reverse("admin:schedules_schedule_add")
TEST = reverse("admin:schedules_schedule_test")
URL = "http://127.0.0.1:8000/v1/jobs/breaking-news"

pytestmark = pytest.mark.django_db


def page_of(schedule: Schedule) -> str:
    return reverse("admin:schedules_schedule_change", args=[schedule.pk])


def request_of(**fields: Any) -> dict[str, Any]:
    usual = {"what": "request", "request_url": URL, "request_method": "POST", "request_body_kind": "json"}
    return filled(func="", args="", kwargs="", request_success="2xx") | usual | fields


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="news", func=FUNC, args=[30], interval=60, timezone="UTC")


def test_beside_each_queue_stands_how_many_workers_listen(
    admin_client: Client, redis: redis_py.Redis
) -> None:
    a_worker(redis)
    redis.hset("rq:worker:w", "queues", "default,high")
    html = admin_client.get(ADD).content.decode()
    assert re.findall(r'<option value="[a-z]+"[^>]*>([a-z]+ \(.*?\))</option>', html) == [
        *("default (1 worker listens)", "high (1 worker listens)", "low (0 workers listen)"),
    ]


class TestWhen:
    @pytest.mark.parametrize(
        "text,seconds", [("90", 90), ("15m", 900), ("1h 30m", 5400), ("0", 0), ("-5", -5), ("2d", 172800)]
    )
    def test_an_interval_is_read_as_people_write_it(
        self, admin_client: Client, text: str, seconds: int
    ) -> None:
        admin_client.post(ADD, filled(interval=text))
        assert Schedule.objects.get().interval == seconds

    def test_moments_are_on_the_clock_of_the_zone_that_was_entered(self, admin_client: Client) -> None:
        response = admin_client.post(
            ADD, filled(kind="once", run_at="2030-01-31T09:00", timezone="America/New_York")
        )
        assert response.status_code == 302
        schedule = Schedule.objects.get()
        assert schedule.run_at == datetime(2030, 1, 31, 14, tzinfo=UTC)
        html = admin_client.get(page_of(schedule)).content.decode()
        assert 'value="2030-01-31T09:00:00"' in html

    def test_a_date_and_a_time_apart_are_read_too(self, admin_client: Client) -> None:
        admin_client.post(
            ADD, filled(kind="once", run_at_0="2030-01-31", run_at_1="09:00:00", timezone="UTC")
        )
        assert Schedule.objects.get().run_at == datetime(2030, 1, 31, 9, tzinfo=UTC)

    def test_a_time_that_the_clocks_skip_is_refused_at_its_field(self, admin_client: Client) -> None:
        response = admin_client.post(
            ADD, filled(kind="once", run_at="2030-03-31T02:30", timezone="Europe/Berlin")
        )
        assert "does not exist in Europe/Berlin" in errors_in(response)["run_at"][0]

    def test_a_moment_that_is_left_alone_stays_to_the_microsecond(self, admin_client: Client) -> None:
        exact = datetime(2030, 10, 27, 1, 30, 0, 123456, tzinfo=UTC)  # 02:30 for the second time
        schedule = Schedule.objects.create(
            name="n", func=FUNC, args=[1], interval=60, starts_at=exact, timezone="Europe/Berlin"
        )
        response = admin_client.post(
            page_of(schedule), filled(timezone="Europe/Berlin", starts_at="2030-10-27T02:30:00")
        )
        assert response.status_code == 302
        schedule.refresh_from_db()
        assert schedule.starts_at == exact

    def test_tags_are_separated_by_commas(self, admin_client: Client) -> None:
        admin_client.post(ADD, filled(tags="shop,  prod,"))
        schedule = Schedule.objects.get()
        assert schedule.tags == ["shop", "prod"]
        assert 'value="shop, prod"' in admin_client.get(page_of(schedule)).content.decode()


class TestPreviewByButton:
    def test_it_shows_the_slots_and_saves_nothing(self, admin_client: Client) -> None:
        data = filled(kind="cron", cron="30 4 * * mon-fri", timezone="Europe/Berlin", _preview="1")
        html = admin_client.post(ADD, data).content.decode()
        assert html.count("<time datetime=") == 10
        assert "Every weekday at 04:30" in html
        assert 'value="orders"' in html
        assert "Please correct" not in html
        assert not Schedule.objects.exists()

    def test_on_a_change_it_says_how_the_next_run_moves(self, admin_client: Client) -> None:
        schedule = Schedule.objects.create(name="n", func=FUNC, kind="cron", cron="0 4 * * *", timezone="UTC")
        data = filled(kind="cron", cron="0 5 * * *", timezone="UTC", _preview="1")
        html = admin_client.post(page_of(schedule), data).content.decode()
        assert "Next run moves" in html
        schedule.refresh_from_db()
        assert schedule.cron == "0 4 * * *"


class TestStaleTab:
    def test_the_second_is_told_and_nothing_is_overwritten(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        first = filled(name="news", interval="120", version="1")
        second = filled(name="news", interval="300", version="1")
        assert admin_client.post(page_of(schedule), first).status_code == 302
        response = admin_client.post(page_of(schedule), second)
        told = " ".join(errors_in(response)["__all__"])
        assert "admin changed this schedule" in told
        assert "interval: stored is 120, here is 300." in told
        schedule.refresh_from_db()
        assert (schedule.interval, schedule.version) == (120, 2)

        html = response.content.decode()
        assert '<input type="hidden" name="version" value="2"' in html
        assert admin_client.post(page_of(schedule), {**second, "version": "2"}).status_code == 302
        schedule.refresh_from_db()
        assert (schedule.interval, schedule.version) == (300, 3)

    def test_enabling_from_the_list_counts_as_an_edit(self, admin_client: Client, schedule: Schedule) -> None:
        admin_client.post(
            reverse("admin:schedules_schedule_changelist"),
            {"action": "disable", "_selected_action": [str(schedule.pk)], "confirmed": "1"},
        )
        response = admin_client.post(page_of(schedule), filled(name="news", version="1"))
        assert "enabled: stored is no, here is yes." in " ".join(errors_in(response)["__all__"])

    def test_the_keepers_notes_do_not_count(self, admin_client: Client, schedule: Schedule) -> None:
        Schedule.objects.update(next_run_at=timezone.now(), last_status="failed")
        assert admin_client.post(page_of(schedule), filled(name="news", version="1")).status_code == 302


class TestLog:
    def test_a_change_tells_old_and_new_values(self, admin_client: Client, schedule: Schedule) -> None:
        admin_client.post(page_of(schedule), filled(name="news", interval="120", args="[45]"))
        entry = LogEntry.objects.get()
        told = entry.get_change_message()
        assert "interval (60 → 120)" in told
        assert "time zone (UTC → Europe/Paris)" in told
        # Arguments may be secret: what is shown names them, what is kept has them.
        assert "positional arguments" in told
        assert "45" not in told
        assert '"args": [[30], [45]]' in entry.change_message

    def test_a_new_one_is_logged_with_its_values(self, admin_client: Client) -> None:
        admin_client.post(ADD, filled())
        entry = LogEntry.objects.get()
        assert entry.get_change_message() == "Added."
        assert '"interval": [null, 90]' in entry.change_message


class TestCopy:
    def test_a_copy_begins_with_the_values_and_switched_off(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        html = admin_client.get(ADD, {"copy": str(schedule.pk)}).content.decode()
        assert 'value="news (copy)"' in html
        assert "[30]</textarea>" in html
        assert 'name="enabled" id="id_enabled">' in html

    def test_arguments_are_copied_only_for_those_who_may_see_them(
        self, client: Client, schedule: Schedule
    ) -> None:
        user = User.objects.create_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["add_schedule", "view_schedule"]))
        client.force_login(user)
        html = client.get(ADD, {"copy": str(schedule.pk)}).content.decode()
        assert "news (copy)" in html
        assert "[30]" not in html

    @pytest.mark.parametrize("key", ["nonsense", "00000000-0000-0000-0000-000000000000", ""])
    def test_a_copy_of_nothing_is_an_empty_form(self, admin_client: Client, key: str) -> None:
        assert admin_client.get(ADD, {"copy": key}).status_code == 200


class TestHttpRequest:
    def test_its_fields_become_the_arguments_of_job_request(self, admin_client: Client) -> None:
        response = admin_client.post(
            ADD,
            request_of(
                request_method="PUT",
                request_headers="X-Team: news\nAuthorization: Bearer secret:API_TOKEN",
                request_body='{"edition": "evening"}',
                request_success="200,204",
                request_timeout="12.5",
            ),
        )
        assert response.status_code == 302, errors_in(response)
        schedule = Schedule.objects.get()
        assert (schedule.func, schedule.args) == ("schedules.job.job_request", [URL])
        assert schedule.kwargs == {
            "method": "PUT",
            "headers": {"X-Team": "news", "Authorization": "Bearer secret:API_TOKEN"},
            "json": {"edition": "evening"},
            "timeout": 12.5,
            "success": "200,204",
        }

    def test_what_is_usual_is_left_out_and_the_form_shows_it_again(self, admin_client: Client) -> None:
        admin_client.post(ADD, request_of())
        schedule = Schedule.objects.get()
        assert schedule.kwargs == {}
        html = admin_client.get(page_of(schedule)).content.decode()
        assert f'value="{URL}"' in html
        assert 'name="what" value="request" id="id_what_1" checked' in html

    def test_saving_it_unchanged_changes_nothing(self, admin_client: Client) -> None:
        admin_client.post(ADD, request_of(request_body="plain", request_body_kind="text"))
        schedule = Schedule.objects.get()
        Schedule.objects.update(kwargs={**schedule.kwargs, "max_response": 1000})
        admin_client.post(page_of(schedule), request_of(request_body="plain", request_body_kind="text"))
        schedule.refresh_from_db()
        assert schedule.kwargs == {"body": "plain", "max_response": 1000}

    def test_every_problem_is_told_at_once_at_its_field(self, admin_client: Client) -> None:
        response = admin_client.post(
            ADD,
            request_of(
                request_url="http://169.254.169.254/latest",
                request_headers="no colon\nHost: elsewhere",
                request_body="{",
                request_success="ok",
                request_timeout="999999",
                interval="",
            ),
        )
        assert set(errors_in(response)) == {
            "request_url",
            "request_headers",
            "request_body",
            "request_success",
            "request_timeout",
            "interval",
        }

    def test_a_written_out_credential_is_refused_without_showing_it(self, admin_client: Client) -> None:
        response = admin_client.post(ADD, request_of(request_headers="Authorization: Bearer hunter2"))
        assert "hunter2" not in " ".join(errors_in(response)["request_headers"])

    def test_those_who_may_not_change_the_target_see_it_as_it_is(self, client: Client) -> None:
        schedule = Schedule.objects.create(
            name="n", func="schedules.job.job_request", args=[URL], interval=60, timezone="UTC"
        )
        user = User.objects.create_user("ann", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(codename__in=["change_schedule", "view_payload", "run_schedule"])
        )
        client.force_login(user)
        html = client.get(page_of(schedule)).content.decode()
        assert "request_url" not in html
        assert URL in html
        client.post(page_of(schedule), request_of(name="n", request_url=URL + "-2"))
        schedule.refresh_from_db()
        assert schedule.args == [URL]


class TestTestRequest:
    def test_what_was_answered_is_shown_and_nothing_is_saved(
        self, admin_client: Client, live_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.SCHEDULES_HTTP_ALLOWED = [f"{live_server.url}/"]
        monkeypatch.setenv("SCHEDULES_SECRET_API_TOKEN", "hunter2")
        data = request_of(request_headers="X-Api-Key: secret:API_TOKEN")
        data["request_url"] = f"{live_server.url}/v1/jobs/nothing-here?key=hunter2"
        html = admin_client.post(TEST, data).content.decode()
        assert '<span class="sch-pill" data-state="failed">404 Not Found</span>' in html
        assert "content-type" in html.lower()
        assert "hunter2" not in html
        assert not Schedule.objects.exists()

    def test_what_may_not_be_called_is_refused(self, admin_client: Client) -> None:
        html = admin_client.post(
            TEST, request_of() | {"request_url": "http://169.254.169.254/"}
        ).content.decode()
        assert 'data-level="error"' in html

    def test_it_takes_the_right_to_run_and_the_right_to_say_what(self, client: Client) -> None:
        user = User.objects.create_user("ann", is_staff=True)
        client.force_login(user)
        for rights, status in (
            ([], 403),
            (["add_schedule", "change_target"], 403),
            (["run_schedule"], 403),
            (["run_schedule", "change_target"], 200),
        ):
            user.user_permissions.set(Permission.objects.filter(codename__in=rights))
            client.force_login(User.objects.get())
            data = request_of() | {"request_url": "ftp://nowhere/"}
            assert client.post(TEST, data).status_code == status, rights
            assert client.get(TEST).status_code == 403


def test_a_function_that_has_gone_keeps_an_operator_from_nothing_while_it_rests(
    admin_client: Client, schedule: Schedule
) -> None:
    Schedule.objects.update(func="tests.shop.jobs.gone", paused_at=timezone.now() - timedelta(days=1))
    data = filled(name="renamed", func="tests.shop.jobs.gone", args="[30]", kwargs="{}")
    assert admin_client.post(page_of(schedule), data).status_code == 302
    schedule.refresh_from_db()
    assert schedule.name == "renamed"
