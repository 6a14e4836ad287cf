"""The list of schedules: what a row says, what chips count, and what all of it costs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from schedules.admin.change_list import state_condition
from schedules.admin.last_runs import SHOWN, last_runs
from schedules.admin.list_columns import next_run, when_words
from schedules.models import Run, Schedule
from tests.django.test_models_run import index_of
from tests.support.samples import FUNC, make_samples

LIST = reverse("admin:schedules_schedule_changelist")
NOW = datetime(2026, 11, 23, 8, 7, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def listed(client: Client, **query: str) -> list[str]:
    return [row.name for row in client.get(LIST, query).context["cl"].result_list]


def chips(client: Client, **query: str) -> dict[str, Any]:
    return {chip.text: chip for chip in client.get(LIST, query).context["cl"].chips}


def row_of(html: str, name: str) -> str:
    (row,) = [row for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL) if f">{name}</a>" in row]
    return row


class TestRows:
    def test_a_row_says_when_next_last_and_how_it_went(self, admin_client: Client) -> None:
        make_samples(timezone.now())
        html = admin_client.get(LIST).content.decode()
        orders = row_of(html, "Sync orders")
        for text in (
            "tests.<wbr>shop.<wbr>jobs.<wbr>sync_orders",
            "Every 20 minutes",
            '<span class="sch-code">*/20 * * * *</span> UTC',
            'data-state="failed"',
            "ValueError: orders table is locked",
            "Last 20 runs: 16 succeeded, 2 failed, 2 other",
            '<span class="sch-tag">prod</span>',
            "<time datetime=",
        ):
            assert text in orders, text
        assert "New tax rates are being entered" in row_of(html, "Month-end invoices")
        assert "function not available" in row_of(html, "Old import")
        assert "has not run yet" in row_of(html, "Breaking news")

    def test_the_last_run_leads_to_its_page(self, admin_client: Client) -> None:
        made = make_samples(timezone.now())
        last = Run.objects.last_of(made["Sync orders"]).first()
        assert last is not None
        html = row_of(admin_client.get(LIST).content.decode(), "Sync orders")
        assert reverse("admin:schedules_run_change", args=[last.pk]) in html

    def test_times_are_told_in_the_zone_of_the_schedule_and_with_its_letters(self) -> None:
        schedule = Schedule(name="n", func=FUNC, kind="cron", cron="0 9 * * *", timezone="America/New_York")
        schedule.updated_at = NOW
        text = next_run(schedule, now=NOW)
        assert "in 5 hours" in text
        assert "Mon 09:00 EST" in text
        assert 'datetime="2026-11-23T14:00:00+00:00"' in text

    def test_the_next_run_is_the_one_that_the_keeper_noted(self) -> None:
        schedule = Schedule(name="n", func=FUNC, interval=60, timezone="UTC")
        schedule.updated_at = NOW - timedelta(days=1)
        schedule.next_run_at = NOW + timedelta(seconds=42)
        assert "in 42 seconds" in next_run(schedule, now=NOW)

    def test_a_run_that_is_overdue_is_late(self) -> None:
        schedule = Schedule(name="n", func=FUNC, interval=60, timezone="UTC")
        schedule.updated_at = NOW - timedelta(days=1)
        schedule.next_run_at = NOW - timedelta(minutes=10)
        text = next_run(schedule, now=NOW)
        assert 'data-state="late"' in text
        assert "due 10 minutes ago" in text

    def test_a_row_that_a_hand_broke_still_has_its_line(self, admin_client: Client) -> None:
        schedule = Schedule.objects.create(name="hand", func=FUNC, kind="cron", cron="0 9 * * *")
        Schedule.objects.filter(pk=schedule.pk).update(cron="every day", timezone="Mars/Base", tags={"a": 1})
        assert "every day" in row_of(admin_client.get(LIST).content.decode(), "hand")

    def test_html_in_names_tags_and_errors_is_shown_as_text(self, admin_client: Client) -> None:
        evil = "<script>alert(1)</script>"
        schedule = Schedule.objects.create(name=evil, func=evil, interval=60, tags=[evil], queue=evil)
        Run.objects.create(schedule=schedule, scheduled_for=NOW, status="failed", exception=evil)
        assert evil not in admin_client.get(LIST).content.decode()

    def test_bounds_are_told_beside_the_expression(self) -> None:
        schedule = Schedule(
            name="n",
            func=FUNC,
            kind="cron",
            cron="0 9 * * *",
            timezone="UTC",
            ends_at=NOW + timedelta(days=90),
        )
        words, entered = when_words(schedule)
        assert words == "Every day at 09:00"
        assert "until 21 Feb 2027 08:07 UTC" in entered


class TestStrip:
    def test_it_has_the_newest_runs_of_each_schedule_and_no_others(self) -> None:
        few, many = (Schedule.objects.create(name=name, func=FUNC, interval=60) for name in ("few", "many"))
        for schedule, count in ((few, 3), (many, 50)):
            Run.objects.bulk_create(
                Run(schedule=schedule, scheduled_for=NOW + timedelta(minutes=n)) for n in range(count)
            )
        found = last_runs(list(Schedule.objects.all()))
        assert [len(found[few.pk]), len(found[many.pk])] == [3, SHOWN]
        assert found[many.pk][-1].scheduled_for == NOW + timedelta(minutes=49)
        assert found[many.pk][0].scheduled_for == NOW + timedelta(minutes=30)


class TestChips:
    def test_each_says_how_many_and_shows_exactly_those(self, admin_client: Client) -> None:
        make_samples(timezone.now())
        for text, chip in chips(admin_client).items():
            response = admin_client.get(LIST + chip.url)
            assert response.context["cl"].result_count == chip.count, text
        assert listed(admin_client, state="attention") == ["Sync orders", "Weekly digest"]
        assert listed(admin_client, state="running") == ["Stock levels"]
        assert listed(admin_client, state="paused") == ["Month-end invoices"]
        assert listed(admin_client, state="disabled") == ["Old import"]
        assert listed(admin_client, tag="prod") == ["Sync orders"]
        assert listed(admin_client, queue="low") == ["Weekly digest"]

    def test_they_keep_order_and_search_and_a_second_click_takes_one_off(self, admin_client: Client) -> None:
        make_samples(timezone.now())
        chip = chips(admin_client, o="-1", q="shop")["tag: shop"]
        assert "o=-1" in chip.url
        assert "q=shop" in chip.url
        again = chips(admin_client, o="-1", q="shop", tag="shop")["tag: shop"]
        assert again.is_current
        assert "tag=" not in again.url

    def test_an_unknown_state_shows_all(self, admin_client: Client) -> None:
        make_samples(timezone.now())
        assert len(listed(admin_client, state="nonsense")) == Schedule.objects.count()

    def test_a_filter_that_hits_nothing_says_so_and_offers_the_way_back(self, admin_client: Client) -> None:
        make_samples(timezone.now())
        html = admin_client.get(LIST, {"q": "nothing like it"}).content.decode()
        assert "No schedule matches." in html
        assert "Clear filters" in html


class TestSearchAndOrder:
    @pytest.mark.parametrize("words", ["Sync", "sync_orders", "prod", "30"])
    def test_it_looks_into_name_function_tags_and_arguments(self, admin_client: Client, words: str) -> None:
        make_samples(timezone.now())
        assert "Sync orders" in listed(admin_client, q=words)

    def test_it_sorts_by_name_next_run_last_run_and_failures(self, admin_client: Client) -> None:
        for n, name in enumerate("abc"):
            Schedule.objects.create(
                name=name,
                func=FUNC,
                interval=60,
                next_run_at=NOW + timedelta(hours=(n + 1) % 3),
                last_run_at=NOW - timedelta(hours=(n + 2) % 3),
                failures_in_a_row=n,
            )
        orders = {order: "".join(listed(admin_client, o=order)) for order in ("-1", "3", "4", "-5")}
        assert orders == {"-1": "cba", "3": "cab", "4": "acb", "-5": "cba"}


class TestEmpty:
    def test_without_a_schedule_the_page_says_what_can_be_scheduled(self, admin_client: Client) -> None:
        html = admin_client.get(LIST).content.decode()
        assert "No schedules yet." in html
        assert FUNC in html
        assert "Add a schedule" in html


@pytest.mark.usefixtures("redis")
class TestCost:
    @pytest.mark.parametrize("rows", [1, 60])
    def test_the_page_asks_eight_queries_whatever_it_lists(
        self, admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries, rows: int
    ) -> None:
        fill(rows)
        # Session, user; count, rows, runs, chips; two for the health of the whole.
        with django_assert_num_queries(8):
            assert admin_client.get(LIST).status_code == 200

    def test_staff_with_permissions_of_their_own_cost_two_more(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        fill(20)
        user = User.objects.create_user("ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["view_schedule", "view_payload"]))
        client.force_login(user)
        with django_assert_num_queries(10):
            assert client.get(LIST, {"o": "1", "q": "s"}).status_code == 200

    def test_what_is_running_is_read_from_the_small_index(self) -> None:
        """Not from the one of all runs, which has the same columns: half a second with a million of them."""
        plan = index_of(Schedule.objects.filter(state_condition("running", NOW)))
        assert "run_open" in plan
        assert "run_by_schedule" not in plan

    def test_the_page_asks_redis_in_one_pipeline(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(3)
        sent: list[int] = []
        execute = redis_py.client.Pipeline.execute

        def counted(pipe: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(len(pipe))
            return execute(pipe, *args, **kwargs)

        monkeypatch.setattr(redis_py.client.Pipeline, "execute", counted)
        assert admin_client.get(LIST).status_code == 200
        assert len(sent) <= 1


def fill(rows: int) -> None:
    for n in range(rows):
        schedule = Schedule.objects.create(name=f"s{n}", func=FUNC, interval=60, tags=[f"t{n % 3}"])
        Run.objects.bulk_create(
            Run(schedule=schedule, scheduled_for=NOW + timedelta(minutes=m)) for m in range(25)
        )
