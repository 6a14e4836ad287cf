"""django-rq's own pages work in our admin, under the policy on scripts that is sent with them."""

from __future__ import annotations

import redis as redis_py
from django.contrib.auth.models import User
from django.test import Client
from django_rq import get_queue
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import log_in


def test_all_jobs_of_a_queue_are_chosen_at_once_and_the_policy_forbids_nothing(
    redis: redis_py.Redis, live_server: LiveServer, browser: Browser, client: Client
) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    queue = get_queue("default", connection=redis)
    for number in range(3):
        queue.enqueue("tests.support.jobs.add", number, 2)
    # Not the watched page: a script of theirs fails by itself, whatever the policy.
    page = browser.new_page()
    forbidden: list[str] = []
    page.on("console", lambda message: "Policy" in message.text and forbidden.append(message.text))
    log_in(page, live_server.url, client.cookies["sessionid"].value)
    page.goto(f"{live_server.url}/admin/django_rq/dashboard/queues/0/")
    page.locator("#action-toggle").check()
    expect(page.locator("input.action-select:checked")).to_have_count(3)
    page.close()
    assert forbidden == []
