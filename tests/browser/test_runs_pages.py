"""Runs, one run and the first page, in a browser."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from schedules.admin.figures import forget_figures
from schedules.engine import Scheduler
from schedules.models import Run, Schedule
from schedules.sync import Synchronizer
from tests.browser.conftest import log_in
from tests.support.ledger_rows import ERROR, a_week


@pytest.fixture(autouse=True)
def _no_figures_of_before() -> None:
    forget_figures()


@pytest.fixture
def rows(redis: redis_py.Redis, transactional_db: None) -> dict[str, Any]:
    made = a_week(timezone.now())
    Synchronizer().reconcile()
    Scheduler(queue_name="default", connection=redis).heartbeat()
    redis.sadd("rq:workers", "rq:worker:w")
    stamp = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    redis.hset(
        "rq:worker:w", mapping={"queues": "default,high", "last_heartbeat": stamp, "hostname": "web-1"}
    )
    return made


@pytest.fixture
def browsed(live_server: LiveServer, page: Page) -> Page:
    User.objects.create_superuser("admin", password="a long word")
    client = Client()
    client.force_login(User.objects.get())
    log_in(page, live_server.url, client.cookies["sessionid"].value)
    return page


def test_the_first_start_shows_what_to_do_and_ticks_by_itself(
    live_server: LiveServer, browsed: Page, redis: redis_py.Redis, transactional_db: None
) -> None:
    browsed.goto(f"{live_server.url}/admin/schedules/")
    step = browsed.locator(".sch-checklist li").nth(1)
    expect(step).to_contain_text("python manage.py rqscheduler")
    Scheduler(queue_name="default", connection=redis).heartbeat()
    expect(step).to_have_attribute("data-state", "done", timeout=10_000)


def test_from_the_list_to_the_traceback_in_one_click(
    live_server: LiveServer, browsed: Page, rows: dict[str, Any]
) -> None:
    browsed.goto(f"{live_server.url}/admin/schedules/run/")
    browsed.get_by_role("link", name=ERROR).first.click()
    expect(browsed.locator("#content-main h1")).to_have_text(ERROR)
    expect(browsed.get_by_text("refresh(report_ids, since=since_minutes)")).to_be_visible()
    expect(browsed.get_by_text("self._result = self._execute()")).not_to_be_visible()
    browsed.get_by_text("2 frames of libraries").click()
    expect(browsed.get_by_text("self._result = self._execute()")).to_be_visible()


def test_a_running_run_is_followed_until_it_ends(
    live_server: LiveServer, browsed: Page, rows: dict[str, Any]
) -> None:
    run = rows["running"]
    browsed.goto(f"{live_server.url}/admin/schedules/run/{run.pk}/change/")
    expect(browsed.get_by_role("link", name="Stop")).to_be_visible()
    Run.objects.filter(pk=run.pk).update(status="succeeded", finished_at=timezone.now(), result="done it")
    expect(browsed.get_by_text("done it")).to_be_visible(timeout=10_000)
    expect(browsed.get_by_role("link", name="Stop")).not_to_be_visible()


def test_running_again_by_keyboard_alone(
    live_server: LiveServer, browsed: Page, rows: dict[str, Any]
) -> None:
    browsed.goto(f"{live_server.url}/admin/schedules/run/{rows['failed'].pk}/change/")
    browsed.get_by_role("link", name="Run again").focus()
    browsed.keyboard.press("Enter")
    expect(browsed.get_by_role("heading", name="Run “Sync orders” again?")).to_be_visible()
    browsed.get_by_role("button", name="Run again").focus()
    browsed.keyboard.press("Enter")
    expect(browsed.get_by_text("“Sync orders” is queued.")).to_be_visible()


def test_nothing_depends_on_scripts(live_server: LiveServer, browser: Any, rows: dict[str, Any]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    User.objects.create_superuser("admin", password="a long word")
    page.goto(f"{live_server.url}/admin/schedules/run/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("a long word")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Failed").first.click()
    expect(page.locator(".sch-pill").first).to_have_text("Failed")
    page.get_by_role("link", name=ERROR).first.click()
    expect(page.get_by_text("refresh(report_ids, since=since_minutes)")).to_be_visible()
    expect(page.get_by_role("button", name="Copy")).not_to_be_visible()
    context.close()


def test_a_long_name_does_not_break_the_page(
    live_server: LiveServer, browsed: Page, redis: redis_py.Redis, transactional_db: None
) -> None:
    schedule = Schedule.objects.create(name="W" * 200, func="tests.shop.jobs.sync_orders", interval=60)
    Run.objects.create(
        schedule=schedule,
        schedule_name=schedule.name,
        scheduled_for=timezone.now(),
        status="failed",
        exception="E" * 900,
    )
    browsed.set_viewport_size({"width": 390, "height": 800})
    for address in (
        "/admin/schedules/",
        "/admin/schedules/run/",
        f"/admin/schedules/run/{Run.objects.get().pk}/change/",
    ):
        browsed.goto(f"{live_server.url}{address}")
        assert browsed.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), address
