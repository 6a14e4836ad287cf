"""Banners and the line of health by themselves: what an open page asks for every few seconds."""

from __future__ import annotations

import pytest
import redis as redis_py
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from schedules.engine import Scheduler
from tests.support.redis_server import RedisServer

PART = reverse("admin:schedules_schedule_health")
LIST = reverse("admin:schedules_schedule_changelist")

pytestmark = pytest.mark.django_db


def test_it_says_what_the_pages_say(admin_client: Client, redis: redis_py.Redis) -> None:
    answer = admin_client.get(PART)
    assert "no-store" in answer.headers["Cache-Control"]
    for part in ('id="sch-banners"', 'id="sch-health"', "S102"):
        assert part in answer.text
        assert part in admin_client.get(LIST).text
    Scheduler(queue_name="default", connection=redis).heartbeat()
    assert "S102" not in admin_client.get(PART).text


def test_it_answers_without_redis(
    admin_client: Client, redis: redis_py.Redis, redis_server: RedisServer
) -> None:
    redis_server.stop()
    assert "S101" in admin_client.get(PART).text


def test_it_costs_no_more_than_the_facts(
    admin_client: Client, redis: redis_py.Redis, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):  # session, user, and the two of the facts
        admin_client.get(PART)


@pytest.mark.parametrize("right", ["view_schedule", "view_run", "add_schedule", ""])
def test_who_may_see_a_page_may_ask_for_it(client: Client, redis: redis_py.Redis, right: str) -> None:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=right))
    client.force_login(user)
    assert client.get(PART).status_code == (200 if right else 403)
