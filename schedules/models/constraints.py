"""What the database itself refuses in a schedule, also from a hand that goes past the validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from schedules.models.choices import Kind, MisfirePolicy, OverlapPolicy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Message


def _check(name: str, condition: Q, message: Message) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=condition, name=f"schedule_{name}", violation_error_message=message
    )


def _at_least(field: str, least: int, message: Message) -> models.CheckConstraint:
    return _check(f"{field}_range", Q((f"{field}__isnull", True)) | Q((f"{field}__gte", least)), message)


SCHEDULE_CONSTRAINTS = (
    # An interval may be empty or negative: that is "not scheduled", and the environment may say otherwise.
    _check(
        "trigger_complete",
        Q(kind=Kind.INTERVAL)
        | (Q(kind=Kind.CRON, cron__isnull=False) & ~Q(cron=""))
        | Q(kind=Kind.ONCE, run_at__isnull=False),
        _("The kind is interval, cron or once; cron needs an expression, and once a time to run at."),
    ),
    _check(
        "misfire_policy_known",
        Q(misfire_policy__in=MisfirePolicy.values),
        _("The policy for late slots is fire_once, skip or fire_all."),
    ),
    _check(
        "overlap_policy_known",
        Q(overlap_policy__in=OverlapPolicy.values),
        _("The overlap policy is skip, buffer_one, buffer_all, terminate_other or allow_all."),
    ),
    _check(
        "ends_after_start",
        Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
        _("The end must be later than the start."),
    ),
    _check(
        "timeout_range",
        Q(timeout__isnull=True) | Q(timeout=-1) | Q(timeout__gte=1),
        _("The timeout is 1 second or more, or -1 for none."),
    ),
    _check(
        "backoff_order",
        Q(retry_min_backoff__lte=F("retry_max_backoff")),
        _("The first wait before a retry is not longer than the longest."),
    ),
    _at_least("max_runs", 1, _("The number of runs is 1 or more.")),
    _at_least("result_ttl", -1, _("A result is kept 0 seconds or more, or -1 for ever.")),
    _at_least("jitter", 0, _("The jitter is 0 seconds or more.")),
    _at_least("catchup_window", 0, _("The catch-up window is 0 seconds or more.")),
    _at_least("retry_max", 0, _("The number of retries is 0 or more.")),
    _at_least("retry_min_backoff", 0, _("The first wait before a retry is 0 seconds or more.")),
    _at_least("grace", 1, _("The grace is 1 second or more.")),
    _at_least("failure_threshold", 1, _("The number of failures before an alarm is 1 or more.")),
    _at_least("keep_days", 1, _("Runs are kept for 1 day or more.")),
    _at_least("keep_runs", 1, _("1 run or more is kept.")),
)
