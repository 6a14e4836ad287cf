"""What a pause leaves out is counted before; all can be paused and resumed at once."""

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
from pytest_django import DjangoAssertNumQueries

from schedules.admin.asking import left_out_text
from schedules.admin.plan import LISTED, MOST_OF_ONE, MOST_SCHEDULES, MOST_SLOTS, left_out
from schedules.engine import keys
from schedules.models import Schedule
from schedules.services import SchedulerService
from schedules.sync import Synchronizer
from tests.support.samples import FUNC

LIST = reverse("admin:schedules_schedule_changelist")
BOARD = reverse("admin:app_list", args=["schedules"])
PAUSE_ALL = reverse("admin:schedules_schedule_pause_all")
RESUME_ALL = reverse("admin:schedules_schedule_resume_all")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def a_schedule(name: str = "orders", **fields: Any) -> Schedule:
    return Schedule(
        **{"name": name, "func": FUNC, "args": [30], "interval": 3600, "created_at": NOW} | fields
    )


def counted(*schedules: Schedule, hours: float | None = None) -> tuple[int, bool]:
    until = None if hours is None else NOW + timedelta(hours=hours)
    found = left_out(schedules, now=NOW, until=until)
    return found.count, found.is_more


class TestCounting:
    def test_it_counts_the_slots_of_the_engine_up_to_the_end(self) -> None:
        assert counted(a_schedule(), hours=5) == (5, False)
        weekdays = a_schedule(kind="cron", cron="30 4 * * mon-fri", timezone="Europe/Berlin", interval=None)
        assert counted(weekdays, hours=24 * 7) == (5, False)
        assert counted(a_schedule(), weekdays, hours=24) == (25, False)

    def test_without_an_end_it_counts_a_day(self) -> None:
        assert counted(a_schedule()) == (24, False)

    def test_what_would_not_run_anyway_is_not_left_out(self) -> None:
        paused, later = a_schedule("paused"), a_schedule("later")
        paused.pause(at=NOW)
        later.pause(at=NOW, until=NOW + timedelta(hours=20))
        assert counted(paused, a_schedule(enabled=False), a_schedule(interval=0)) == (0, False)
        assert counted(later) == (4, False)
        assert counted(a_schedule(max_runs=5, runs_dispatched=2)) == (3, False)

    def test_a_frequent_one_is_counted_up_to_a_bound_and_leaves_room_for_the_others(self) -> None:
        often = a_schedule("often", interval=1)
        found = left_out([often, a_schedule()], now=NOW, until=None)
        assert (found.count, found.is_more) == (MOST_OF_ONE + 24, True)
        assert [(row.schedule.name, row.is_more) for row in found.rows] == [
            ("often", True),
            ("orders", False),
        ]
        exactly = a_schedule(interval=1)
        assert counted(exactly, hours=MOST_OF_ONE / 3600) == (MOST_OF_ONE, False)

    def test_all_together_are_counted_up_to_a_bound(self) -> None:
        many = [a_schedule(str(n), interval=1) for n in range(40)]
        found = left_out(many, now=NOW, until=NOW + timedelta(days=365))
        assert (found.count, found.is_more) == (MOST_SLOTS, True)
        rare = [a_schedule(str(n), interval=86_400) for n in range(MOST_SCHEDULES + 1)]
        assert counted(*rare, hours=24) == (MOST_SCHEDULES, True)
        assert len(left_out(rare, now=NOW, until=None).rows) == LISTED

    @pytest.mark.parametrize(
        "interval,hours,text",
        [
            (3600, 5, "5 planned runs are left out until Mon 17:00 UTC."),
            (3600, 1, "1 planned run is left out until Mon 13:00 UTC."),
            (1, 5, "More than 1000 planned runs are left out until Mon 17:00 UTC."),
            (3600, None, "Until somebody resumes, planned runs are left out: 24 within the next day."),
            (
                1,
                None,
                "Until somebody resumes, planned runs are left out: more than 1000 within the next day.",
            ),
            (0, None, "No run is planned within a day."),
            (0, 5, "No run is planned until Mon 17:00 UTC."),
        ],
    )
    def test_it_is_said_in_a_sentence(self, interval: int, hours: float | None, text: str) -> None:
        until = None if hours is None else NOW + timedelta(hours=hours)
        found = left_out([a_schedule(interval=interval)], now=NOW, until=until)
        assert left_out_text(found, zone_name="UTC", now=NOW) == text


