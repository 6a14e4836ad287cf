"""Run now, pause, resume, copy: asked first, done once, logged, each by its own right."""

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
from rq.job import Job

from schedules.models import Schedule
from schedules.services import SchedulerService
from tests.support.samples import FUNC

LIST = reverse("admin:schedules_schedule_changelist")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def schedule() -> Schedule:
    schedule = Schedule.objects.create(
        name="orders", func=FUNC, args=[30], interval=3600, timezone="Europe/Berlin"
    )
    SchedulerService.register([schedule.to_spec()])
    return schedule


def page(verb: str, schedule: Schedule) -> str:
    return reverse(f"admin:schedules_schedule_{verb}", args=[schedule.pk])


def staff(client: Client, *permissions: str) -> Client:
    user, _ = User.objects.get_or_create(username="ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(User.objects.get(username="ann"))
    return client


def token_in(response: Any) -> str:
    found = re.search(r'name="token" value="([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def jobs(redis: redis_py.Redis) -> list[Job]:
    ids = [key.decode() for key in redis.lrange("rq:queue:default", 0, -1)]
    return [Job.fetch(job_id, connection=redis) for job_id in ids]


class TestRunNow:
    def test_a_double_click_and_a_reload_start_one_run(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        before = SchedulerService.next_run(schedule.pk)
        token = token_in(admin_client.get(page("run", schedule)))
        first = admin_client.post(page("run", schedule), {"token": token}, follow=True)
        again = admin_client.post(page("run", schedule), {"token": token}, follow=True)
        (job,) = jobs(redis)
        assert tuple(job.args) == (30,)
        assert SchedulerService.next_run(schedule.pk) == before
        assert reverse("admin:schedules_run_of_job", args=[job.id]) in first.content.decode()
        assert "it runs once" in again.content.decode()
        assert LogEntry.objects.get().get_change_message() == f"Added run “{job.id}”."

    def test_other_arguments_are_for_this_run_alone(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        token = token_in(admin_client.get(page("run", schedule)))
        data = {"token": token, "args": "[99]", "kwargs": '{"full": true}'}
        admin_client.post(page("run", schedule), data)
        (job,) = jobs(redis)
        assert (tuple(job.args), job.kwargs) == ((99,), {"full": True})
        schedule.refresh_from_db()
        assert schedule.args == [30]
        history = admin_client.get(page("history", schedule)).content.decode()
        assert "with other arguments" in history
        assert reverse("admin:schedules_run_of_job", args=[job.id]) in history
        assert "[30]" in history
        assert "[99]" in history

    @pytest.mark.parametrize("args", ["[", "{}", "[1, 2, 3]"])
    def test_arguments_that_do_not_fit_start_nothing(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis, args: str
    ) -> None:
        token = token_in(admin_client.get(page("run", schedule)))
        response = admin_client.post(page("run", schedule), {"token": token, "args": args, "kwargs": "{}"})
        assert response.status_code == 200
        assert jobs(redis) == []

    def test_other_arguments_take_the_right_to_change_the_target(
        self, client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        staff(client, "view_schedule", "run_schedule")
        response = client.get(page("run", schedule))
        assert b'name="args"' not in response.content
        data = {"token": token_in(response), "args": "[99]", "kwargs": "{}"}
        client.post(page("run", schedule), data)
        (job,) = jobs(redis)
        assert tuple(job.args) == (30,)

    def test_one_that_is_not_scheduled_at_present_can_be_run(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        Schedule.objects.update(interval=0, enabled=False)
        token = token_in(admin_client.get(page("run", schedule)))
        admin_client.post(page("run", schedule), {"token": token})
        assert len(jobs(redis)) == 1

    def test_a_function_that_has_gone_is_said_and_not_queued(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        Schedule.objects.update(func="tests.shop.jobs.gone")
        token = token_in(admin_client.get(page("run", schedule)))
        html = admin_client.post(page("run", schedule), {"token": token}).content.decode()
        assert "does not exist" in html
        assert jobs(redis) == []


class TestPause:
    def test_it_keeps_reason_and_end_and_is_logged_with_both(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        day = (timezone.now() + timedelta(days=30)).replace(month=1, day=15, hour=12, minute=0, second=0)
        day = day.replace(year=day.year + 1, tzinfo=None, microsecond=0)
        data = {"token": "t", "reason": "tax rates", "until": day.isoformat()}
        html = admin_client.post(page("pause", schedule), data, follow=True).content.decode()
        schedule.refresh_from_db()
        assert schedule.pause_reason == "tax rates"
        # Berlin is an hour ahead of UTC in January.
        assert schedule.paused_until == day.replace(tzinfo=UTC) - timedelta(hours=1)
        assert "1 schedule is paused." in html
        assert "state=paused" in html
        assert "tax rates" in LogEntry.objects.get().get_change_message()

    def test_an_end_in_the_past_is_refused(self, admin_client: Client, schedule: Schedule) -> None:
        data = {"reason": "", "until": "2020-01-01T00:00"}
        assert b"in the past" in admin_client.post(page("pause", schedule), data).content
        schedule.refresh_from_db()
        assert schedule.paused_at is None

    def test_resuming_says_when_it_runs_next(self, admin_client: Client, schedule: Schedule) -> None:
        schedule.pause(at=datetime.now(UTC), reason="tax rates")
        schedule.save()
        html = admin_client.post(page("resume", schedule), {}, follow=True).content.decode()
        schedule.refresh_from_db()
        assert schedule.paused_at is None
        assert schedule.resumed_at is not None
        assert "Its next planned run is" in html
        assert "pause reason (tax rates → empty)" in LogEntry.objects.get().get_change_message()


class TestMany:
    def both(self) -> list[str]:
        Schedule.objects.create(name="stock", func="tests.shop.jobs.sync_stock", interval=600)
        return [str(key) for key in Schedule.objects.order_by("name").values_list("pk", flat=True)]

    def test_run_now_asks_and_then_starts_one_of_each_once(
        self, admin_client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        data = {"action": "run_now", "_selected_action": self.both()}
        asked = admin_client.post(LIST, data)
        assert "Run 2 schedules now?" in asked.content.decode()
        assert jobs(redis) == []
        confirmed = {**data, "confirmed": "1", "token": token_in(asked)}
        html = admin_client.post(LIST, confirmed, follow=True).content.decode()
        admin_client.post(LIST, confirmed)
        assert "2 runs are queued." in html
        assert len(jobs(redis)) == 2

    def test_pausing_many_takes_a_reason(self, admin_client: Client, schedule: Schedule) -> None:
        data = {"action": "pause", "_selected_action": self.both(), "confirmed": "1"}
        assert b"This field is required" in admin_client.post(LIST, data).content
        assert not Schedule.objects.exclude(paused_at=None).exists()
        html = admin_client.post(LIST, {**data, "reason": "maintenance"}, follow=True).content.decode()
        assert "2 schedules are paused." in html
        assert Schedule.objects.filter(pause_reason="maintenance").count() == 2
        admin_client.post(
            LIST, {"action": "resume", "_selected_action": data["_selected_action"], "confirmed": "1"}
        )
        assert not Schedule.objects.exclude(paused_at=None).exists()

    def test_copies_are_switched_off_and_have_names_of_their_own(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        data = {"action": "copy", "_selected_action": [str(schedule.pk)], "confirmed": "1"}
        for token in ("one", "two", "two"):
            admin_client.post(LIST, {**data, "token": token})
        copies = Schedule.objects.filter(enabled=False).order_by("name")
        assert [each.name for each in copies] == ["orders (copy 2)", "orders (copy)"]
        assert all(each.args == [30] for each in copies)


class TestRights:
    @pytest.mark.parametrize(
        "verb,right", [("run", "run_schedule"), ("pause", "pause_schedule"), ("resume", "pause_schedule")]
    )
    def test_each_page_checks_its_own(
        self, client: Client, schedule: Schedule, redis: redis_py.Redis, verb: str, right: str
    ) -> None:
        others = {"run_schedule", "pause_schedule", "change_schedule", "view_schedule"} - {right}
        staff(client, *others)
        assert client.get(page(verb, schedule)).status_code == 403
        assert client.post(page(verb, schedule), {"token": "t"}).status_code == 403
        assert jobs(redis) == []
        assert client.get(reverse("admin:schedules_schedule_change", args=[schedule.pk])).status_code == 200
        staff(client, "view_schedule", right)
        assert client.get(page(verb, schedule)).status_code == 200

    def test_actions_are_offered_and_taken_only_with_the_right(
        self, client: Client, schedule: Schedule, redis: redis_py.Redis
    ) -> None:
        staff(client, "view_schedule")
        data = {"_selected_action": [str(schedule.pk)], "confirmed": "1", "token": "t", "reason": "x"}
        for action in ("run_now", "pause", "resume", "copy"):
            client.post(LIST, {**data, "action": action})
        schedule.refresh_from_db()
        assert (jobs(redis), schedule.paused_at, Schedule.objects.count()) == ([], None, 1)

    def test_buttons_are_absent_without_the_right(self, client: Client, schedule: Schedule) -> None:
        change = reverse("admin:schedules_schedule_change", args=[schedule.pk])
        html = staff(client, "view_schedule").get(change).content.decode()
        assert page("run", schedule) not in html
        assert page("pause", schedule) not in html
        missing = "Can change schedule, Can run a schedule now, Can pause and resume schedules."
        assert f"whoever manages the users for: {missing}" in html
        html = staff(client, "view_schedule", "run_schedule", "pause_schedule").get(change).content.decode()
        assert page("run", schedule) in html
        assert page("pause", schedule) in html
        assert "whoever manages the users for: Can change schedule." in html
        html = staff(client, "view_schedule", "change_schedule").get(change).content.decode()
        assert "whoever manages the users" not in html
