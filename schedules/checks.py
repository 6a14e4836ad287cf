"""System checks: every setting, and every variable of the environment, before anything depends on it.

Each setting has an id of its own, and a hint that can be pasted. The checks that read rows run with
`manage.py check --database default` and with `migrate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections
from django.urls import get_resolver

from schedules import environment
from schedules.conf import ConfError, conf
from schedules.http.allowed import RuleError, read_rule
from schedules.models import Schedule
from schedules.router.checks import check_router_cache
from schedules.targets import broken_modules

SETTINGS: Final = {
    "schedules.E001": "misfire_threshold",
    "schedules.E002": "max_catchup",
    "schedules.E003": "reconcile_seconds",
    "schedules.E004": "allowed_targets",
    "schedules.E005": "keep_days",
    "schedules.E006": "keep_runs",
    "schedules.E007": "http_allowed",
    "schedules.E008": "signing_keys",
    "schedules.E009": "notify_url",
    "schedules.E010": "api_base_url",
    "schedules.E011": "grace",
    "schedules.E012": "free_targets",
    "schedules.E013": "queues",
    "schedules.E015": "http_proxy",
    "schedules.E016": "http_ca_bundle",
    "schedules.E017": "router_cache",
}
"""Id of the check, and the property of `conf` that it asks."""

register(check_router_cache)


@register
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E001–E017: each setting can be used."""
    found: list[CheckMessage] = []
    for check_id, name in SETTINGS.items():
        try:
            getattr(conf, name)
        except ConfError as error:
            # API_BASE_URL is also the default of another setting: what is wrong with it is told at its own id.
            if error.setting != "API_BASE_URL" or name == "api_base_url":
                found.append(Error(str(error), hint=f"For example: {error.example}", id=check_id))
    if not settings.USE_TZ:
        found.append(
            Error(
                "USE_TZ is False; every moment of a schedule has a zone.",
                hint="For example: USE_TZ = True",
                id="schedules.E014",
            )
        )
    return found


@register
def check_http_rules(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E018: each entry of SCHEDULES_HTTP_ALLOWED can be read as the worker reads it; one bad entry stops them all."""
    try:
        entries = conf.http_allowed
    except ConfError:
        return []  # E007 and E010 tell of it
    found: list[CheckMessage] = []
    for entry in entries:
        try:
            read_rule(entry)
        except RuleError as error:
            hint = 'For example: SCHEDULES_HTTP_ALLOWED = [API_BASE_URL + "/v1/jobs/"]'
            found.append(Error(str(error), hint=hint, id="schedules.E018"))
    return found


@register
def check_environment(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E020: every `SCHEDULE_<NAME>_INTERVAL` is a whole number of seconds."""
    return [
        Error(
            str(error),
            hint=f"For example: export {error.variable}=60",
            id="schedules.E020",
            obj=error.variable,
        )
        for error in environment.broken_overrides()
    ]


@register
def check_job_modules(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W001: the job modules of the installed apps can be imported."""
    try:
        broken = broken_modules()
    except ConfError:
        return []  # E004 tells of it
    return [
        Warning(
            f"{module} cannot be imported ({problem}); its functions cannot be scheduled, and runs of them fail.",
            hint=f"For example: python -c 'import {module}'",
            id="schedules.W001",
            obj=module,
        )
        for module, problem in broken.items()
    ]


@register(Tags.database)
def check_names(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W002: no two schedules listen to the same variable of the environment."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        for variable, names in environment.colliding_names(_names(alias)).items():
            found.append(
                Warning(
                    f"The schedules {', '.join(map(repr, names))} all listen to {variable}.",
                    hint="Rename all but one of them, or let each keep its own interval by not setting the variable.",
                    id="schedules.W002",
                    obj=variable,
                )
            )
    return found


@register(Tags.urls)
def check_queue_pages(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W003: nobody reaches django-rq's pages past the permissions; by themselves they let any staff user in."""
    from schedules.admin.queue_pages import unguarded  # an admin is imported when all apps are ready

    if not getattr(settings, "ROOT_URLCONF", ""):
        return []
    return [
        Warning(
            f"{route} leads to a page of django-rq that any staff user may use, whatever their permissions.",
            hint="Leave django_rq.urls out: the admin has its pages, each behind a permission.",
            id="schedules.W003",
            obj=route,
        )
        for route in unguarded(get_resolver().url_patterns)
    ]


@register(deploy=True)
def check_health(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """S100 to S111, with `manage.py check --deploy`: what the banners of the admin say, but for notes."""
    from schedules.health import Level, findings, gather

    return [
        Warning(finding.text, hint=finding.command or None, id=f"schedules.{finding.code}")
        for finding in findings(gather())
        if finding.level != Level.INFO
    ]


def _names(alias: str) -> list[str]:
    try:
        if Schedule._meta.db_table not in connections[alias].introspection.table_names():
            return []  # before the first migrate
        return list(Schedule.objects.using(alias).values_list("name", flat=True))
    except DatabaseError:
        return []  # Django's own check of the database tells of it
