"""The settings, as `conf` reads them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pytest_django import Settings

from schedules.conf import ConfError, conf

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()

NUMBERS = [
    ("SCHEDULES_MISFIRE_THRESHOLD", "misfire_threshold", 60, 0),
    ("SCHEDULES_MAX_CATCHUP", "max_catchup", 100, 1),
    ("SCHEDULES_RECONCILE_SECONDS", "reconcile_seconds", 30, 1),
    ("SCHEDULES_GRACE", "grace", 300, 1),
    ("SCHEDULES_KEEP_DAYS", "keep_days", 30, 1),
    ("SCHEDULES_KEEP_RUNS", "keep_runs", 1000, 1),
]


def forget(settings: Settings, name: str) -> None:
    if hasattr(settings, name):
        delattr(settings, name)


@pytest.mark.parametrize("setting, name, default, least", NUMBERS)
def test_a_number_has_a_default_and_is_read_when_it_is_asked_for(
    settings: Settings, setting: str, name: str, default: int, least: int
) -> None:
    forget(settings, setting)
    assert getattr(conf, name) == default
    setattr(settings, setting, least)
    assert getattr(conf, name) == least


@pytest.mark.parametrize("setting, name, default, least", NUMBERS)
@pytest.mark.parametrize("wrong", ["below", "60", 1.5, True, None, []])
def test_a_wrong_number_is_told_with_its_value_and_what_is_allowed(
    settings: Settings, setting: str, name: str, default: int, least: int, wrong: Any
) -> None:
    value = least - 1 if wrong == "below" else wrong
    setattr(settings, setting, value)
    with pytest.raises(ConfError) as caught:
        getattr(conf, name)
    assert str(caught.value).startswith(f"{setting} is {value!r}; it must be a whole number of ")
    assert f"{least} or more" in str(caught.value)
    assert caught.value.example == f"{setting} = {default}"


TEXTS = [
    ("SCHEDULES_ALLOWED_TARGETS", "allowed_targets", ["shop.tasks", "billing"]),
    ("SCHEDULES_HTTP_ALLOWED", "http_allowed", ["https://api.example.com/v1/jobs/", "https://*"]),
    ("SCHEDULES_SIGNING_KEYS", "signing_keys", [KEY, KEY.removeprefix("whsec_")]),
]


@pytest.mark.parametrize("setting, name, right", TEXTS)
def test_a_list_of_texts_is_a_list_or_a_tuple(
    settings: Settings, setting: str, name: str, right: list[str]
) -> None:
    setattr(settings, setting, right)
    assert getattr(conf, name) == tuple(right)
    setattr(settings, setting, tuple(right))
    assert getattr(conf, name) == tuple(right)


@pytest.mark.parametrize("setting, name, right", TEXTS)
@pytest.mark.parametrize("wrong", ["bare", {"a": 1}, 7, [""], [" padded "], [None], ["not/allowed here"]])
def test_a_wrong_list_is_told(
    settings: Settings, setting: str, name: str, right: list[str], wrong: Any
) -> None:
    setattr(settings, setting, right[0] if wrong == "bare" else wrong)
    with pytest.raises(ConfError, match=setting):
        getattr(conf, name)


def test_defaults_allow_no_prefix_no_key_and_the_jobs_of_the_backend(settings: Settings) -> None:
    for setting in ("SCHEDULES_ALLOWED_TARGETS", "SCHEDULES_SIGNING_KEYS", "SCHEDULES_HTTP_ALLOWED"):
        forget(settings, setting)
    settings.API_BASE_URL = "https://api.example.com/"
    assert conf.allowed_targets == ()
    assert conf.signing_keys == ()
    assert conf.api_base_url == "https://api.example.com"
    assert conf.http_allowed == ("https://api.example.com/v1/jobs/",)


@pytest.mark.parametrize("prefix", ["shop.", ".shop", "shop.*", "shop._private", "a b", "shop-x", "*"])
def test_a_prefix_is_a_dotted_name(settings: Settings, prefix: str) -> None:
    settings.SCHEDULES_ALLOWED_TARGETS = [prefix]
    with pytest.raises(ConfError, match="must be the dotted name"):
        _ = conf.allowed_targets


def test_no_error_shows_a_signing_key(settings: Settings) -> None:
    for wrong in ("secret-secret", ["secret-secret"], [KEY, "c2VjcmV0"], ["secret "], [b"secret"]):
        settings.SCHEDULES_SIGNING_KEYS = wrong
        with pytest.raises(ConfError) as caught:
            _ = conf.signing_keys
        assert "secret" not in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize(
    "setting, name", [("API_BASE_URL", "api_base_url"), ("SCHEDULES_NOTIFY_URL", "notify_url")]
)
@pytest.mark.parametrize("wrong", ["ftp://x", "//x", "example.com", "http://", "http://x:port", None, 7])
def test_a_url_is_http_with_a_host(settings: Settings, setting: str, name: str, wrong: Any) -> None:
    setattr(settings, setting, "https://example.com")
    assert getattr(conf, name) == "https://example.com"
    setattr(settings, setting, wrong)
    with pytest.raises(ConfError, match=f"{setting} is "):
        getattr(conf, name)


def test_nobody_is_notified_by_default(settings: Settings) -> None:
    forget(settings, "SCHEDULES_NOTIFY_URL")
    assert conf.notify_url == ""


def test_typing_a_function_is_off_unless_a_setting_says(settings: Settings) -> None:
    forget(settings, "SCHEDULES_FREE_TARGETS")
    assert conf.free_targets is False
    settings.SCHEDULES_FREE_TARGETS = True
    assert conf.free_targets is True
    settings.SCHEDULES_FREE_TARGETS = "no"
    with pytest.raises(ConfError, match="must be True or False"):
        _ = conf.free_targets


def test_queues_are_those_of_django_rq(settings: Settings) -> None:
    settings.RQ_QUEUES = {"default": {}, "mail": {}}
    assert conf.queues == ("default", "mail")
    for wrong in ({}, None, ["default"]):
        settings.RQ_QUEUES = wrong
        with pytest.raises(ConfError, match="RQ_QUEUES"):
            _ = conf.queues
