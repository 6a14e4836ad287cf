"""What the environment makes of the settings, and what it says when it cannot."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.support.programs import environment, manage, python

SHOW = """
import json, django.conf
s = django.conf.settings
print(json.dumps({name: getattr(s, name, None) for name in %r}, default=str))
"""


def settings_of(*names: str, **variables: str) -> dict[str, object]:
    env = environment(DJANGO_SETTINGS_MODULE="scheduler_project.settings", **variables)
    shown = python("-c", SHOW % (names,), env=env)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "variables, told",
    [
        ({"DEBUG": "0"}, "SECRET_KEY is not set"),
        ({"DEBUG": "0", "SECRET_KEY": "k" * 50}, "ALLOWED_HOSTS is not set"),
        ({"PORT": "eighty"}, "PORT is 'eighty'; allowed is a whole number from 1 to 65535."),
        ({"DATABASE_URL": "mysql://u:hunter2@h/n"}, "DATABASE_URL is not a URL that can be used here"),
        ({"REDIS_URL": "memcached://h"}, "REDIS_URL is not a URL that can be used here"),
        ({"TIME_ZONE": "Mars/Base"}, "TIME_ZONE is 'Mars/Base'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'LOUD'"),
        ({"SCHEDULES_KEEP_DAYS": "-1"}, "SCHEDULES_KEEP_DAYS is '-1'"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_1(
    tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    ended = manage("check", env=environment(VAR_DIR=str(tmp_path), **variables))
    assert ended.returncode == 1
    assert ended.stderr.startswith(told), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "hunter2" not in ended.stderr


def test_without_any_variable_a_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = settings_of("SECRET_KEY", VAR_DIR=str(tmp_path))
    again = settings_of("SECRET_KEY", VAR_DIR=str(tmp_path))
    assert first == again
    assert len(str(first["SECRET_KEY"])) == 50
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret_key"]


def test_the_port_moves_where_jobs_call_the_backend(tmp_path: Path) -> None:
    assert settings_of("API_BASE_URL", VAR_DIR=str(tmp_path), PORT="8123") == {
        "API_BASE_URL": "http://127.0.0.1:8123"
    }
    moved = settings_of(
        "API_BASE_URL", VAR_DIR=str(tmp_path), PORT="8123", API_BASE_URL="https://api.example/"
    )
    assert moved == {"API_BASE_URL": "https://api.example"}


def test_all_queues_share_one_connection(tmp_path: Path) -> None:
    shown = settings_of("RQ_QUEUES", VAR_DIR=str(tmp_path), REDIS_URL="redis://r.example:6379/3")
    queues = shown["RQ_QUEUES"]
    assert isinstance(queues, dict)
    assert set(queues) == {"default", "high", "low"}
    assert list(queues.values()) == [{"URL": "redis://r.example:6379/3", "DEFAULT_TIMEOUT": 180}] * 3


@pytest.mark.parametrize(
    "redis, cache",
    [
        ("redis://u:p@r.example:6379", "redis://u:p@r.example:6379/1"),
        ("rediss://r.example/3", "rediss://r.example/4"),
        ("unix:///a%20b/redis.sock?db=2", "unix:///a%20b/redis.sock?db=3"),
    ],
)
def test_the_cache_is_in_another_database_than_the_queues(tmp_path: Path, redis: str, cache: str) -> None:
    shown = settings_of("CACHES", VAR_DIR=str(tmp_path), REDIS_URL=redis)
    assert shown["CACHES"]["default"]["LOCATION"] == [cache]  # type: ignore[index]


def test_with_debug_off_cookies_and_transport_are_secured() -> None:
    shown = settings_of(
        *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS"),
        **{"DEBUG": "0", "SECRET_KEY": "k" * 50, "ALLOWED_HOSTS": "a.example, b.example"},
    )
    assert shown == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 3600,
    }


def test_the_environment_sets_what_the_app_reads(tmp_path: Path) -> None:
    shown = settings_of(
        *("SCHEDULES_KEEP_DAYS", "SCHEDULES_ALLOWED_TARGETS", "SCHEDULES_MAX_CATCHUP"),
        **{
            "VAR_DIR": str(tmp_path),
            "SCHEDULES_KEEP_DAYS": "7",
            "SCHEDULES_ALLOWED_TARGETS": "shop.,mail.send",
        },
    )
    assert shown == {
        "SCHEDULES_KEEP_DAYS": 7,
        "SCHEDULES_ALLOWED_TARGETS": ["shop.", "mail.send"],
        "SCHEDULES_MAX_CATCHUP": None,  # unset: the default is the app's
    }


def test_a_database_url_is_read_and_sqlite_gets_its_options_too(tmp_path: Path) -> None:
    postgresql = settings_of("DATABASES", VAR_DIR=str(tmp_path), DATABASE_URL="postgres://u:p@h:5433/n")
    config = postgresql["DATABASES"]["default"]  # type: ignore[index]
    assert (config["ENGINE"], config["HOST"], config["PORT"]) == ("django.db.backends.postgresql", "h", 5433)
    sqlite = settings_of("DATABASES", VAR_DIR=str(tmp_path), DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    config = sqlite["DATABASES"]["default"]  # type: ignore[index]
    assert config["NAME"] == f"{tmp_path}/other.db"
    assert config["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
