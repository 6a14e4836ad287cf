"""The history: every change with its old and its new value, to those who may see it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from schedules.admin.masking import MASK
from schedules.models import Run, Schedule
from tests.django.test_admin_basic import filled
from tests.support.samples import FUNC

LIST = reverse("admin:schedules_schedule_changelist")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="news", func=FUNC, args=[30], interval=60, timezone="UTC")


def page(verb: str, schedule: Schedule) -> str:
    return reverse(f"admin:schedules_schedule_{verb}", args=[schedule.pk])


def told(client: Client, schedule: Schedule) -> str:
    """Return what a reader sees of the history, on one line."""
    html = client.get(page("history", schedule)).content.decode().partition('id="content-main"')[2]
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


class TestValues:
    def test_each_field_that_changed_has_its_old_and_its_new_value(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        data = filled(
            name="news",
            interval="120",
            args="[45]",
            kwargs='{"full": true}',
            overlap_policy="buffer_one",
            starts_at="2030-01-31T09:00",
            timezone="UTC",
            pause_on_failure="on",
            tags="shop",
        )
        assert admin_client.post(page("change", schedule), data).status_code == 302
        shown = told(admin_client, schedule)
        for text in (
            "interval 60 → 120",
            "positional arguments [30] → [45]",
            "named arguments {} → {&quot;full&quot;: true}",
            "overlap skip it → keep one waiting",
            "starts 2030-01-31 09:00:00 UTC",
            "pause at that alarm no → yes",
            "tags [] → [&quot;shop&quot;]",
            "admin Changed.",
        ):
            assert text in shown, (text, shown)
        assert "time zone" not in shown  # it is as it was

    def test_arguments_are_masked_without_the_right_to_see_them(
        self, client: Client, admin_client: Client, schedule: Schedule
    ) -> None:
        admin_client.post(page("change", schedule), filled(name="news", args='["hunter2"]'))
        user = User.objects.create_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_schedule"))
        client.force_login(user)
        shown = told(client, schedule)
        assert f"positional arguments {MASK} → {MASK}" in shown
        assert "hunter2" not in client.get(page("history", schedule)).content.decode()
        assert "interval 60 → 90" in shown
        user.user_permissions.add(Permission.objects.get(codename="view_payload"))
        assert "hunter2" in told(client, schedule)

    def test_what_is_named_like_a_secret_is_masked_for_all(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.update(kwargs={"api_token": "hunter2", "full": True})
        admin_client.post(page("change", schedule), filled(name="news", args="[30]", kwargs='{"full": true}'))
        shown = told(admin_client, schedule)
        assert "hunter2" not in shown
        assert "api_token" in shown

    def test_a_new_one_a_copy_and_a_pause_tell_their_values(self, admin_client: Client) -> None:
        admin_client.post(reverse("admin:schedules_schedule_add"), filled())
        schedule = Schedule.objects.get()
        shown = told(admin_client, schedule)
        assert "Added." in shown
        assert "interval 90" in shown
        assert "positional arguments [30]" in shown
        data = {"action": "copy", "_selected_action": [str(schedule.pk)], "confirmed": "1", "token": "t"}
        admin_client.post(LIST, data)
        assert "Copied from “orders”." in told(admin_client, Schedule.objects.get(enabled=False))
        admin_client.post(page("pause", schedule), {"reason": "tax rates", "until": "2099-01-31T09:00"})
        shown = told(admin_client, schedule)
        assert "pause reason tax rates" in shown
        assert "paused until 2099-01-31 08:00:00 UTC" in shown  # it was entered on the clock of Paris
        admin_client.post(page("resume", schedule), {})
        newest = told(admin_client, schedule).partition("Changed.")[2].partition("Changed.")[0]
        assert "tax rates" in newest

    def test_the_newest_comes_first_and_a_page_asks_as_many_queries_for_many_entries_as_for_one(
        self,
        admin_client: Client,
        schedule: Schedule,
        django_assert_max_num_queries: DjangoAssertNumQueries,
    ) -> None:
        for n in range(60):
            user = User.objects.create_user(f"u{n}")
            LogEntry.objects.log_actions(user.pk, [schedule], 2, f"Thing {n}.")
        with django_assert_max_num_queries(8):
            html = admin_client.get(page("history", schedule)).content.decode()
        assert html.index("Thing 59.") < html.index("Thing 58.") < html.index("Thing 10.")
        assert "Thing 9." not in html
        assert "Thing 9." in admin_client.get(page("history", schedule), {"p": "2"}).content.decode()

    def test_entries_of_other_hands_and_broken_ones_have_their_line(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        me = User.objects.get(username="admin").pk
        for message in (
            "by hand <b>",
            "[1, 2]",
            '[{"values": {"gone_field": [1, 2]}}]',
            '[{"values": [1], "payload": {"args": 7}}]',
            '{"a": 1}',
            "",
        ):
            LogEntry.objects.log_actions(me, [schedule], 2, message)
        shown = told(admin_client, schedule)
        assert "by hand &lt;b&gt;" in shown
        assert "gone_field 1 → 2" in shown


class TestDeleted:
    def test_its_last_values_are_kept_and_linked(self, admin_client: Client, schedule: Schedule) -> None:
        answer = admin_client.post(page("delete", schedule), {"post": "yes"}, follow=True)
        assert not Schedule.objects.exists()
        assert page("history", schedule) in answer.content.decode()
        shown = told(admin_client, schedule)
        assert "Deleted." in shown
        assert "interval 60" in shown
        assert "positional arguments [30]" in shown
        assert LogEntry.objects.get().get_change_message() == "Deleted schedule “news”."

    def test_of_what_never_was_there_is_no_page(self, admin_client: Client) -> None:
        place = reverse("admin:schedules_schedule_history", args=["00000000-0000-0000-0000-000000000000"])
        assert admin_client.get(place).status_code == 404

    def test_many_are_deleted_after_a_question_and_their_runs_stay(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        run = Run.objects.create(schedule=schedule, schedule_name="news", scheduled_for=timezone.now())
        data: dict[str, Any] = {"action": "remove", "_selected_action": [str(schedule.pk)]}
        assert "Delete 1 schedule?" in admin_client.post(LIST, data).content.decode()
        assert Schedule.objects.exists()
        html = admin_client.post(LIST, {**data, "confirmed": "1"}, follow=True).content.decode()
        assert "1 schedule is deleted." in html
        assert not Schedule.objects.exists()
        run.refresh_from_db()
        assert (run.schedule_id, run.schedule_name) == (None, "news")
        assert "delete_selected" not in admin_client.get(LIST).content.decode()


def test_a_runs_history_says_who_did_what(admin_client: Client, schedule: Schedule) -> None:
    run = Run.objects.create(
        schedule=schedule, schedule_name="news", scheduled_for=datetime(2026, 3, 1, tzinfo=UTC)
    )
    LogEntry.objects.log_actions(User.objects.get(username="admin").pk, [run], 2, "Stopped it.")
    html = admin_client.get(reverse("admin:schedules_run_history", args=[run.pk])).content.decode()
    assert "Stopped it." in html
