"""`make screenshots`: the pictures of the docs, every page light and dark, of the same rows at the same moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import redis as redis_py
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from schedules.admin import form_page
from schedules.admin.figures import forget_figures
from schedules.engine.presence import Presence, zone_data_version
from schedules.health import facts
from schedules.health.redis_facts import RedisFacts, WorkerFacts, ask_redis
from tests.browser.png import in_few_colours
from tests.support.a_shop import answer_of_the_api, apps_of_the_shop, make_shop
from tests.support.admin_pages import AWAY_PAGES, EMPTY_PAGES, PAGES, AdminPage
from tests.support.programs import ROOT

NOW: Final = datetime(2026, 11, 24, 8, 12, 40, tzinfo=UTC)
"""A Tuesday morning in Europe: it is night in America, and Asia's working day ends."""
FOLDER: Final = Path(os.environ.get("TEST_PICTURES") or ROOT / "docs" / "pictures")
ONLY: Final = os.environ.get("TEST_PICTURES_ONLY", "").split()
WIDE: Final = (1280, 1500)
NARROW: Final = (390, 1200)
"""Width, and the height at which a longer page is cut off."""


def calm_redis(*args: Any, **kwargs: Any) -> RedisFacts:
    """Return what a Redis in good health tells at that moment, with two hosts at work."""
    asked = ask_redis(*args, **kwargs)
    sign = Presence(
        name="web-1", host="web-1", pid=7, at=NOW.timestamp() - 4, skew=0, zone_data=zone_data_version()
    )
    workers = tuple(
        WorkerFacts(name=name, host="web-1", queues=queues, is_busy=False, seen_at=NOW)
        for name, queues in (("a", ("high", "default")), ("b", ("high", "default")), ("c", ("low",)))
    )
    return replace(
        asked,
        now=NOW,
        latency=0.0003,
        schedulers=(sign,),
        workers=workers,
        is_kept=True,
        registered=14,
        overdue=(),
    )


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, settings: Any, redis: redis_py.Redis) -> Iterator[None]:
    """Stop the clock of the pages at `NOW`, in Berlin."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    monkeypatch.setattr(facts, "ask_redis", calm_redis)
    settings.TIME_ZONE = "Europe/Berlin"
    settings.SCHEDULES_HTTP_ALLOWED = ("https://api.shop.example",)
    monkeypatch.setattr(form_page, "send_request", answer_of_the_api)
    with apps_of_the_shop():
        yield


@pytest.fixture
def somebody(still: None, live_server: LiveServer, page: Page, transactional_db: None) -> Page:
    """The browser of somebody who may everything."""
    client = Client()
    user = User.objects.create_superuser("mara", first_name="Mara")
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    return page


def draw(page: Page, live_server: LiveServer, pages: tuple[AdminPage, ...]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for one in pages:
        if (ONLY and one.name not in ONLY) or not (ONLY or one.is_pictured):
            continue
        for (width, height), suffix in ((WIDE, ""), (NARROW, "-narrow")):
            if suffix and not (ONLY or one.is_pictured_narrow):
                continue
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(live_server.url + one.path)
            one.then(page)
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            full = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": min(full, height)})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                drawn = page.screenshot(animations="disabled", caret="hide")
                name = f"{one.name}{suffix}-{scheme}.png"
                (FOLDER / name).write_bytes(in_few_colours(page, drawn))


def test_pages_of_a_shop(somebody: Page, live_server: LiveServer) -> None:
    make_shop(NOW)
    draw(somebody, live_server, PAGES)


def test_pages_of_the_first_start(
    somebody: Page, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bare(*args: Any, **kwargs: Any) -> RedisFacts:
        return replace(calm_redis(*args, **kwargs), schedulers=(), workers=(), registered=0)

    monkeypatch.setattr(facts, "ask_redis", bare)
    forget_figures()
    draw(somebody, live_server, EMPTY_PAGES)


def test_pages_while_redis_is_away(
    somebody: Page, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any, **_kwargs: Any) -> RedisFacts:
        return RedisFacts(
            address="redis.shop.example:6379",
            problem="Connection refused",
            last_contact=NOW - timedelta(minutes=3),
        )

    make_shop(NOW)
    monkeypatch.setattr(facts, "ask_redis", away)
    draw(somebody, live_server, AWAY_PAGES)
