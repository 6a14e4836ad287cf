"""The first page of the app: what failed, what ran today, what runs next, how well it all does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.admin import moments
from schedules.admin.figures import WINDOWS, figures_of
from schedules.admin.plan import planned
from schedules.health import Facts
from schedules.models import Run, RunStatus, Schedule
from schedules.models.choices import FAILED_STATUSES
from schedules.targets import registered_targets
from schedules.timing import TimingError, describe
from schedules.translating import translated

BACK: Final = timedelta(hours=6)
AHEAD: Final = timedelta(hours=18)
WIDTH: Final = 720
LANES: Final = 12
"""Schedules that the timeline shows: the failing ones first, then those that are due next."""
MOST_TICKS: Final = 60
"""A lane with more is drawn as a band."""
NEXT: Final = 12
TODAY_ROWS: Final = 20_000
"""Runs of today that are counted: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One run on a lane: a place, and what became of it; ahead of now, `planned`."""

    x: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One schedule on the timeline. `y` and the places are in the units of the picture."""

    schedule: Schedule
    y: int
    ticks: Sequence[Tick]
    band: tuple[float, float] | None
    """From and to, where there are too many slots ahead to tell them apart."""
    words: str
    done: str
    """What happened, for the table."""
    ahead: str
    """What is planned, for the table."""
    following: datetime | None


def context_of(facts: Facts, *, now: datetime, window: str) -> dict[str, Any]:
    """Return what the page shows. Looks at a bounded number of rows, however long the ledger is."""
    window = window if window in WINDOWS else "day"
    failing = list(
        Schedule.objects.filter(enabled=True, failures_in_a_row__gt=0).order_by("-failures_in_a_row", "name")[
            :LANES
        ]
    )
    coming = list(
        Schedule.objects.filter(enabled=True, next_run_at__isnull=False).order_by("next_run_at")[
            : LANES + NEXT
        ]
    )
    shown = list({row.pk: row for row in [*failing, *coming]}.values())[:LANES]
    return {
        "now": now,
        "today": _today(now),
        "failing": _failing(failing),
        "lanes": _lanes(shown, now),
        "height": 28 * len(shown),
        "hours": _hours(now),
        "now_x": round(BACK / (BACK + AHEAD) * WIDTH, 1),
        "following": _next_runs(coming, now),
        "figures": figures_of(window, now),
        "window": window,
        "windows": [(name, text) for name, (_length, text) in WINDOWS.items()],
        "checklist": _checklist(facts),
        "active": facts.database.active,
        "paused": facts.database.paused,
    }


def _today(now: datetime) -> list[tuple[str, str, int]]:
    newest = Run.objects.filter(scheduled_for__gte=moments.midnight(now)).order_by("-scheduled_for", "-id")
    counts = Counter(newest.values_list("status", flat=True)[:TODAY_ROWS])
    bad = sum(counts[status] for status in FAILED_STATUSES)
    return [
        ("succeeded", _("OK"), counts[RunStatus.SUCCEEDED]),
        ("failed", _("failed"), bad),
        ("missed", _("missed"), counts[RunStatus.MISSED]),
        ("skipped", _("skipped"), counts[RunStatus.SKIPPED]),
        ("running", _("running"), counts[RunStatus.RUNNING]),
        ("queued", _("queued"), counts[RunStatus.QUEUED]),
    ]


def _failing(schedules: Sequence[Schedule]) -> list[dict[str, Any]]:
    """Return the failing schedules with their newest failure, in one query for all."""
    newest: dict[Any, Run] = {}
    if schedules:
        rows = (
            Run.objects.filter(schedule__in=schedules, status__in=FAILED_STATUSES)
            .only("id", "schedule_id", "exception", "reason", "scheduled_for", "status")
            .order_by("-scheduled_for", "-id")[: 20 * len(schedules)]
        )
        for run in rows:
            newest.setdefault(run.schedule_id, run)
    return [
        {
            "schedule": schedule,
            "run": newest.get(schedule.pk),
            "words": ngettext(
                "%(count)d failure in a row", "%(count)d failures in a row", schedule.failures_in_a_row
            )
            % {"count": schedule.failures_in_a_row},
        }
        for schedule in schedules
    ]


def _lanes(schedules: Sequence[Schedule], now: datetime) -> list[Lane]:
    past: dict[Any, list[tuple[datetime, str]]] = defaultdict(list)
    rows = (
        Run.objects.filter(schedule__in=schedules, scheduled_for__gte=now - BACK, scheduled_for__lte=now)
        .order_by("-scheduled_for", "-id")
        .values_list("schedule_id", "scheduled_for", "status")[: 4 * MOST_TICKS * LANES]
        if schedules
        else []
    )
    for pk, at, status in rows:
        past[pk].append((at, status))
    return [_lane(schedule, place, past[schedule.pk], now) for place, schedule in enumerate(schedules)]


