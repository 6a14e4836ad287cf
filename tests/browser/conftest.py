"""Chromium for the browser tests: Debian's, headless, offline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import ConsoleMessage, Error, Page, Response

from tests.conftest import CHROMIUM

SWITCHES = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that it is skipped where there is no browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="session", autouse=True)
def _django_beside_an_event_loop() -> Iterator[None]:
    """Playwright runs an event loop in this thread, and Django refuses to query a database there."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Take the system's Chromium; nothing is downloaded."""
    return {"executable_path": str(CHROMIUM), "args": list(SWITCHES)}


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page on which no script may fail, nothing may be logged as an error, and no inline code may run."""
    faults = watch(page)
    yield page
    assert faults == []


def watch(page: Page) -> list[str]:
    """Return a list that fills with what goes wrong on the page, whatever it visits.

    A script or style that the policy forbids is logged as an error by the browser.
    """
    faults: list[str] = []

    def note_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def note_error(error: Error) -> None:
        faults.append(str(error))

    def note_policy(response: Response) -> None:
        if response.request.resource_type == "document" and not 300 <= response.status < 400:
            policy = response.headers.get("content-security-policy", "")
            is_inline_allowed = "unsafe" in policy and "/django_rq/" not in response.url
            if "default-src 'self'" not in policy or is_inline_allowed:
                faults.append(f"{response.url} has the policy {policy!r}")

    page.on("console", note_console)
    page.on("pageerror", note_error)
    page.on("response", note_policy)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    return faults


def log_in(page: Page, url: str, session: str) -> None:
    """Put the cookie of a session into the browser."""
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])
