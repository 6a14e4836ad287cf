"""Who may do what: every address of the app and of django-rq's pages, walked as the URL configuration has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import django_rq
import pytest
import redis as redis_py
from django.contrib.auth.models import Permission, User
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, include, path
from django_rq import stats_views
from pytest_django import Settings

from scheduler_project.urls import urlpatterns as project_urls
from schedules.models import Run, Schedule
from tests.support.jobs import add

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JOB = "someones-job"
QUEUE = 0  # django-rq numbers queues by name: "default" is the first
PLACES = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)\??|<(?:\w+:)?(\w+)>")

urlpatterns = [path("queues-again/", include("django_rq.urls")), *project_urls]
"""A project that has django-rq's pages a second time, outside of the admin."""

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _jobs(redis: redis_py.Redis) -> None:
    queue_the_job()


def queue_the_job() -> None:
    django_rq.get_queue("default", commit_mode="auto").enqueue(add, 1, job_id=JOB)


def waiting() -> int:
    return int(django_rq.get_queue("default").count)


def addresses(patterns: Any = None, prefix: str = "/") -> Iterator[str]:
    """Yield every address of the project, with names where parts of it are variable."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"[$^]|\Z|/\?(?=\$|$)", "", route)


def filled(address: str, values: dict[str, str]) -> str:
    """Put values into the variable parts of an address."""
    return PLACES.sub(lambda found: values.get(found[1] or found[2], JOB), address).replace("\\.", ".")


def ours() -> list[str]:
    """Return every address of the app and of django-rq's pages, filled with things that exist."""
    schedule, _ = Schedule.objects.get_or_create(name="news", func="tests.shop.jobs.sync_orders", interval=60)
    run, _ = Run.objects.get_or_create(schedule=schedule, schedule_name="news", scheduled_for=NOW, job_id=JOB)
    found = []
    for address in addresses():
        object_id = str(run.pk) if "/run/" in address else str(schedule.pk)
        values = dict.fromkeys(("queue_index", "scheduler_index", "connection_index"), str(QUEUE)) | {
            "object_id": object_id, "run_id": str(run.pk), "pk": object_id, "schedule_id": str(schedule.pk),
            "token": "sometoken",
        }  # fmt: skip
        if address.startswith(("/admin/schedules", "/admin/django_rq")):
            found.append(filled(address, values))
    return found


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def page(name: str, *parts: str) -> str:
    return "/".join(["/admin/django_rq/dashboard", *parts, name]) + "/"


def test_the_walk_finds_the_pages() -> None:
    found = ours()
    assert len(found) > 40
    assert len([address for address in found if "django_rq" in address]) > 25
    assert not [address for address in found if set(address) & set("<>()?")]


def test_a_staff_user_without_a_permission_gets_403_everywhere(client: Client) -> None:
    staff(client)
    for address in ours():
        for answer in (
            client.get(address),
            client.post(address, {"action": "delete", "job_ids": [JOB]}),
        ):
            assert answer.status_code == 403, (answer.request["REQUEST_METHOD"], address, answer.status_code)
    assert waiting() == 1


def test_nobody_and_people_who_are_not_staff_are_sent_to_the_login(client: Client) -> None:
    User.objects.create_user("bob")
    for person in ("", "bob"):
        if person:
            client.force_login(User.objects.get(username=person))
        for address in ours():
            answer = client.get(address)
            assert answer.status_code in (302, 401, 403), address
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/admin/login/"), address


