"""The first page of the app: what failed, what ran, what comes, how it went; for one schedule as for a thousand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from schedules.admin.dashboard import MOST_TICKS, WIDTH, context_of, planned
from schedules.admin.figures import forget_figures
from schedules.engine import Scheduler
from schedules.health import gather
from schedules.models import Run, Schedule
from tests.support.ledger_rows import ERROR, a_week
from tests.support.redis_server import RedisServer

URL = "/admin/schedules/"
FUNC = "tests.shop.jobs.sync_orders"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def _measured_anew() -> None:
    forget_figures()


def text(html: str) -> str:
    """Return what a reader sees, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def board(*, now: datetime = NOW, window: str = "day") -> dict[str, Any]:
    return context_of(gather(), now=now, window=window)


def a_schedule(name: str = "orders", **fields: Any) -> Schedule:
    values: dict[str, Any] = {
        "func": FUNC, "args": [30], "interval": 3600, "created_at": NOW - timedelta(days=3), "next_run_at": NOW,
    }  # fmt: skip
    return Schedule.objects.create(name=name, **values | fields)


def a_run(schedule: Schedule, *, minutes_ago: float, **fields: Any) -> Run:
    return Run.objects.create(
        **{
            "schedule": schedule,
            "schedule_name": schedule.name,
            "scheduled_for": NOW - timedelta(minutes=minutes_ago),
            "status": "succeeded",
        }
        | fields
    )


class TestTimeline:
    def test_what_was_lies_left_of_now_and_what_comes_right_of_it(self) -> None:
        schedule = a_schedule()
        a_run(schedule, minutes_ago=180)
        a_run(schedule, minutes_ago=60, status="failed")
        context = board()
        (lane,) = context["lanes"]
        assert [(tick.x, tick.state) for tick in lane.ticks[:2]] == [
            (WIDTH / 8, "succeeded"),
            (round(WIDTH * 5 / 24, 1), "failed"),
        ]
        assert context["now_x"] == WIDTH / 4
        ahead = [tick for tick in lane.ticks if tick.state == "planned"]
        assert len(ahead) == 18
        assert all(tick.x > WIDTH / 4 for tick in ahead)
        assert lane.done == "2 runs, 1 failed"
        assert lane.ahead == "18 runs"

    def test_too_many_slots_are_drawn_as_a_band(self) -> None:
        a_schedule(interval=60)
        (lane,) = board()["lanes"]
        assert lane.band is not None
        assert not [tick for tick in lane.ticks if tick.state == "planned"]
        assert lane.ahead == "more than 60 runs"
        a_schedule("seldom", interval=3600)
        assert max(len(lane.ticks) for lane in board()["lanes"]) <= MOST_TICKS

    def test_many_runs_at_one_place_show_the_worst(self) -> None:
        schedule = a_schedule(interval=1)
        for n in range(20):
            a_run(schedule, minutes_ago=61 + n / 60, status="failed" if n == 7 else "succeeded")
        (lane,) = board()["lanes"]
        assert {tick.state for tick in lane.ticks} == {"failed"}

    def test_what_is_off_paused_or_used_up_has_nothing_ahead(self) -> None:
        until = NOW + timedelta(hours=48)
        slots = {"since": NOW, "until": until, "limit": 99}
        assert len(planned(a_schedule("a"), **slots)) == 48
        assert planned(a_schedule("b", enabled=False), **slots) == []
        assert planned(a_schedule("c", interval=0), **slots) == []
        assert len(planned(a_schedule("d", max_runs=5, runs_dispatched=2), **slots)) == 3
        paused = a_schedule("e")
        paused.pause(at=NOW)
        assert planned(paused, **slots) == []
        paused.pause(at=NOW, until=NOW + timedelta(hours=24))
        assert len(planned(paused, **slots)) == 24

    def test_the_failing_ones_come_first(self) -> None:
        a_schedule("fine", next_run_at=NOW)
        a_schedule("bad", next_run_at=NOW + timedelta(hours=9), failures_in_a_row=3)
        assert [lane.schedule.name for lane in board()["lanes"]] == ["bad", "fine"]


