"""The page of one schedule: its standing, the preview, the test of a request, and who may do what on it."""

from __future__ import annotations

import uuid
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from schedules.admin.last_runs import last_runs, strip
from schedules.admin.list_columns import last_run, next_run
from schedules.admin.preview import Preview, preview_of, preview_of_query, with_company
from schedules.forms.http_request import RequestForm, request_of
from schedules.health.words import listening
from schedules.http import HttpJobError, send_request
from schedules.http.answers import SuccessCodes
from schedules.models import MisfirePolicy, OverlapPolicy, Schedule
from schedules.templatetags.schedules_health import health_of
from schedules.translating import translated

PREFIX: Final = "admin:schedules_schedule_"
MOST_USED_ZONES: Final = 10
OLD_ZONES: Final = (
    *("Etc/", "SystemV/", "posix/", "right/", "US/", "Canada/", "Brazil/", "Chile/", "Mexico/"),
    *("Arctic/", "Asia/Calcutta", "Asia/Katmandu", "Asia/Rangoon", "Asia/Saigon", "America/Buenos_Aires"),
)
"""Names that the zone database keeps for old software; who has one of them keeps it."""
RIGHTS: Final = {
    "change_schedule": gettext_lazy("Can change schedule"),
    "run_schedule": gettext_lazy("Can run a schedule now"),
    "pause_schedule": gettext_lazy("Can pause and resume schedules"),
}
"""What somebody who may only look can ask for, as Django's page of a user names it."""
LONGEST_TEST: Final = 10
"""Seconds that a test request may take: it holds a worker of the web server for so long."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One usual answer to "when"."""

    label: Any
    cron: str = ""
    interval: str = ""