def shown(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition('id="content-main"')[2]).split())


class TestPages:
    def test_the_question_says_how_many_and_counts_anew_for_an_end_and_pauses_nothing_by_that(
        self, admin_client: Client
    ) -> None:
        schedule = a_schedule(created_at=timezone.now(), timezone="UTC")
        schedule.save()
        page = reverse("admin:schedules_schedule_pause", args=[schedule.pk])
        assert "24 within the next day" in shown(admin_client.get(page).content.decode())
        until = (timezone.now() + timedelta(hours=72, seconds=30)).replace(tzinfo=None).isoformat()
        data = {"reason": "moving", "until": until, "_count": "1"}
        html = admin_client.post(page, data).content.decode()
        assert "72 planned runs are left out until" in shown(html)
        assert 'value="moving"' in html
        schedule.refresh_from_db()
        assert schedule.paused_at is None

    def test_many_are_counted_together_and_listed(self, admin_client: Client) -> None:
        for n in range(3):
            a_schedule(f"s{n}", created_at=timezone.now()).save()
        chosen = [str(key) for key in Schedule.objects.values_list("pk", flat=True)]
        text = shown(
            admin_client.post(LIST, {"action": "pause", "_selected_action": chosen}).content.decode()
        )
        assert "72 within the next day" in text
        assert re.search(r"s0 : 24, from \w{3} \d\d:\d\d", text), text

    def test_an_end_that_cannot_be_read_is_told_and_a_day_is_counted(self, admin_client: Client) -> None:
        schedule = a_schedule(created_at=timezone.now())
        schedule.save()
        page = reverse("admin:schedules_schedule_pause", args=[schedule.pk])
        html = admin_client.post(page, {"until": "tomorrow", "_count": "1"}).content.decode()
        assert "is not a date with a time" in html
        assert "24 within the next day" in html

    def test_a_double_click_pauses_and_logs_once(self, admin_client: Client) -> None:
        schedule = a_schedule()
        schedule.save()
        page = reverse("admin:schedules_schedule_pause", args=[schedule.pk])
        admin_client.post(page, {"reason": "moving"})
        schedule.refresh_from_db()
        before = schedule.paused_at
        html = admin_client.post(page, {"reason": "moving"}, follow=True).content.decode()
        schedule.refresh_from_db()
        assert schedule.paused_at == before
        assert LogEntry.objects.count() == 1
        assert "paused so already" in html
        admin_client.post(page, {"reason": "for another reason"})
        assert LogEntry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
