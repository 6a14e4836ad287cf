"""The words that are stored, with what people read for them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    """Which trigger a schedule has."""

    INTERVAL = "interval", _("every so many seconds")
    CRON = "cron", _("cron expression")
    ONCE = "once", _("once")


class MisfirePolicy(models.TextChoices):
    """What becomes of slots that are found too late."""

    FIRE_ONCE = "fire_once", _("run the newest, the older ones are missed")
    SKIP = "skip", _("run none, all are missed")
    FIRE_ALL = "fire_all", _("run each, oldest first")


class OverlapPolicy(models.TextChoices):
    """What becomes of a slot while an earlier run of the same schedule is queued or running."""

    SKIP = "skip", _("skip it")
    BUFFER_ONE = "buffer_one", _("keep one waiting")
    BUFFER_ALL = "buffer_all", _("keep all waiting, run them one at a time")
    TERMINATE_OTHER = "terminate_other", _("stop the earlier run, then run")
    ALLOW_ALL = "allow_all", _("run beside it")


class Alarm(models.TextChoices):
    """What an operator has been told about a schedule, and has not been told the end of."""

    FAILED = "failed", _("failed")
    """Its last run did, and fewer in a row than its threshold."""
    FAILING = "failing", _("failing")
    MISSED = "missed", _("missed")
    LATE = "late", _("late")


class RunStatus(models.TextChoices):
    """What became of a slot."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    SKIPPED = "skipped", _("skipped")
    MISSED = "missed", _("missed")
    CANCELED = "canceled", _("canceled")
    ABANDONED = "abandoned", _("abandoned")


class RunTrigger(models.TextChoices):
    """Why there is a run."""

    SCHEDULE = "schedule", _("schedule")
    MANUAL = "manual", _("run now")
    CATCHUP = "catchup", _("catch-up")
    RETRY = "retry", _("run again")


OPEN_STATUSES = (RunStatus.QUEUED, RunStatus.RUNNING)
"""The run has not ended."""
FAILED_STATUSES = (RunStatus.FAILED, RunStatus.ABANDONED)
"""The run began, or should have, and did not end well."""
SLOT_TRIGGERS = (RunTrigger.SCHEDULE, RunTrigger.CATCHUP)
"""The run is a slot of its schedule; the others neither shift nor use up one."""
RARE_TRIGGERS = (RunTrigger.MANUAL, RunTrigger.CATCHUP, RunTrigger.RETRY)
"""All but the plan: few rows, for which there is an index of their own."""
