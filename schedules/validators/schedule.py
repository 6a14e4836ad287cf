"""All rules of a schedule: every one is asked, so that all problems are told at once, each at its field."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from schedules import targets
from schedules.conf import conf
from schedules.http import AddressRefusedError, PermanentHttpError, UrlRefusedError
from schedules.job import job_request, validate_arguments
from schedules.translating import translated
from schedules.validators.triggers import trigger_errors
from schedules.validators.values import addresses_problems, json_problem, shown, tags_problems

Errors: TypeAlias = dict[str, list[str]]

DAY: Final = 86_400
LONGEST: Final = 3_660 * DAY
"""Seconds: ten years, the longest duration of any kind; beyond it somebody counted in milliseconds."""
LARGEST: Final = 2_147_483_647
"""What an integer column holds."""

RANGES: Final[dict[str, tuple[int, int]]] = {
    "max_runs": (1, LARGEST),
    "jitter": (0, DAY),
    "timeout": (1, LONGEST),
    "result_ttl": (0, LONGEST),
    "catchup_window": (0, LONGEST),
    "retry_max": (0, 100),
    "retry_min_backoff": (0, LONGEST),
    "retry_max_backoff": (0, LONGEST),
    "grace": (1, LONGEST),
    "failure_threshold": (1, 1_000),
    "keep_days": (1, 36_500),
    "keep_runs": (1, LARGEST),
}
MINUS_ONE: Final = ("timeout", "result_ttl")
"""Fields in which -1 means without end, as in RQ."""


def schedule_errors(schedule: Any, *, now: datetime, adding: bool) -> Errors:
    """Return every problem of a schedule, by field; empty: there is none.

    Args:
        schedule: anything with the fields of a schedule. Values of a wrong type are left to the fields.
        now: aware; a new schedule must have a slot later than this.
        adding: whether it is new. An old one may be over, or have lost its function while at rest.
    """
    errors: Errors = {}
    for part in (
        _number_errors(schedule),
        _target_errors(schedule, adding=adding),
        _queue_errors(schedule),
        trigger_errors(schedule, now=now, adding=adding),
        {"tags": tags_problems(schedule.tags), "notify_email": addresses_problems(schedule.notify_email)},
    ):
        for field, problems in part.items():
            if problems:
                errors.setdefault(field, []).extend(problems)
    return errors


def _number_errors(schedule: Any) -> Errors:
    errors: Errors = {}
    for field, (least, most) in RANGES.items():
        value = getattr(schedule, field)
        if not isinstance(value, int) or least <= value <= most or (value == -1 and field in MINUS_ONE):
            continue
        template = (
            _("%(value)s is not allowed; give %(least)d to %(most)d, or -1 for without end.")
            if field in MINUS_ONE
            else _("%(value)s is not allowed; give %(least)d to %(most)d.")
        )
        errors[field] = [template % {"value": shown(value), "least": least, "most": most}]
    first, longest = schedule.retry_min_backoff, schedule.retry_max_backoff
    if isinstance(first, int) and isinstance(longest, int) and first > longest:
        errors.setdefault("retry_max_backoff", []).append(
            _("The longest wait, %(longest)d, is less than the first, %(first)d; give %(first)d or more.")
            % {"longest": longest, "first": first}
        )
    return errors


def _target_errors(schedule: Any, *, adding: bool) -> Errors:
    errors = _argument_errors(schedule)
    if not schedule.func or not isinstance(schedule.func, str):
        return errors  # the field itself says that it is required
    try:
        target = targets.resolve(schedule.func)
    except targets.TargetNotFoundError as error:
        # A function that a deploy took away must not keep an operator from editing a schedule at rest.
        if adding or not _is_at_rest(schedule):
            errors["func"] = [translated(error)]
        return errors
    except (targets.TargetNotAllowedError, ImproperlyConfigured) as error:
        errors["func"] = [translated(error)]
        return errors
    if not errors:
        try:
            targets.check_arguments(target.func, schedule.args, schedule.kwargs)
        except targets.ArgumentsError as error:
            errors[error.where] = [translated(error)]
    if not errors and target.func is job_request:
        errors |= _request_errors(schedule)
    return errors


def _request_errors(schedule: Any) -> Errors:
    """Say what is wrong with an HTTP request, at the field that holds it."""
    try:
        validate_arguments(args=schedule.args, kwargs=schedule.kwargs)
    except PermanentHttpError as error:
        of_url = isinstance(error, UrlRefusedError | AddressRefusedError)
        in_args = bool(schedule.args) and (of_url or not schedule.kwargs)
        return {"args" if in_args else "kwargs": [translated(error)]}
    return {}


def _argument_errors(schedule: Any) -> Errors:
    errors: Errors = {}
    if not isinstance(schedule.args, list):
        errors["args"] = [
            _('%(value)s is not a JSON list; give for example ["de", 3], or [] for none.')
            % {"value": shown(schedule.args)}
        ]
    elif problem := json_problem(schedule.args):
        errors["args"] = [problem]
    if not isinstance(schedule.kwargs, dict) or not all(isinstance(name, str) for name in schedule.kwargs):
        errors["kwargs"] = [
            _('%(value)s is not a JSON object; give for example {"full": true}, or {} for none.')
            % {"value": shown(schedule.kwargs)}
        ]
    elif problem := json_problem(schedule.kwargs):
        errors["kwargs"] = [problem]
    return errors


def _is_at_rest(schedule: Any) -> bool:
    return not schedule.enabled or (schedule.paused_at is not None and schedule.paused_until is None)


def _queue_errors(schedule: Any) -> Errors:
    try:
        queues = conf.queues
    except ImproperlyConfigured as error:
        return {"queue": [translated(error)]}
    if not schedule.queue or schedule.queue in queues:
        return {}
    return {
        "queue": [
            _("There is no queue %(value)s; the settings have %(queues)s.")
            % {"value": shown(schedule.queue), "queues": ", ".join(queues)}
        ]
    }