class TestAll:
    def three(self) -> None:
        for name, fields in {
            "a": {},
            "b": {"kind": "cron", "cron": "0 4 * * *", "interval": None},
            "off": {"enabled": False},
        }.items():
            a_schedule(name, **fields).save()
        Synchronizer().reconcile()

    def test_all_that_are_active_are_paused_with_a_reason_and_taken_out_of_redis_and_resumed(
        self, admin_client: Client, redis: redis_py.Redis
    ) -> None:
        self.three()
        assert redis.hlen(keys.INDEX) == 2
        assert PAUSE_ALL in admin_client.get(BOARD).content.decode()
        html = admin_client.get(PAUSE_ALL).content.decode()
        assert "Pause all schedules that are active (2)?" in html
        assert "This field is required" in admin_client.post(PAUSE_ALL, {"reason": ""}).content.decode()
        assert not Schedule.objects.exclude(paused_at=None).exists()

        html = admin_client.post(PAUSE_ALL, {"reason": "DB maintenance"}, follow=True).content.decode()
        assert "2 schedules are paused." in html
        assert "All schedules are paused since" in html
        assert "S110" in html
        assert RESUME_ALL in html
        assert not Schedule.objects.get(name="off").paused_at
        assert Synchronizer().compare().is_empty
        assert list(SchedulerService.registered()) == []

        html = admin_client.post(RESUME_ALL, {}, follow=True).content.decode()
        assert "2 schedules are resumed." in html
        assert "S110" not in html
        assert Synchronizer().compare().is_empty
        assert len(list(SchedulerService.registered())) == 2
        assert all(row.resumed_at for row in Schedule.objects.filter(enabled=True))
        entries = [entry.get_change_message() for entry in LogEntry.objects.all()]
        assert len(entries) == 4
        assert sum("pause reason (empty → DB maintenance)" in entry for entry in entries) == 2

    def test_each_is_behind_the_right_to_pause(self, client: Client) -> None:
        self.three()
        user = User.objects.create_user("ann", is_staff=True)
        for rights, status in (
            (["view_schedule", "change_schedule", "run_schedule"], 403),
            (["pause_schedule"], 403),
            (["view_schedule", "pause_schedule"], 200),
        ):
            user.user_permissions.set(Permission.objects.filter(codename__in=rights))
            client.force_login(User.objects.get())
            for page in (PAUSE_ALL, RESUME_ALL):
                assert client.get(page).status_code == status, (rights, page)
                if status == 403:
                    assert client.post(page, {"reason": "x"}).status_code == 403
            if "view_schedule" in rights:
                assert (PAUSE_ALL in client.get(BOARD).content.decode()) == (status == 200)
        assert not Schedule.objects.exclude(paused_at=None).exists()

    def test_a_thousand_cost_a_fixed_number_of_queries_for_each_five_hundred(
        self, admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        Schedule.objects.bulk_create(a_schedule(f"s{n}") for n in range(1000))
        with django_assert_max_num_queries(50):
            admin_client.post(PAUSE_ALL, {"reason": "x"})
        assert Schedule.objects.exclude(paused_at=None).count() == 1000
        assert LogEntry.objects.count() == 1000

    def test_the_lists_own_select_all_means_all_that_match_also_beyond_a_page(
        self, admin_client: Client
    ) -> None:
        Schedule.objects.bulk_create(
            a_schedule(f"s{n}", queue="low" if n % 2 else "default") for n in range(1200)
        )
        first = str(Schedule.objects.filter(queue="low").order_by("name").values_list("pk", flat=True)[0])
        data = {"action": "pause", "_selected_action": [first], "select_across": "1"}
        html = admin_client.post(f"{LIST}?queue=low", data).content.decode()
        assert "Pause 600 schedules?" in html
        assert html.count('name="_selected_action"') == 1
        assert 'name="select_across" value="1"' in html
        admin_client.post(f"{LIST}?queue=low", {**data, "confirmed": "1", "reason": "x"})
        assert Schedule.objects.exclude(paused_at=None).count() == 600
        assert not Schedule.objects.exclude(paused_at=None).filter(queue="default").exists()


@pytest.mark.django_db(transaction=True)
def test_what_differs_is_shown_and_mended(admin_client: Client, redis: redis_py.Redis) -> None:
    place = reverse("admin:schedules_schedule_resync")
    a_schedule("lost").save()
    Synchronizer().reconcile()
    html = admin_client.get(place).content.decode()
    assert "They are equal" in html
    assert "Resync</button>" not in html
    redis.flushall()
    html = admin_client.get(BOARD).content.decode()
    assert place in html  # beside S104
    html = admin_client.get(place).content.decode()
    assert "Redis lacks: lost" in html
    assert "Resync</button>" in html
    assert not Synchronizer().compare().is_empty
    assert "1 difference is mended." in admin_client.post(place, follow=True).content.decode()
    assert Synchronizer().compare().is_empty
