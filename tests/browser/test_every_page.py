"""Every page of the admin that is ours, in both schemes and three widths: nothing stands in anybody's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis as redis_py
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from schedules.admin import form_page
from schedules.engine import Scheduler
from tests.browser.conftest import log_in, watch
from tests.support.a_shop import answer_of_the_api, apps_of_the_shop, make_shop
from tests.support.admin_pages import EMPTY_PAGES, NO_PAGES, PAGES, AdminPage, addresses_of_the_admin
from tests.support.barriers import axe, cut_off, skipped, walked

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
NARROWEST = {"width": 320, "height": 600}
"""Also a screen of 1280 pixels at 400 %."""


@pytest.fixture
def shop(
    redis: redis_py.Redis, transactional_db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    settings.SCHEDULES_HTTP_ALLOWED = ("https://api.shop.example",)
    monkeypatch.setattr(form_page, "send_request", answer_of_the_api)
    with apps_of_the_shop():
        yield


@pytest.fixture
def somebody(page: Page, client: Client, live_server: LiveServer, shop: None) -> Page:
    client.force_login(User.objects.create_superuser("ada"))
    log_in(page, live_server.url, client.cookies["sessionid"].value)
    return page


def test_every_address_is_on_the_list() -> None:
    known = {page.leads_to or page.view for page in (*PAGES, *EMPTY_PAGES)} | set(NO_PAGES)
    assert known == addresses_of_the_admin()


def barriers(page: Page, live_server: LiveServer, pages: tuple[AdminPage, ...]) -> str:
    """Return what is wrong on these pages, a line each; empty: nothing."""
    found: list[str] = []
    for one in pages:
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
        answer = page.goto(live_server.url + one.path)
        assert answer is not None
        assert answer.status == 200, one.name
        problems = skipped(page)
        one.then(page)
        problems += [f"1280 light: {text}" for text in [*axe(page), *cut_off(page), *walked(page)]]
        page.emulate_media(color_scheme="dark")
        problems += [f"1280 dark: {text}" for text in axe(page)]
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        problems += [f"390 dark: {text}" for text in axe(page)]
        page.emulate_media(color_scheme="light")
        problems += [f"390 light: {text}" for text in [*axe(page), *cut_off(page)]]
        page.set_viewport_size(NARROWEST)  # type: ignore[arg-type]
        problems += [f"320: {text}" for text in cut_off(page)]
        found += [f"{one.name}, {problem}" for problem in problems]
    return "\n".join(found)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(3))  # so that the processes share the work
def test_no_page_has_a_barrier(somebody: Page, live_server: LiveServer, part: int) -> None:
    make_shop(timezone.now(), frequent_days=0.4)
    found = barriers(somebody, live_server, PAGES[part::3])
    assert not found, found


def test_no_page_of_the_first_start_has_a_barrier(somebody: Page, live_server: LiveServer) -> None:
    found = barriers(somebody, live_server, EMPTY_PAGES)
    assert not found, found


def test_without_javascript_every_page_is_there(
    browser: Browser, client: Client, live_server: LiveServer, shop: None, redis: redis_py.Redis
) -> None:
    make_shop(timezone.now(), frequent_days=0.2)
    Scheduler(queue_name="default", connection=redis).heartbeat()
    client.force_login(User.objects.create_superuser("ada"))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    faults = watch(page)
    log_in(page, live_server.url, client.cookies["sessionid"].value)
    for one in PAGES:
        answer = page.goto(live_server.url + one.path)
        assert answer is not None
        assert answer.status == 200, one.name
        assert page.locator("#content h1").first.inner_text().strip(), one.name
        dead = page.locator("#content button:not([type=submit]):visible, #content a[href='#']:visible")
        if "delete" in one.name:  # Django's own link back
            dead = dead.and_(page.locator(":not(.cancel-link)"))
        assert dead.count() == 0, (one.name, dead.first.evaluate("one => one.outerHTML"))
    context.close()
    assert faults == []