class TestQueuePages:
    """Each permission opens its own pages and no others."""

    EMPTY = page("empty", "queues", "0")
    LISTS = (
        page("", "queues", "0").replace("//", "/"),
        page("details", "queues", "0"),
        page("", "workers", "0"),
    )

    def answers(self, client: Client, *permissions: str) -> dict[str, int]:
        staff(client, *permissions)
        posts = {
            "empty": (self.EMPTY, {}),
            "delete": (page("delete", "queues", "0", JOB), {}),
            "delete many": (page("0", "queues", "actions"), {"action": "delete", "job_ids": [JOB]}),
            "requeue": (page("requeue", "queues", "0", JOB), {}),
            "requeue many": (page("0", "queues", "actions"), {"action": "requeue", "job_ids": [JOB]}),
            "stop": (page("stop", "queues", "0", JOB), {}),
        }
        found = {}
        for name, (address, data) in posts.items():
            found[name] = client.post(address, data).status_code
            if not waiting():
                queue_the_job()
        return found

    def test_who_may_look_sees_lists_but_no_arguments_and_acts_on_nothing(self, client: Client) -> None:
        assert set(self.answers(client, "view_run").values()) == {403}
        assert client.get("/admin/django_rq/dashboard/").status_code == 200
        assert client.get(page("0", "queues")).status_code == 200
        assert client.get(page(JOB, "queues", "0")).status_code == 403
        assert waiting() == 1

    def test_who_may_see_payloads_sees_a_job(self, client: Client) -> None:
        staff(client, "view_run", "view_payload")
        assert client.get(page(JOB, "queues", "0")).status_code == 200
        assert client.get(page("no-such-job", "queues", "0")).status_code == 404
        assert client.get(page("details", "queues", "99")).status_code == 404

    def test_who_may_delete_runs_empties_and_deletes(self, client: Client) -> None:
        assert self.answers(client, "view_run", "delete_run") == {
            **dict.fromkeys(("empty", "delete", "delete many"), 302),
            **dict.fromkeys(("requeue", "requeue many", "stop"), 403),
        }

    def test_who_may_run_schedules_requeues(self, client: Client) -> None:
        found = self.answers(client, "view_run", "run_schedule")
        assert {name for name, status in found.items() if status == 403} == {
            *("empty", "delete", "delete many", "stop")
        }

    def test_who_may_stop_runs_stops(self, client: Client) -> None:
        found = self.answers(client, "view_run", "stop_run")
        assert {name for name, status in found.items() if status != 403} == {"stop"}

    def test_figures_are_for_a_token_or_a_permission(self, client: Client, settings: Settings) -> None:
        figures = "/admin/django_rq/dashboard/stats.json"
        assert client.get(figures).status_code == 401
        settings.RQ_API_TOKEN = "a-token"
        assert client.get(figures, headers={"Authorization": "Bearer a-token"}).status_code == 200
        assert client.get(figures, headers={"Authorization": "Bearer other"}).status_code == 401
        staff(client)
        assert client.get(figures).status_code == 403
        assert client.get(figures, headers={"Authorization": "Bearer a-token"}).status_code == 200
        User.objects.get().user_permissions.add(Permission.objects.get(codename="view_run"))
        assert client.get(figures).status_code == 200

    def test_an_inactive_user_is_nobody(self, client: Client) -> None:
        staff(client, "view_run", "delete_run")
        User.objects.update(is_active=False)
        assert client.post(self.EMPTY).status_code == 302
        assert waiting() == 1

    def test_a_page_that_nobody_has_judged_asks_for_everything(self) -> None:
        from schedules.admin.queue_pages import EVERYTHING, PAGES, needed

        assert needed("brand_new", None) == EVERYTHING  # type: ignore[arg-type]
        named = {
            str(pattern.name).removeprefix("django_rq_")
            for part in get_resolver().url_patterns
            if str(part.pattern) == "admin/"
            for model in part.url_patterns
            for pattern in getattr(model, "url_patterns", ())
            if str(pattern.name).startswith("django_rq_") and "dashboard" not in str(pattern.name)
        }
        assert named - set(PAGES) - {"actions", "confirm_action"} == set()

    def test_the_link_on_the_first_page_is_for_those_who_may_look(self, client: Client) -> None:
        staff(client, "view_schedule")
        assert b"/admin/django_rq/" not in client.get("/admin/").content
        User.objects.get().user_permissions.add(Permission.objects.get(codename="view_run"))
        assert b"/admin/django_rq/" in client.get("/admin/").content


class TestSecondDoor:
    """A project may include django-rq's addresses a second time, outside of the admin."""

    def test_a_check_warns_of_it(self, settings: Settings) -> None:
        assert "schedules.W003" not in [message.id for message in run_checks()]
        settings.ROOT_URLCONF = __name__
        found = [message for message in run_checks() if message.id == "schedules.W003"]
        assert "/queues-again/queues/<int:queue_index>/empty/ leads to" in " ".join(
            f"/{message.msg}" for message in found
        )

    def test_the_guard_does_not_touch_the_views_themselves(self) -> None:
        assert not hasattr(stats_views.stats, "is_guarded")


def test_a_superuser_may_do_everything(admin_client: Client) -> None:
    responses: list[HttpResponse] = [admin_client.get(address) for address in ours()]
    assert {response.status_code for response in responses} <= {200, 301, 302, 403, 404, 405}
    assert admin_client.post(TestQueuePages.EMPTY).status_code == 302
    assert waiting() == 0
