"""The preview: what the engine would do with the fields of When, computed by the functions that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from schedules.admin import moments
from schedules.admin.list_columns import when_words
from schedules.forms import WHEN, WhenForm, when_of
from schedules.health.words import from_now
from schedules.models import Schedule
from schedules.timing import Caution, Trigger, upcoming, warnings
from schedules.translating import translated
from schedules.validators import trigger_errors

SLOTS: Final = 10
COMPANY: Final = 5
"""Schedules in the same minute from which on it is worth a note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One slot, as text: a template would move a moment into a zone of its own choice."""

    slot: datetime
    local: str
    utc: str
    relative: str

    @property
    def iso(self) -> str:
        """The exact moment, for machines."""
        return self.slot.isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What is shown beside When."""

    words: str = ""
    zone: str = "UTC"
    clock: str = ""
    rows: tuple[Row, ...] = ()
    cautions: tuple[Caution, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    moves: str = ""
    """How the next run changes; empty: it does not, or it is a new schedule."""
    slots: tuple[datetime, ...] = field(default=(), repr=False)


def preview_of_query(data: Mapping[str, Any], *, stored: Schedule | None, now: datetime) -> Preview:
    """Return the preview of what stands in a form; `stored` is the row that it would change."""
    form = WhenForm(when_of(data))
    schedule = Schedule(name=stored.name if stored is not None else "", created_at=now)
    if stored is not None:
        schedule.created_at = stored.created_at
        schedule.runs_dispatched = stored.runs_dispatched
        schedule.paused_at, schedule.paused_until = stored.paused_at, stored.paused_until
    valid = form.is_valid()
    for name in WHEN:
        if name in form.cleaned_data:
            setattr(schedule, name, form.cleaned_data[name])
    schedule.jitter = schedule.jitter or 0
    if not valid:
        texts = [
            f"{Schedule._meta.get_field(name).verbose_name}: {text}"  # type: ignore[union-attr]
            for name, errors in form.errors.items()
            for text in errors
        ]
        for name, errors in trigger_errors(schedule, now=now, adding=stored is None).items():
            texts += [] if name in form.errors else errors
        return Preview(problems=tuple(dict.fromkeys(texts)), zone=schedule.timezone)
    return preview_of(schedule, stored=stored, now=now)


def preview_of(schedule: Schedule, *, stored: Schedule | None = None, now: datetime) -> Preview:
    """Return the preview of a schedule, saved or not."""
    if not _has_anything(schedule):
        return Preview(
            notes=(_("Say when it should run; its next runs are shown here."),), zone=schedule.timezone
        )
    problems = trigger_errors(schedule, now=now, adding=stored is None)
    if problems:
        texts = [text for part in problems.values() for text in part]
        return Preview(problems=tuple(dict.fromkeys(texts)), zone=schedule.timezone)
    idle = schedule.not_scheduled_because
    if idle:
        return Preview(words=_("Not scheduled"), notes=(translated(idle),), zone=schedule.timezone)
    trigger = schedule.trigger()
    slots = _slots(schedule, trigger, now)
    zone = moments.zone_named(schedule.timezone)
    schedule.asked_at = now  # type: ignore[attr-defined]
    return Preview(
        words=when_words(schedule)[0],
        zone=schedule.timezone,
        clock=f"{now.astimezone(zone):%H:%M} {moments.zone_letters(now.astimezone(zone))}",
        rows=tuple(
            Row(
                slot=slot,
                local=moments.full(slot, zone=zone),
                utc=moments.short(slot, zone=UTC, now=now).removesuffix(" UTC"),
                relative=from_now(slot, now=now),
            )
            for slot in slots
        ),
        slots=tuple(slots),
        cautions=tuple(replace(caution, text=translated(caution.text)) for caution in warnings(trigger, now)),
        notes=tuple(_notes(schedule, now)),
        moves=_moves(stored, slots, zone=zone, now=now),
    )


def with_company(preview: Preview, *, stored: Schedule | None) -> Preview:
    """Add how many others start in the minute of the next run, where they are many: they share workers."""
    if not preview.slots:
        return preview
    minute = preview.slots[0].replace(second=0, microsecond=0)
    others = Schedule.objects.filter(
        enabled=True, next_run_at__gte=minute, next_run_at__lt=minute + timedelta(minutes=1)
    )
    if stored is not None:
        others = others.exclude(pk=stored.pk)
    count = others.count()
    if count < COMPANY:
        return preview
    note = ngettext(
        "%(count)d other schedule starts in the same minute as the next run.",
        "%(count)d other schedules start in the same minute as the next run.",
        count,
    ) % {"count": count}
    return replace(preview, notes=(*preview.notes, note))


def _has_anything(schedule: Schedule) -> bool:
    """Whether the field that the kind needs is filled in, here or in the environment."""
    values = {"cron": schedule.cron, "once": schedule.run_at, "interval": schedule.interval}
    return values.get(schedule.kind) not in (None, "") or schedule.is_scheduled


def _slots(schedule: Schedule, trigger: Trigger, now: datetime) -> list[datetime]:
    after = now
    if schedule.paused_at is not None and schedule.paused_until is not None:
        after = max(now, schedule.paused_until)
    count = SLOTS
    if schedule.max_runs is not None:
        count = min(count, max(schedule.max_runs - schedule.runs_dispatched, 0))
    return upcoming(trigger, after, count) if count else []


def _notes(schedule: Schedule, now: datetime) -> list[str]:
    notes = []
    if schedule.jitter:
        notes.append(_("Each run is delayed by up to %(seconds)d seconds.") % {"seconds": schedule.jitter})
    if schedule.max_runs is not None:
        notes.append(
            _("%(done)d of at most %(most)d runs are used up.")
            % {"done": schedule.runs_dispatched, "most": schedule.max_runs}
        )
    if schedule.is_paused(now):
        notes.append(
            _("It is paused: nothing runs until it is resumed.")
            if schedule.paused_until is None
            else _("It is paused: nothing runs before that ends.")
        )
    return notes


def _moves(stored: Schedule | None, slots: list[datetime], *, zone: Any, now: datetime) -> str:
    """Say how the next run changes against the stored row."""
    if stored is None:
        return ""
    try:
        before = _slots(stored, stored.trigger(), now)[:1]
    except ValueError:
        before = []
    if before == slots[:1]:
        return ""
    none = pgettext("a run", "none")
    return _("Next run moves: %(old)s → %(new)s") % {
        "old": moments.short(before[0], zone=zone, now=now) if before else none,
        "new": moments.short(slots[0], zone=zone, now=now) if slots else none,
    }
