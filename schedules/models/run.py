"""The ledger: one row for every slot of every schedule, whatever became of it, and for every manual start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.db import connections, models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from schedules.models.choices import (
    FAILED_STATUSES,
    OPEN_STATUSES,
    RARE_TRIGGERS,
    SLOT_TRIGGERS,
    RunStatus,
    RunTrigger,
)
from schedules.models.lookups import AnyOf, OneOf
from schedules.models.statistics import Statistics, measure_here, measure_in_sql
from schedules.validators import visible_text

if TYPE_CHECKING:
    from schedules.models.schedule import Schedule

OUTPUT_BYTES: Final = 65_536
"""Of what a job logs and prints, so much of the end is kept."""


def _status_is(*statuses: RunStatus) -> OneOf:
    return OneOf(F("status"), statuses)


class RunQuerySet(models.QuerySet["Run"]):
    """Questions to the ledger; each is answered through one index, which is named in `Run.Meta`."""

    def last_of(self, schedule: Schedule) -> RunQuerySet:
        """The runs of `schedule`, newest slot first."""
        return self.filter(schedule=schedule).order_by("-scheduled_for", "-id")

    def failed_since(self, since: datetime) -> RunQuerySet:
        """Failed and abandoned runs that ended at `since` or later, newest end first."""
        return self.filter(_status_is(*FAILED_STATUSES), finished_at__gte=since).order_by(
            "-finished_at", "-id"
        )

    def of_jobs(self, job_ids: Iterable[str]) -> RunQuerySet:
        """The runs of these jobs, thousands if need be, in no order."""
        return self.filter(AnyOf(F("job_id"), list(job_ids))).order_by()

    def open(self) -> RunQuerySet:
        """Runs that have not ended: queued or running, oldest slot first."""
        return self.filter(_status_is(*OPEN_STATUSES)).order_by("scheduled_for", "id")

    def triggered_by(self, trigger: str) -> RunQuerySet:
        """Runs with this trigger; the rare ones through an index of their own."""
        if trigger in RARE_TRIGGERS:
            return self.filter(OneOf(F("trigger"), RARE_TRIGGERS), trigger=trigger)
        return self.filter(trigger=trigger)

    def running(self) -> RunQuerySet:
        """Runs that are running now, as far as the ledger knows, oldest slot first."""
        return self.open().filter(status=RunStatus.RUNNING)

    def queued(self) -> RunQuerySet:
        """Runs that wait for a worker, oldest slot first."""
        return self.open().filter(status=RunStatus.QUEUED)

    def missed_between(self, since: datetime, until: datetime) -> RunQuerySet:
        """Missed slots from `since` (included) to `until` (not), oldest first.

        A row that stands for many slots of a long outage belongs to it when any of them may lie between;
        the order is that of the last slot of each row.
        """
        return (
            self.alias(_last_slot=Coalesce("scheduled_until", "scheduled_for"))
            .filter(_status_is(RunStatus.MISSED), _last_slot__gte=since, scheduled_for__lt=until)
            .order_by("_last_slot", "id")
        )

    def has_slot(self, schedule: Schedule, slot: datetime) -> bool:
        """Say whether the ledger has this slot: as a row of its own, or in one that stands for many."""
        return (
            self.filter(schedule=schedule, trigger__in=SLOT_TRIGGERS, scheduled_for__lte=slot)
            .filter(Q(scheduled_for=slot) | Q(scheduled_until__gte=slot))
            .exists()
        )

    def statistics(self, schedule: Schedule, since: datetime) -> Statistics:
        """Success rate, duration and delay of the slots of `schedule` from `since` on."""
        return self.filter(schedule=schedule, scheduled_for__gte=since).measured()

    def measured(self) -> Statistics:
        """Success rate, duration and delay of these rows, in one query."""
        postgresql = connections[self.db].vendor == "postgresql"
        return measure_in_sql(self) if postgresql else measure_here(self)


class Run(models.Model):
    """One slot of a schedule and what became of it, or one manual start.

    Written by the keeper from the event stream; everything else reads. Rows outlive their schedule, so that
    what a reader needs of it (name, function, arguments) is copied here.
    """

    schedule = models.ForeignKey(
        "schedules.Schedule",
        verbose_name=_("schedule"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        # The keeper writes thousands of rows a second, of schedules that may be deleted at that very moment:
        # a constraint would make one such row fail its whole batch. The indexes below begin with this column.
        db_constraint=False,
        db_index=False,
        related_name="runs",
        help_text=_("Empty: the job was started by code, or its schedule has been deleted."),
    )
    schedule_name = models.CharField(_("name"), max_length=200, blank=True)
    scheduled_for = models.DateTimeField(
        _("planned"), help_text=_("The slot; of a manual start, the moment of asking.")
    )
    scheduled_until = models.DateTimeField(
        _("planned until"),
        null=True,
        blank=True,
        help_text=_("The last slot, where one row stands for many of a long outage."),
    )
    slots = models.PositiveIntegerField(
        _("slots"), default=1, help_text=_("How many slots this row stands for.")
    )
    trigger = models.CharField(_("trigger"), max_length=10, choices=RunTrigger, default=RunTrigger.SCHEDULE)
    status = models.CharField(_("status"), max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    reason = models.TextField(_("reason"), blank=True, help_text=_("Why it is not a success, in a sentence."))

    func = models.CharField(_("function"), max_length=255, blank=True)
    payload = models.TextField(
        _("arguments"), blank=True, help_text=_('JSON: {"args": […], "kwargs": {…}}; empty: not kept.')
    )
    queue = models.CharField(_("queue"), max_length=100, blank=True)
    job_id = models.CharField(  # noqa: DJ001 - null is what many rows may have; an empty text, only one
        _("job id"),
        max_length=200,
        null=True,
        blank=True,
        help_text=_("Also the key by which events find their row; a skipped or missed slot has one too."),
    )
    worker = models.CharField(_("worker"), max_length=200, blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), default=1)

    enqueued_at = models.DateTimeField(_("queued"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("ended"), null=True, blank=True)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    delay = models.FloatField(
        _("delay"), null=True, blank=True, help_text=_("Seconds from planned to started; see measure().")
    )
    duration = models.FloatField(
        _("duration"), null=True, blank=True, help_text=_("Seconds from started to ended; see measure().")
    )

    result = models.TextField(_("result"), blank=True)
    exception = models.TextField(_("exception"), blank=True, help_text=_("Class and message."))
    traceback = models.TextField(_("traceback"), blank=True)
    output = models.TextField(_("output"), blank=True, help_text=_("The end of what it logged and printed."))

    started_by = models.CharField(
        _("started by"),
        max_length=150,
        blank=True,
        help_text=_("Who asked for it; a name, which outlives the account."),
    )
    retry_of = models.ForeignKey(
        "self",
        verbose_name=_("runs again"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        # Old runs are pruned by the thousand; see also the index below.
        db_constraint=False,
        db_index=False,
        related_name="retries",
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("-scheduled_for", "-id")
        default_permissions = ("view", "delete")
        permissions = (
            ("view_payload", _("Can see arguments, results, tracebacks and output")),
            ("stop_run", _("Can stop a running job")),
        )
        indexes = (
            # All runs by time, page after page; and what is too old to be kept.
            models.Index(F("scheduled_for").desc(), F("id").desc(), name="run_by_slot"),
            # last_of, statistics, the neighbours of a run; and what is too much to be kept. The last three columns
            # are there for statistics alone: a month of 43,200 runs is then read in 20 ms instead of 500.
            models.Index(
                *("schedule", F("scheduled_for").desc(), F("id").desc(), "status", "duration", "delay"),
                name="run_by_schedule",
            ),
            # The next five are partial: small, however long the ledger is.
            models.Index(
                F("finished_at").desc(),
                F("id").desc(),
                name="run_failed",
                condition=Q(status__in=FAILED_STATUSES),
            ),
            models.Index("scheduled_for", "id", name="run_open", condition=Q(status__in=OPEN_STATUSES)),
            models.Index(
                Coalesce("scheduled_until", "scheduled_for"),
                "id",
                name="run_missed",
                condition=Q(status=RunStatus.MISSED),
            ),
            models.Index(
                F("scheduled_for").desc(),
                F("id").desc(),
                name="run_rare_trigger",
                condition=Q(trigger__in=RARE_TRIGGERS),
            ),
            models.Index("retry_of", name="run_retries", condition=Q(retry_of__isnull=False)),
        )
        constraints = (
            models.UniqueConstraint("job_id", name="run_job_id_unique"),
            models.UniqueConstraint(
                "schedule",
                "scheduled_for",
                name="run_slot_unique",
                condition=Q(trigger__in=SLOT_TRIGGERS),
                violation_error_message=_("The ledger has this slot of this schedule already."),
            ),
            models.CheckConstraint(
                condition=Q(status__in=RunStatus.values),
                name="run_status_known",
                violation_error_message=_("This status is not one of the ledger's."),
            ),
            models.CheckConstraint(
                condition=Q(trigger__in=RunTrigger.values),
                name="run_trigger_known",
                violation_error_message=_("This trigger is not one of the ledger's."),
            ),
            models.CheckConstraint(
                condition=Q(slots__gte=1),
                name="run_slots_at_least_one",
                violation_error_message=_("A row of the ledger stands for one slot or more."),
            ),
        )

    def __str__(self) -> str:
        name = visible_text(self.schedule_name or self.func or self.job_id or "")
        return f"{name} {self.scheduled_for:%Y-%m-%d %H:%M:%S} UTC"

    def measure(self) -> None:
        """Set `delay` and `duration` from the moments; for whoever writes rows. Nothing is saved.

        A later attempt leaves `delay` as it was: how long the slot waited, not how long the retry.
        """
        self.duration = None
        if self.started_at is not None:
            if self.attempt <= 1:
                self.delay = (self.started_at - self.scheduled_for).total_seconds()
            if self.finished_at is not None:
                self.duration = (self.finished_at - self.started_at).total_seconds()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it by itself."""
        return self.status not in OPEN_STATUSES

    @property
    def arguments(self) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments it was called with; None where they were not kept, or not in full."""
        try:
            payload = json.loads(self.payload)
            return list(payload["args"]), dict(payload["kwargs"])
        except (ValueError, KeyError, TypeError):
            return None
