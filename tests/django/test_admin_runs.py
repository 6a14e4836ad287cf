"""The page of all runs: what is shown, filtered, and how one gets to the last page of a long ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from schedules.models import Run, Schedule
from tests.support.redis_server import RedisServer

FUNC = "tests.shop.jobs.sync_orders"
URL = "/admin/schedules/run/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="Sync orders", func=FUNC, args=[30], interval=1200)


def some_runs(
    count: int, schedule: Schedule | None = None, *, at: datetime | None = None, **fields: Any
) -> list[Run]:
    newest = at or timezone.now()
    name = schedule.name if schedule else "by code"
    return Run.objects.bulk_create(
        Run(
            **{"schedule": schedule, "schedule_name": name, "scheduled_for": newest - timedelta(minutes=n)}
            | {"queue": "default", "status": "succeeded", "trigger": "schedule" if schedule else "manual"}
            | fields
        )
        for n in range(count)
    )  # fmt: skip


def shown(client: Client, **query: str) -> list[int]:
    """Return the ids of the runs on a page."""
    return [run.pk for run in client.get(URL, query).context["page"].runs]


def chips(client: Client, **query: str) -> dict[str, int]:
    return {str(chip["word"]): chip["count"] for chip in client.get(URL, query).context["chips"]}


class TestPages:
    def test_every_run_is_on_exactly_one_page_also_where_many_have_the_same_slot(
        self, admin_client: Client
    ) -> None:
        now = timezone.now()
        Run.objects.bulk_create(
            Run(schedule_name=str(n), scheduled_for=now - timedelta(seconds=n // 40), trigger="manual")
            for n in range(170)
        )
        everything = list(Run.objects.order_by("-scheduled_for", "-id").values_list("pk", flat=True))
        seen: list[int] = []
        address = URL
        while address:
            response = admin_client.get(address)
            seen += [run.pk for run in response.context["page"].runs]
            older = response.context["older_url"]
            address = f"{URL}{older}" if older else ""
        assert seen == everything

        back: list[int] = []
        address = f"{URL}?end=1"
        while address:
            response = admin_client.get(address)
            back = [run.pk for run in response.context["page"].runs] + back
            newer = response.context["newer_url"]
            address = f"{URL}{newer}" if newer else ""
        assert back == everything

    def test_no_page_counts_the_table(
        self, admin_client: Client, schedule: Schedule, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        some_runs(120, schedule)
        for query in ({}, {"end": "1"}, {"state": "succeeded", "q": "x"}):
            with django_assert_max_num_queries(7) as captured:
                admin_client.get(URL, query)
            runs = [one["sql"] for one in captured.captured_queries if 'FROM "schedules_run"' in one["sql"]]
            assert all("LIMIT" in sql for sql in runs)
            assert not [sql for sql in runs if "traceback" in sql or '"output"' in sql]

    @pytest.mark.parametrize(
        "cursor", ["x", "1-", "-1", "1-2-3", "9" * 40 + "-1", "１-1", "99999999999999999-1"]
    )
    def test_a_place_that_is_none_shows_a_page_and_no_error(
        self, admin_client: Client, schedule: Schedule, cursor: str
    ) -> None:
        some_runs(3, schedule)
        for name in ("before", "after"):
            assert admin_client.get(URL, {name: cursor}).status_code == 200


class TestFilters:
    def test_each_chip_counts_and_leads_to_its_runs(self, admin_client: Client, schedule: Schedule) -> None:
        some_runs(4, schedule)
        bad = some_runs(2, status="failed", exception="ValueError: x")
        lost = some_runs(1, status="abandoned", reason="Its worker died.")
        assert chips(admin_client) == {"All": 7, "OK": 4, "Failed": 3}
        assert set(shown(admin_client, state="failed")) == {run.pk for run in [*bad, *lost]}
        assert chips(admin_client, state="failed")["OK"] == 4

    def test_schedule_queue_trigger_time_and_text(self, admin_client: Client, schedule: Schedule) -> None:
        own = some_runs(1, schedule, status="failed", exception="ValueError: orders table is locked")
        mail = some_runs(1, queue="mail", status="skipped", reason="The run before is still running.")
        old = some_runs(
            1, at=timezone.now() - timedelta(days=20), status="failed", exception="KeyError: 'orders'"
        )
        assert shown(admin_client, schedule=str(schedule.pk)) == [own[0].pk]
        assert shown(admin_client, queue="mail") == [mail[0].pk]
        assert shown(admin_client, trigger="schedule") == [own[0].pk]
        assert set(shown(admin_client, since="24h")) == {own[0].pk, mail[0].pk}
        assert shown(admin_client, q="STILL running") == [mail[0].pk]
        assert shown(admin_client, q="orders") == [own[0].pk]
        assert shown(admin_client, state="canceled") == []
        assert admin_client.get(URL, {"state": "canceled"}).context["filters"].window == "7d"
        assert shown(admin_client, q="orders", since="30d") == [own[0].pk, old[0].pk]

    def test_a_filter_stays_when_one_turns_the_page(self, admin_client: Client, schedule: Schedule) -> None:
        some_runs(60, schedule)
        context = admin_client.get(URL, {"queue": "default", "state": "succeeded"}).context
        assert "queue=default" in context["older_url"]
        assert "state=succeeded" in context["older_url"]

    @pytest.mark.parametrize(
        "query",
        [
            {"schedule": "x"},
            {"state": "nonsense"},
            {"trigger": "\x00"},
            {"q": "\x00%_\\'"},
            {"queue": "\x00"},
            {"since": "9d"},
        ],
    )
    def test_nonsense_is_left_out(
        self, admin_client: Client, schedule: Schedule, query: dict[str, str]
    ) -> None:
        some_runs(1, schedule)
        assert admin_client.get(URL, query).status_code == 200

    def test_with_very_many_schedules_there_is_no_list_to_choose_from(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        assert b'name="schedule"' in admin_client.get(URL).content
        Schedule.objects.bulk_create(Schedule(name=f"s{n}", func=FUNC, interval=60) for n in range(201))
        assert b'<select name="schedule"' not in admin_client.get(URL).content
        response = admin_client.get(URL, {"schedule": str(Schedule.objects.get(name="s200").pk)})
        assert response.context["chosen_schedule"] == "s200"


class TestShown:
    def test_the_error_is_in_the_row_and_one_click_from_the_traceback(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        (run,) = some_runs(1, schedule, status="failed", exception="ValueError: locked\nand more")
        html = admin_client.get(URL).content.decode()
        page = reverse("admin:schedules_run_change", args=[run.pk])
        assert re.search(
            rf'<a class="sch-sub sch-error" href="{page}"><bdi>ValueError: locked</bdi></a>', html
        )
        assert "and more" not in html

    def test_the_payload_is_never_in_the_list(self, admin_client: Client, schedule: Schedule) -> None:
        some_runs(1, schedule, payload="hush", result="hush", traceback="hush", output="hush")
        assert b"hush" not in admin_client.get(URL).content

    def test_hostile_texts_are_shown_harmlessly(self, admin_client: Client) -> None:
        hostile = "<script>alert(1)</script>\u202egnp.exe 👩‍👩‍👧"
        some_runs(
            1,
            schedule_name=hostile,
            exception=hostile * 3000,
            worker=hostile,
            queue=hostile,
            started_by=hostile,
        )
        response = admin_client.get(URL)
        html = response.content.decode()
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert len(html) < 60_000

    def test_the_last_page_says_how_long_runs_are_kept(
        self, admin_client: Client, schedule: Schedule, settings: Settings
    ) -> None:
        some_runs(60, schedule)
        said = "Older runs are removed: a schedule's are kept for %s days and %s at most"
        end = {"end": "1"}
        assert "Older runs are removed" not in admin_client.get(URL).content.decode()
        assert said % (30, 1000) in admin_client.get(URL, end).content.decode()
        Schedule.objects.filter(pk=schedule.pk).update(keep_days=7, keep_runs=100)
        mine = {"schedule": str(schedule.pk)}
        assert said % (7, 100) in admin_client.get(URL, end | mine).content.decode()
        settings.SCHEDULES_KEEP_DAYS = "long"
        assert "Older runs are removed" not in admin_client.get(URL, end).content.decode()

    def test_an_empty_ledger_and_an_empty_answer_say_different_things(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        assert b"Nothing has run yet." in admin_client.get(URL).content
        assert b"No run matches." in admin_client.get(URL, {"state": "failed"}).content

    def test_those_who_may_not_look_do_not(self, client: Client) -> None:
        user = User.objects.create_user("ann", is_staff=True)
        client.force_login(user)
        assert client.get(URL).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="view_run"))
        assert client.get(URL).status_code == 200
        assert client.post(URL).status_code == 403


class TestRedisAway:
    @pytest.fixture(autouse=True)
    def _away(self, redis: redis_py.Redis, redis_server: RedisServer) -> Iterator[None]:
        redis_server.stop()
        yield
        redis_server.start()

    def test_the_list_opens_within_a_second_and_says_so(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        some_runs(3, schedule)
        began = datetime.now(UTC)
        html = admin_client.get(URL).content.decode()
        assert datetime.now(UTC) - began < timedelta(seconds=1)
        assert "S101" in html
        assert html.count('<th scope="row" data-label=') == 3