class TestSums:
    def test_today_is_counted_by_the_clock_on_the_wall(self) -> None:
        schedule = a_schedule()
        a_run(schedule, minutes_ago=60)
        a_run(schedule, minutes_ago=120, status="abandoned")
        a_run(schedule, minutes_ago=60 * 13)  # yesterday
        counts = {state: count for state, _word, count in board()["today"]}
        assert (counts["succeeded"], counts["failed"]) == (1, 1)
        with timezone.override("Pacific/Auckland"):  # today began an hour ago, at 11:00 UTC
            counts = {state: count for state, _word, count in board()["today"]}
        assert (counts["succeeded"], counts["failed"]) == (1, 0)

    def test_what_fails_now_is_named_with_its_newest_error(self) -> None:
        schedule = a_schedule(failures_in_a_row=2)
        a_schedule("fine")
        a_run(schedule, minutes_ago=70, status="failed", exception="KeyError: old")
        newest = a_run(schedule, minutes_ago=10, status="failed", exception="ValueError: new")
        (failing,) = board()["failing"]
        assert (failing["run"], failing["words"]) == (newest, "2 failures in a row")

    def test_each_schedule_comes_once_in_what_runs_next(self) -> None:
        a_schedule("often", interval=60)
        a_schedule("once a day", kind="cron", cron="0 4 * * *", timezone="UTC", interval=None)
        following = board()["following"]
        assert [one["schedule"].name for one in following] == ["often", "once a day"]
        assert following[1]["at"] == NOW + timedelta(hours=16)