def _lane(schedule: Schedule, place: int, past: Sequence[tuple[datetime, str]], now: datetime) -> Lane:
    slots = planned(schedule, since=now, until=now + AHEAD, limit=MOST_TICKS + 1)
    ticks = _spread((_x(at, now), status) for at, status in reversed(past))
    band = None
    if len(slots) > MOST_TICKS:
        band = (_x(slots[0], now), WIDTH - _x(slots[0], now))
    else:
        ticks += [Tick(x=_x(at, now), state="planned") for at in slots]
    counts = Counter(status for _at, status in past)
    bad = sum(counts[status] for status in FAILED_STATUSES)
    done = (
        ngettext("%(count)d run", "%(count)d runs", len(past)) % {"count": len(past)}
        + (", " + ngettext("%(bad)d failed", "%(bad)d failed", bad) % {"bad": bad} if bad else "")
        if past
        else "–"
    )
    return Lane(
        schedule=schedule,
        y=place * 28,
        ticks=ticks,
        band=band,
        words=_words(schedule),
        done=done,
        ahead=_ahead(len(slots)),
        following=slots[0] if slots else None,
    )


def _ahead(count: int) -> str:
    if not count:
        return "–"
    if count > MOST_TICKS:
        return ngettext("more than %(count)d run", "more than %(count)d runs", MOST_TICKS) % {
            "count": MOST_TICKS
        }
    return ngettext("%(count)d run", "%(count)d runs", count) % {"count": count}


def _spread(ticks: Iterable[tuple[float, str]]) -> list[Tick]:
    """Return at most one tick for each place that can be told apart: the worst that happened there."""
    worst = [*FAILED_STATUSES, RunStatus.MISSED, RunStatus.CANCELED, RunStatus.SKIPPED]
    places: dict[int, Tick] = {}
    for x, state in ticks:
        place = round(x / 4)
        held = places.get(place)
        if held is None or (state in worst and held.state not in worst[: worst.index(RunStatus(state))]):
            places[place] = Tick(x=x, state=state)
    return list(places.values())


def _words(schedule: Schedule) -> str:
    try:
        # The times beside it say the zone.
        return translated(describe(schedule.trigger())).removesuffix(f", {schedule.timezone}")
    except (ValueError, TimingError):
        return ""


def _hours(now: datetime) -> list[dict[str, Any]]:
    """Return the full hours that get a mark: every third one, by the clock on the wall."""
    local = timezone.localtime(now - BACK).replace(minute=0, second=0, microsecond=0)
    marks: list[dict[str, Any]] = []
    start = local.astimezone(UTC)
    for hour in range(1, int((BACK + AHEAD) / timedelta(hours=1)) + 1):
        at = start + timedelta(hours=hour)
        wall = timezone.localtime(at)
        if wall.hour % 3 == 0 and wall.minute == 0:
            x = _x(at, now)
            # Beside "now" there is no room for a second word.
            text = f"{wall:%H:%M}" if abs(x - _x(now, now)) > 32 else ""
            marks.append({"x": x, "text": text})
    return marks


def _x(at: datetime, now: datetime) -> float:
    share = (at - (now - BACK)) / (BACK + AHEAD)
    return round(min(max(share, 0.0), 1.0) * WIDTH, 1)


def _next_runs(schedules: Sequence[Schedule], now: datetime) -> list[dict[str, Any]]:
    """Return what runs next: each schedule once, or a frequent one would hide all the others."""
    coming = sorted(
        (
            (slots[0] if slots else schedule.next_run_at, schedule.name, schedule)
            for schedule in schedules
            if (slots := planned(schedule, since=now, until=now + timedelta(days=366), limit=1))
            or schedule.next_run_at is not None
        ),
        key=lambda one: one[:2],
    )
    return [
        {"at": at, "schedule": schedule, "words": _words(schedule)} for at, _name, schedule in coming[:NEXT]
    ]


def _checklist(facts: Facts) -> list[dict[str, Any]]:
    """Return the four steps of a first start, until all are done once; empty after."""
    from schedules.health.findings import alive

    is_there = facts.redis.is_there
    steps = [
        {
            "done": is_there,
            "known": True,
            "text": _("Redis is reachable"),
            "command": "" if is_there else "redis-server",
        },
        {
            "done": bool(alive(facts)),
            "known": is_there,
            "text": _("A scheduler is running"),
            "command": "python manage.py rqscheduler",
        },
        {
            "done": bool(facts.redis.workers),
            "known": is_there,
            "text": _("A worker listens"),
            "command": "python manage.py rqworker default",
        },
        {
            "done": bool(facts.database.schedules),
            "known": True,
            "text": _("There is a schedule"),
            "command": "",
        },
    ]
    if facts.database.schedules:
        return []
    steps[3]["functions"] = len(registered_targets())
    return steps
