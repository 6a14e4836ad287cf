"""Every answer forbids inline scripts and styles."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from scheduler_project.csp import HEADER, POLICY, POLICY_OF_DJANGO_RQ, content_security_policy


@pytest.mark.parametrize("address", ["/admin/login/", "/health", "/v1/jobs/", "/"])
@pytest.mark.django_db
@pytest.mark.usefixtures("redis")
def test_it_is_sent_with_every_answer(client: Client, address: str) -> None:
    assert client.get(address).headers[HEADER] == POLICY


def test_nothing_inline_and_nothing_from_elsewhere_is_allowed() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert "default-src 'self'" in POLICY
    assert "script-src" not in POLICY
    assert "style-src" not in POLICY


@pytest.mark.usefixtures("redis")
def test_only_the_pages_of_django_rq_may_have_scripts_of_their_own_inside(admin_client: Client) -> None:
    policies = {
        address: admin_client.get(address).headers[HEADER]
        for address in ("/admin/django_rq/dashboard/queues/0/", "/admin/", "/admin/schedules/schedule/")
    }
    assert [policy for policy in policies.values() if "unsafe-inline" in policy] == [POLICY_OF_DJANGO_RQ]
    assert policies["/admin/django_rq/dashboard/queues/0/"] == POLICY_OF_DJANGO_RQ


def answered(status: int, **headers: str) -> HttpResponse:
    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=status, headers=headers)

    return content_security_policy(view)(RequestFactory().get("/"))


def test_a_view_may_send_its_own() -> None:
    assert answered(200, **{HEADER: "default-src 'none'"}).headers[HEADER] == "default-src 'none'"


@pytest.mark.parametrize("status", [404, 500])
def test_only_the_pages_of_debug_about_a_mistake_are_without(settings: Settings, status: int) -> None:
    settings.DEBUG = True
    assert HEADER not in answered(status).headers
    assert HEADER in answered(403).headers
    settings.DEBUG = False
    assert HEADER in answered(status).headers