class TestFigures:
    def test_success_and_percentiles_of_each_window(self) -> None:
        schedule = a_schedule()
        for n in range(10):
            a_run(
                schedule,
                minutes_ago=60 + n,
                duration=float(n),
                delay=0.5,
                status="failed" if n == 9 else "succeeded",
            )
        a_run(schedule, minutes_ago=60 * 24 * 3, duration=100.0, delay=0.5)
        (day,) = board()["figures"]["rows"]
        assert (day["runs"], day["failed"], day["success"]) == (10, 1, "90.0 %")
        assert (day["duration_p50"], day["duration_p95"], day["delay_p50"]) == (4.5, pytest.approx(8.55), 0.5)
        (week,) = board(window="week")["figures"]["rows"]
        assert week["runs"] == 11
        assert board(window="nonsense")["window"] == "day"

    def test_duration_and_delay_are_drawn_over_the_time_shown(self, admin_client: Client) -> None:
        schedule = a_schedule()
        for minutes_ago, duration in ((30, 2.0), (31, 4.0), (12 * 60 + 30, 8.0)):
            a_run(schedule, minutes_ago=minutes_ago, duration=duration, delay=-0.1)
        (row,) = board()["figures"]["rows"]
        first, second = row["duration_chart"]  # bars in which nothing ran are not drawn
        assert (first["x"], second["x"]) == (11 * 5, 23 * 5)
        assert first["tail"] == first["median"] == 23
        assert (second["median"], second["tail"]) == (pytest.approx(23 * 3 / 8), pytest.approx(23 * 3.9 / 8))
        assert row["delay_chart"] == []  # of a clock that is behind; told, and not drawn
        assert row["delay_p50"] == -0.1
        Run.objects.exclude(duration=8.0).delete()
        Run.objects.update(scheduled_for=timezone.now() - timedelta(minutes=5))
        forget_figures()
        html = admin_client.get(URL).content.decode()
        assert html.count('data-kind="p95"') == html.count('data-kind="p50"') == 1

    def test_the_sums_of_today_lead_to_the_runs_that_they_count(self, admin_client: Client) -> None:
        schedule = a_schedule()
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        for at in (midnight - timedelta(seconds=1), midnight, timezone.now()):
            Run.objects.create(schedule=schedule, schedule_name="x", scheduled_for=at, status="succeeded")
        html = admin_client.get(URL).content.decode()
        place = "/admin/schedules/run/?since=today&amp;state=succeeded"
        assert place in html
        assert len(admin_client.get(place.replace("&amp;", "&")).context["page"].runs) == 2

    def test_almost_all_is_not_a_hundred_percent(self) -> None:
        schedule = a_schedule()
        Run.objects.bulk_create(
            Run(
                schedule=schedule,
                scheduled_for=NOW - timedelta(seconds=n),
                status="failed" if n == 5 else "succeeded",
            )
            for n in range(3000)
        )
        (row,) = board()["figures"]["rows"]
        assert row["success"] == "99.9 %"
        assert max(bar["bad"] for bar in row["chart"]) >= 2  # and the failure is seen

    def test_they_are_measured_once_a_minute(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        schedule = a_schedule()
        a_run(schedule, minutes_ago=5)
        assert board()["figures"]["count"] == 1
        a_run(schedule, minutes_ago=6)
        assert board()["figures"]["count"] == 1
        assert board(now=NOW + timedelta(seconds=61))["figures"]["count"] == 2


class TestPage:
    def test_it_shows_a_week_of_work(self, admin_client: Client) -> None:
        a_week(timezone.now())
        html = admin_client.get(URL).content.decode()
        shown = text(html)
        assert "2 failures in a row Sync orders" in shown
        assert ERROR in shown
        assert html.count('class="sch-lane"') == 4
        assert "Every minute" in shown
        assert "style=" not in re.sub(
            r"<svg.*?</svg>", "", html.partition('id="content-main"')[2], flags=re.DOTALL
        )

    def test_it_asks_as_many_queries_for_many_rows_as_for_one(
        self, admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for n in range(30):
            schedule = a_schedule(f"s{n}", next_run_at=timezone.now(), failures_in_a_row=n % 3)
            a_run(schedule, minutes_ago=n, status="failed")
        with django_assert_max_num_queries(12):
            admin_client.get(URL)

    def test_the_first_start_has_a_checklist_with_the_commands(
        self, admin_client: Client, redis: redis_py.Redis
    ) -> None:
        shown = text(admin_client.get(URL).content.decode())
        assert "Redis is reachable done" in shown
        assert "A scheduler is running not yet python manage.py rqscheduler" in shown
        assert "functions are ready to be scheduled" in shown
        Scheduler(queue_name="default", connection=redis).heartbeat()
        assert "A scheduler is running done" in text(admin_client.get(URL).content.decode())
        a_schedule()
        assert "First steps" not in text(admin_client.get(URL).content.decode())

    def test_those_who_may_not_see_schedules_are_kept_out(self, client: Client) -> None:
        user = User.objects.create_user("ann", is_staff=True)
        client.force_login(user)
        assert client.get(URL).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="view_schedule"))
        html = client.get(URL).content.decode()
        assert "Add a schedule" not in html
        assert "/admin/schedules/run/" not in html.partition('id="content-main"')[2]

    def test_hostile_names_are_shown_harmlessly(self, admin_client: Client) -> None:
        hostile = "<script>alert(1)</script>\u202egnp.exe 👩‍👩‍👧"
        schedule = a_schedule("x", next_run_at=timezone.now(), failures_in_a_row=1)
        Schedule.objects.update(name=hostile, queue=hostile)
        a_run(schedule, minutes_ago=0, schedule_name=hostile, status="failed", exception=hostile * 3000)
        Run.objects.update(scheduled_for=timezone.now())
        html = admin_client.get(URL).content.decode().partition('id="content-main"')[2]
        assert "<script>alert" not in html
        assert "\u202e" not in html


class TestRedisAway:
    @pytest.fixture(autouse=True)
    def _away(self, redis: redis_py.Redis, redis_server: RedisServer) -> Iterator[None]:
        a_schedule(next_run_at=timezone.now())
        redis_server.stop()
        yield
        redis_server.start()

    def test_the_page_opens_within_a_second_and_shows_the_unknown_as_unknown(
        self, admin_client: Client
    ) -> None:
        began = datetime.now(UTC)
        shown = text(admin_client.get(URL).content.decode())
        assert datetime.now(UTC) - began < timedelta(seconds=1)
        assert "S101" in shown
        assert "Scheduler unknown Workers unknown In sync unknown" in shown