PRESETS: Final = (
    Preset(gettext_lazy("Every 5 minutes"), cron="*/5 * * * *"),
    Preset(gettext_lazy("Hourly"), cron="0 * * * *"),
    Preset(gettext_lazy("Daily"), cron="0 4 * * *"),
    Preset(gettext_lazy("Weekdays"), cron="0 4 * * mon-fri"),
    Preset(gettext_lazy("Weekly"), cron="0 4 * * mon"),
    Preset(gettext_lazy("Monthly"), cron="0 4 1 * *"),
)


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Return the zones to choose from, without those that only old software knows."""
    names = (name for name in sorted(zoneinfo.available_timezones()) if "/" in name)
    return (*(name for name in names if not name.startswith(OLD_ZONES)), "UTC")


def zones() -> list[str]:
    """Return the zones to choose from: those in use first, as most schedules live where others do."""
    used = (
        Schedule.objects.order_by().values_list("timezone").annotate(n=Count("pk")).order_by("-n", "timezone")
    )
    first = [name for name, _count in used[:MOST_USED_ZONES]]
    first += [name for name in (settings.TIME_ZONE,) if name not in first]
    return [*first, *(name for name in zone_names() if name not in first)]


def page_context(request: HttpRequest, *, form: Any, schedule: Schedule | None) -> dict[str, Any]:
    """Return what the template of the form needs beside what Django gives it."""
    now = timezone.now()
    saved = schedule if schedule is not None and not schedule._state.adding else None
    may = request.user.has_perm
    _tell_workers(request, form)
    context: dict[str, Any] = {
        "presets": PRESETS,
        "zones": zones(),
        "how_summary": how_summary(form, schedule),
        "preview": with_company(_first_preview(request, form=form, saved=saved), stored=saved),
        "preview_url": _preview_url(saved),
        "test_url": reverse(f"{PREFIX}test"),
        "may_test": "what" in getattr(form, "fields", {}) and may_test(request),
    }
    if saved is None:
        return context
    row = Schedule.objects.get(pk=saved.pk)
    runs = last_runs([row])[row.pk]
    pk = quote(saved.pk)
    return context | {
        "standing": {
            "next": next_run(row, now=now),
            "last": last_run(row, runs, now=now),
            "strip": strip(runs) or "–",
        },
        "may_run": may("schedules.run_schedule"),
        "may_pause": may("schedules.pause_schedule"),
        "may_copy": may("schedules.add_schedule"),
        "may_see_runs": may("schedules.view_run"),
        "missing_rights": [str(title) for name, title in RIGHTS.items() if not may(f"schedules.{name}")],
        "is_paused": row.is_paused(now),
        "tools": {
            **{verb: reverse(f"{PREFIX}{verb}", args=[saved.pk]) for verb in ("run", "pause", "resume")},
            "copy": f"{reverse(f'{PREFIX}add')}?copy={pk}",
            "runs": f"{reverse('admin:schedules_run_changelist')}?schedule={pk}",
        },
    }


def _tell_workers(request: HttpRequest, form: Any) -> None:
    """Say beside each queue how many workers listen to it, where that is known."""
    field = getattr(form, "fields", {}).get("queue")
    redis = health_of(request)[0].redis
    if field is None or not redis.is_there:
        return
    choices = []
    for name, label in field.choices:
        workers = listening(redis.workers_of(name)).removesuffix(".")
        choices.append((name, f"{label} ({workers})"))
    field.choices = choices


def how_summary(form: Any, schedule: Schedule | None) -> str:
    """Say the policies in one line, for the folded part."""

    def value(name: str) -> Any:
        if name in getattr(form, "fields", {}):
            return form[name].value()
        return getattr(schedule, name, None)

    timeout = value("timeout")
    retries = value("retry_max")
    overlap = dict(OverlapPolicy.choices).get(value("overlap_policy") or "", "")
    misfire = dict(MisfirePolicy.choices).get(value("misfire_policy") or "", "")
    parts = [
        _("timeout of the queue") if timeout in (None, "") else _("timeout %(value)s s") % {"value": timeout},
        _("if still running: %(policy)s") % {"policy": overlap},
        _("late: %(policy)s") % {"policy": misfire},
        _("no retries") if retries in (None, "", 0, "0") else _retries(retries),
    ]
    return " · ".join(parts)


def _retries(value: object) -> str:
    # What was typed may be no number.
    count = int(str(value)) if str(value).isdecimal() else 2
    return ngettext("%(value)s retry", "%(value)s retries", count) % {"value": value}


def _first_preview(request: HttpRequest, *, form: Any, saved: Schedule | None) -> Preview:
    now = timezone.now()
    if getattr(form, "is_bound", False):
        return preview_of_query(request.POST, stored=_as_stored(saved), now=now)
    if saved is not None:
        return preview_of(saved, stored=saved, now=now)
    values = form.get_initial_for_field if hasattr(form, "get_initial_for_field") else None
    data = {}
    if values is not None:
        for name in ("kind", "interval", "cron", "timezone"):
            if name in form.fields:
                data[name] = form[name].value() or ""
    return preview_of_query(data, stored=None, now=now)


def _as_stored(saved: Schedule | None) -> Schedule | None:
    """Return the row as the database has it: validating a form has changed the instance."""
    return None if saved is None else Schedule.objects.filter(pk=saved.pk).first()


def _preview_url(saved: Schedule | None) -> str:
    url = reverse(f"{PREFIX}preview")
    return url if saved is None else f"{url}?id={saved.pk}"


def preview_view(request: HttpRequest) -> HttpResponse:
    """Answer with the preview of the fields in the query, as a part of a page.

    Raises:
        PermissionDenied: this user may neither see nor add schedules.
    """
    may = request.user.has_perm
    if not any(may(f"schedules.{name}_schedule") for name in ("view", "add", "change")):
        raise PermissionDenied
    stored = None
    if request.GET.get("id") and (may("schedules.view_schedule") or may("schedules.change_schedule")):
        key = _uuid(request.GET["id"])
        stored = None if key is None else Schedule.objects.filter(pk=key).first()
    preview = with_company(preview_of_query(request.GET, stored=stored, now=timezone.now()), stored=stored)
    response = TemplateResponse(request, "admin/schedules/schedule/preview.html", {"preview": preview})
    response["Cache-Control"] = "no-store"
    return response


def may_test(request: HttpRequest) -> bool:
    """Say whether this user may send a request of their own making."""
    may = request.user.has_perm
    return may("schedules.run_schedule") and (may("schedules.add_schedule") or may("schedules.change_target"))


def test_view(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Send what is filled in once, and show what was answered; no secret is in it.

    Raises:
        PermissionDenied: this user may not start runs, or not say what they do.
    """
    if request.method != "POST" or not may_test(request):
        raise PermissionDenied
    form = RequestForm(request.POST)
    problems: list[str] = []
    answer = None
    if form.is_valid():
        sent, wrong = request_of(form.cleaned_data)
        problems = [text for texts in wrong.values() for text in texts]
        if not problems:
            sent["timeout"] = min(sent["timeout"], LONGEST_TEST)
            try:
                answer = send_request(**sent)
            except HttpJobError as error:
                problems = [translated(error)]
    else:
        problems = [str(text) for errors in form.errors.values() for text in errors]
    part = request.headers.get("X-Requested-With") == "fetch"
    success = None
    if answer is not None:
        success = answer.status in SuccessCodes.read(sent["success"])
    return TemplateResponse(
        request,
        "admin/schedules/schedule/answer.html" if part else "admin/schedules/schedule/answer_page.html",
        {
            **context,
            "title": _("Test request"),
            "answer": answer,
            "problems": problems,
            "is_success": success,
        },
    )


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
