"""The system checks: one test for each id."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Error, Tags, Warning, run_checks
from pytest_django import Settings

from schedules.checks import (
    SETTINGS,
    check_environment,
    check_http_rules,
    check_job_modules,
    check_names,
    check_settings,
)
from schedules.models import Schedule

WRONG: dict[str, tuple[str, Any]] = {
    "schedules.E001": ("SCHEDULES_MISFIRE_THRESHOLD", -1),
    "schedules.E002": ("SCHEDULES_MAX_CATCHUP", 0),
    "schedules.E003": ("SCHEDULES_RECONCILE_SECONDS", "30"),
    "schedules.E004": ("SCHEDULES_ALLOWED_TARGETS", "shop.tasks"),
    "schedules.E005": ("SCHEDULES_KEEP_DAYS", 0),
    "schedules.E006": ("SCHEDULES_KEEP_RUNS", None),
    "schedules.E007": ("SCHEDULES_HTTP_ALLOWED", ["example.com"]),
    "schedules.E008": ("SCHEDULES_SIGNING_KEYS", ["short"]),
    "schedules.E009": ("SCHEDULES_NOTIFY_URL", "ops@example.com"),
    "schedules.E010": ("API_BASE_URL", "localhost:8000"),
    "schedules.E011": ("SCHEDULES_GRACE", 0),
    "schedules.E012": ("SCHEDULES_FREE_TARGETS", "yes"),
    "schedules.E013": ("RQ_QUEUES", {}),
    "schedules.E014": ("USE_TZ", False),
    "schedules.E015": ("SCHEDULES_HTTP_PROXY", "proxy:3128"),
    "schedules.E016": ("SCHEDULES_HTTP_CA_BUNDLE", "/nowhere/ca.pem"),
    "schedules.E017": ("SCHEDULES_ROUTER_CACHE", "elsewhere"),
}


def test_the_projects_own_settings_pass() -> None:
    assert [message for message in run_checks() if str(message.id).startswith("schedules.")] == []


def test_every_setting_has_a_case_here() -> None:
    assert set(WRONG) == {*SETTINGS, "schedules.E014"}


@pytest.mark.parametrize("check_id", sorted(WRONG))
def test_a_wrong_setting_is_one_error_with_a_line_to_paste(settings: Settings, check_id: str) -> None:
    setting, value = WRONG[check_id]
    setattr(settings, setting, value)
    (message,) = check_settings()
    assert isinstance(message, Error)
    assert message.id == check_id
    assert setting in message.msg
    assert f"{setting} = " in str(message.hint)


def test_e018_an_entry_of_the_allowed_urls_that_the_worker_cannot_read(settings: Settings) -> None:
    settings.SCHEDULES_HTTP_ALLOWED = ["https://*", "https://*.example.com/hooks/", "http://backend:8000/"]
    assert check_http_rules() == []
    settings.SCHEDULES_HTTP_ALLOWED = ["https://*", "https://hooks.*.example/", "https://127.1/"]
    found = check_http_rules()
    assert [message.id for message in found] == ["schedules.E018"] * 2
    assert "https://hooks.*.example/" in found[0].msg
    settings.SCHEDULES_HTTP_ALLOWED = "https://*"
    assert check_http_rules() == []  # E007 tells of it


def test_e020_an_interval_of_the_environment_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "10")
    assert check_environment() == []
    monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "often")
    (message,) = check_environment()
    assert (message.id, message.level) == ("schedules.E020", Error("").level)
    assert "SCHEDULE_BREAKING_NEWS_INTERVAL is 'often'" in message.msg
    assert message.hint == "For example: export SCHEDULE_BREAKING_NEWS_INTERVAL=60"


def test_w001_a_job_module_that_cannot_be_imported(settings: Settings) -> None:
    assert check_job_modules() == []
    settings.SCHEDULES_ALLOWED_TARGETS = ["tests.shop.failing"]
    (message,) = check_job_modules()
    assert (message.id, message.level) == ("schedules.W001", Warning("").level)
    assert "RuntimeError: no licence on this host" in message.msg


@pytest.mark.django_db
def test_w002_names_that_listen_to_one_variable() -> None:
    for name in ("sync-orders", "digest"):
        Schedule.objects.create(name=name, func="tests.shop.jobs.sync_orders", interval=60)
    assert check_names(databases=["default"]) == []
    Schedule.objects.create(name="Sync Orders", func="tests.shop.jobs.sync_orders", interval=60)
    (message,) = run_checks(tags=[Tags.database], databases=["default"])
    assert (message.id, message.level) == ("schedules.W002", Warning("").level)
    assert "'Sync Orders', 'sync-orders' all listen to SCHEDULE_SYNC_ORDERS_INTERVAL" in message.msg


def test_checks_without_a_database_do_not_ask_it() -> None:
    assert check_names(databases=None) == []
