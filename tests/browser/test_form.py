"""The form of a schedule in a browser: what is typed is answered at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import log_in

ADD = reverse("admin:schedules_schedule_add")

pytestmark = pytest.mark.usefixtures("redis")


@pytest.fixture
def admin_page(page: Page, client: Client, live_server: LiveServer) -> Page:
    """A page of a superuser."""
    client.force_login(User.objects.create_superuser("ada"))
    log_in(page, live_server.url, client.cookies["sessionid"].value)
    return page


def test_only_the_fields_of_the_chosen_kind_are_shown(admin_page: Page, live_server: LiveServer) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    expect(page.get_by_label("Cron expression")).to_be_visible()
    page.get_by_label("Every", exact=True).check()
    expect(page.get_by_label("Cron expression")).to_be_hidden()
    page.get_by_role("button", name="Weekdays").click()
    expect(page.get_by_label("Cron expression")).to_have_value("0 4 * * mon-fri")
    expect(page.get_by_label("URL")).to_be_hidden()
    page.get_by_label("An HTTP request").check()
    expect(page.get_by_label("URL")).to_be_visible()
    expect(page.get_by_label("Positional arguments")).to_be_hidden()


def test_a_mistake_is_told_while_it_is_typed_and_nothing_is_lost(
    admin_page: Page, live_server: LiveServer
) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    page.get_by_label("Cron expression").fill("75 * * * *")
    expect(page.locator("#sch-preview .sch-note[data-level=error]")).to_be_visible()
    page.get_by_label("Cron expression").fill("15 * * * *")
    expect(page.locator("#sch-preview tbody tr")).to_have_count(10)
    expect(page.get_by_label("Cron expression")).to_have_value("15 * * * *")


def test_after_a_mistake_the_cursor_stands_in_it(admin_page: Page, live_server: LiveServer) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    page.get_by_label("Name:", exact=True).fill("Stock")
    page.get_by_label("Function:", exact=True).select_option("tests.shop.jobs.sync_stock")
    page.get_by_label("Cron expression").fill("75 * * * *")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".errornote")).to_be_visible()
    expect(page.get_by_label("Cron expression")).to_be_focused()
    expect(page.get_by_label("Name:", exact=True)).to_have_value("Stock")
