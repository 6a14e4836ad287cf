"""The saved, named instruction: what runs, when, and how."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.utils import timezone as clock
from django.utils.translation import gettext_lazy as _

from schedules import texts, validators
from schedules.environment import IntervalOverrideError, interval_override, variable_of
from schedules.models.choices import Alarm, Kind, MisfirePolicy, OverlapPolicy, RunStatus
from schedules.models.constraints import SCHEDULE_CONSTRAINTS
from schedules.models.schedule_queries import ScheduleQuerySet
from schedules.models.spec_of import spec_of, trigger_of
from schedules.spec import ScheduleSpec
from schedules.timing import Trigger


def default_timezone() -> str:
    """Return the project's zone, for new rows."""
    return str(settings.TIME_ZONE)


class Schedule(models.Model):
    """A function, a trigger and policies, under a name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    # --- What
    name = models.CharField(_("name"), max_length=200, unique=True, validators=[validators.check_plain_text])
    description = models.TextField(_("description"), blank=True, validators=[validators.check_no_nul])
    func = models.CharField(
        _("function"), max_length=255, help_text=_("Dotted path, for example shop.jobs.sync_orders.")
    )
    args = models.JSONField(
        _("positional arguments"), default=list, blank=True, help_text=_('JSON list, for example ["de", 3].')
    )
    kwargs = models.JSONField(
        _("named arguments"),
        default=dict,
        blank=True,
        help_text=_('JSON object, for example {"full": true}.'),
    )
    queue = models.CharField(_("queue"), max_length=100, default="default")
    tags = models.JSONField(
        _("tags"), default=list, blank=True, help_text=_('JSON list of short texts, for example ["shop"].')
    )
    enabled = models.BooleanField(_("enabled"), default=True)

    # --- When
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.INTERVAL)
    interval = models.IntegerField(
        _("interval"), null=True, blank=True, help_text=_("Seconds; zero or less: not scheduled.")
    )
    cron = models.CharField(  # noqa: DJ001 - what a kind does not use is null, of whatever type
        _("cron expression"),
        max_length=255,
        null=True,
        blank=True,
        help_text=_("Minute, hour, day, month, weekday; for example 30 4 * * mon-fri."),
    )
    timezone = models.CharField(
        _("time zone"), max_length=64, default=default_timezone, help_text=_("For example Europe/Paris.")
    )
    run_at = models.DateTimeField(_("run at"), null=True, blank=True)
    starts_at = models.DateTimeField(
        _("starts"), null=True, blank=True, help_text=_("No slot before; an interval counts from here.")
    )
    ends_at = models.DateTimeField(
        _("ends"), null=True, blank=True, help_text=_("No slot at this moment or later.")
    )
    max_runs = models.IntegerField(
        _("runs at most"), null=True, blank=True, help_text=_("Skipped and missed slots do not count.")
    )
    jitter = models.IntegerField(
        _("jitter"),
        default=0,
        help_text=_("Seconds; each slot is delayed by up to so many, always the same."),
    )

    # --- How
    timeout = models.IntegerField(
        _("timeout"),
        null=True,
        blank=True,
        help_text=_("Seconds a run may take; empty: the queue's; -1: any."),
    )
    result_ttl = models.IntegerField(
        _("result kept"),
        null=True,
        blank=True,
        help_text=_("Seconds that Redis keeps the job after success; empty: RQ's default; -1: for ever."),
    )
    misfire_policy = models.CharField(
        _("late slots"), max_length=20, choices=MisfirePolicy, default=MisfirePolicy.FIRE_ONCE
    )
    catchup_window = models.IntegerField(
        _("catch-up window"),
        null=True,
        blank=True,
        help_text=_("Seconds; slots that are later than this are missed. Empty: no limit."),
    )
    overlap_policy = models.CharField(
        _("overlap"), max_length=20, choices=OverlapPolicy, default=OverlapPolicy.SKIP
    )
    retry_max = models.IntegerField(_("retries"), default=0, help_text=_("After a failure, at most so many."))
    retry_min_backoff = models.IntegerField(
        _("first wait"), default=5, help_text=_("Seconds before the first retry; doubled for each after it.")
    )
    retry_max_backoff = models.IntegerField(
        _("longest wait"), default=3600, help_text=_("Seconds between two retries at most.")
    )

    # --- Pause: the operation, beside `enabled`, the intent
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(
        _("paused until"), null=True, blank=True, editable=False, help_text=_("Empty: until resumed.")
    )
    pause_reason = models.CharField(_("pause reason"), max_length=500, blank=True, editable=False)
    resumed_at = models.DateTimeField(
        _("resumed"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Slots up to this moment are not made up for."),
    )

    # --- Alarms
    grace = models.IntegerField(
        _("grace"),
        null=True,
        blank=True,
        help_text=_("Seconds after which a slot that has not started is late; empty: as in the settings."),
    )
    failure_threshold = models.IntegerField(
        _("failures before an alarm"),
        default=1,
        help_text=_("In a row. The first one is told as well."),
    )
    pause_on_failure = models.BooleanField(_("pause at that alarm"), default=False)
    notify_email = models.TextField(
        _("notify"), blank=True, help_text=_("E-mail addresses, separated by commas or lines.")
    )

    # --- Retention
    keep_days = models.IntegerField(
        _("keep runs for"), null=True, blank=True, help_text=_("Days; empty: as in the settings.")
    )
    keep_runs = models.IntegerField(
        _("keep runs"), null=True, blank=True, help_text=_("At most so many; empty: as in the settings.")
    )

    # --- The row itself
    version = models.PositiveIntegerField(
        _("version"),
        default=1,
        editable=False,
        help_text=_("Counts edits, so that a form that is out of date does not overwrite a newer one."),
    )
    # Not auto_now_add: an unsaved schedule can be previewed, and its interval counts from here.
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    # --- The keeper's notes, for lists that sort by them. Written with QuerySet.update, which sends no signal;
    # never part of the spec, never read to decide what runs: the truth is in Redis (next) and the ledger (last).
    # A change of these alone changes neither `version` nor `updated_at`.
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True, editable=False)
    last_run_at = models.DateTimeField(_("last run"), null=True, blank=True, editable=False)
    # The next two are how far the schedule has come by the ledger's books; runs are pruned, these are not. An entry
    # that Redis has lost is rebuilt from them, so that no slot runs twice and `max_runs` holds.
    last_slot_at = models.DateTimeField(
        _("last slot"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The newest slot that is settled: queued, skipped or missed."),
    )
    runs_dispatched = models.PositiveIntegerField(_("runs so far"), default=0, editable=False)
    last_status = models.CharField(
        _("last outcome"), max_length=10, choices=RunStatus, blank=True, editable=False
    )
    failures_in_a_row = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    alarm = models.CharField(_("alarm"), max_length=10, choices=Alarm, blank=True, editable=False)
    alarm_at = models.DateTimeField(_("alarm since"), null=True, blank=True, editable=False)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("name",)
        permissions = (
            ("run_schedule", _("Can run a schedule now")),
            ("pause_schedule", _("Can pause and resume schedules")),
            ("change_target", _("Can change the function and the arguments of a schedule")),
        )
        indexes = (
            models.Index("next_run_at", name="schedule_by_next_run"),
            models.Index("last_run_at", name="schedule_by_last_run"),
            models.Index(F("failures_in_a_row").desc(), "name", name="schedule_by_failures"),
        )
        constraints = SCHEDULE_CONSTRAINTS

    def __str__(self) -> str:
        return validators.visible_text(self.name)

    def clean(self) -> None:
        """Set what the kind does not use to null, and check all that one field alone cannot tell.

        Raises:
            ValidationError: every problem at once, each at its field.
        """
        super().clean()
        if self.kind in Kind.values:
            for field, owner in (("interval", Kind.INTERVAL), ("cron", Kind.CRON), ("run_at", Kind.ONCE)):
                if self.kind != owner:
                    setattr(self, field, None)
        # An emptied field of a form is None.
        self.args = [] if self.args is None else self.args
        self.kwargs = {} if self.kwargs is None else self.kwargs
        self.tags = validators.tidy_tags(self.tags)
        errors = validators.schedule_errors(self, now=clock.now(), adding=self._state.adding)
        if errors:
            raise ValidationError(cast("dict[str, Any]", errors))

    @property
    def interval_in_force(self) -> int | None:
        """Seconds, as the environment or else the row says; only a schedule of kind `interval` has one.

        Raises:
            IntervalOverrideError: the environment's variable holds no number.
        """
        override = interval_override(self.name)
        if self.kind != Kind.INTERVAL:
            return None
        return self.interval if override is None else override

    @property
    def not_scheduled_because(self) -> str:
        """Why this has no slots although it may be enabled, as a sentence (a `Text`); empty: it has.

        A variable that cannot be read is no reason: what is unknown must not take a schedule away.
        """
        try:
            return self.without_slots_because(interval_override(self.name))
        except IntervalOverrideError:
            return ""

    def without_slots_because(self, override: int | None) -> str:
        """Return the same, given the seconds that the environment sets (None: it says nothing)."""
        if override is not None and override <= 0:
            text = texts.gettext("%(variable)s is %(seconds)d: zero or less means not scheduled.")
            return text % {"variable": variable_of(self.name), "seconds": override}
        if self.kind == Kind.INTERVAL and override is None:
            if self.interval is None:
                return texts.gettext("The interval is empty.")
            if self.interval <= 0:
                text = texts.gettext("The interval is %(seconds)d: zero or less means not scheduled.")
                return text % {"seconds": self.interval}
        if self.kind == Kind.CRON and not self.cron:
            return texts.gettext("The cron expression is empty.")
        if self.kind == Kind.ONCE and self.run_at is None:
            return texts.gettext("The time to run at is empty.")
        return ""

    @property
    def is_scheduled(self) -> bool:
        """Whether there is a trigger with slots, by the row or the environment."""
        return not self.not_scheduled_because

    @property
    def wanted(self) -> bool:
        """Whether Redis should hold it: enabled, scheduled, and not paused for as long as nobody resumes it.

        One that is paused until a moment is held, with that moment in its plan.
        """
        return self.is_on and self.is_scheduled

    @property
    def is_on(self) -> bool:
        """Whether somebody wants its slots: enabled, and not paused for as long as nobody resumes it."""
        return self.enabled and (self.paused_at is None or self.paused_until is not None)

    def is_paused(self, now: datetime) -> bool:
        """Say whether it is paused at `now`."""
        return self.paused_at is not None and (self.paused_until is None or now < self.paused_until)

    def is_active(self, now: datetime) -> bool:
        """Say whether its slots at `now` run: enabled, scheduled, not paused."""
        return self.enabled and self.is_scheduled and not self.is_paused(now)

    def pause(self, *, at: datetime, until: datetime | None = None, reason: str = "") -> None:
        """Set the fields of a pause from `at` on; nothing is saved. `until` None: until `resume`."""
        self.paused_at, self.paused_until, self.pause_reason = at, until, reason

    def resume(self, *, at: datetime) -> None:
        """Set the fields of the end of a pause; nothing is saved. Its slots are not made up for."""
        if self.paused_at is not None:
            self.resumed_at = at
        self.paused_at, self.paused_until, self.pause_reason = None, None, ""

    def trigger(self) -> Trigger:
        """Return when it is due.

        Raises:
            NotScheduledError: it has no slots.
            ValueError: what the row or the environment holds makes no trigger.
        """
        return trigger_of(self)

    def to_spec(self) -> ScheduleSpec:
        """Return what the engine needs to know; the same row gives the same spec, whatever the time is.

        Whether the engine should hold it at all is another question: `wanted`.

        Raises:
            ValueError: see `trigger`; also for policies that a hand wrote past the validation.
        """
        return spec_of(self)
