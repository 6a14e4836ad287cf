"""Somebody logs in with a browser."""

from __future__ import annotations

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer


def test_the_first_address_leads_through_the_login_to_the_admin(live_server: LiveServer, page: Page) -> None:
    User.objects.create_superuser("ada", password="a long word")
    page.goto(live_server.url)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("a long word")
    page.get_by_role("button", name="Log in").click()
    expect(
        page.get_by_role("link", name="Log out").or_(page.get_by_role("button", name="Log out"))
    ).to_be_visible()
