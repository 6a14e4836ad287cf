"""What every job of a schedule is copied from: the fields of RQ's job hash, made once per schedule.

Which fields a worker needs was measured field by field on rq 3.0: `data`, `origin` and `timeout`; the
others that are written here are for the worker's retries and for the dashboards.
"""

from __future__ import annotations

import json
import pickle
import zlib
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from rq.defaults import DEFAULT_RESULT_TTL
from rq.queue import Queue
from rq.serializers import DefaultSerializer

from schedules.engine.errors import PayloadError
from schedules.spec import ScheduleSpec
from schedules.timing import CronTrigger, IntervalTrigger

FAILURE_TTL: Final = 7 * 86400
"""Seconds RQ keeps a failed job. RQ's own default is a year, which a failing 10 s schedule fills with 3 million."""

COMPRESS_FROM: Final = 64
"""Bytes: a hash with a longer value takes three times the memory in Redis."""


def queue_setting(queue: str, name: str) -> Any:
    """Return one entry of the queue's `RQ_QUEUES` configuration, or None."""
    return getattr(settings, "RQ_QUEUES", {}).get(queue, {}).get(name)


def payload(func: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return RQ's job payload for a call.

    Raises:
        PayloadError: the arguments cannot be pickled.
    """
    try:
        data: bytes = DefaultSerializer.dumps((func, None, args, kwargs))
    except Exception as error:
        raise PayloadError(
            f"The arguments of {func} cannot be carried over to a worker: {args!r} {kwargs!r} "
            f"({type(error).__name__}: {error}). Pass values that can be pickled: numbers, texts, dates, lists, "
            "dictionaries, or the primary key of an object instead of the object."
        ) from error
    # RQ reads either; what is short only grows by it, and costs more time than all the rest of a registration.
    return zlib.compress(data, 1) if len(data) > COMPRESS_FROM else data


def default_timeout(queue: str) -> int:
    """Return how long (seconds) a job of this queue may run when nobody said."""
    return int(queue_setting(queue, "DEFAULT_TIMEOUT") or Queue.DEFAULT_TIMEOUT)


def queue_defaults(queue: str) -> tuple[int, int]:
    """Return the seconds a run of this queue may take, and those that RQ keeps its finished job."""
    timeout = default_timeout(queue)
    result_ttl = queue_setting(queue, "DEFAULT_RESULT_TTL")
    if result_ttl is None:
        result_ttl = getattr(settings, "RQ", {}).get("DEFAULT_RESULT_TTL", DEFAULT_RESULT_TTL)
    return timeout, result_ttl


def shared_fields(spec: ScheduleSpec, defaults: tuple[int, int] | None = None) -> tuple[str, ...]:
    """Return the fields of the template that many schedules have alike, as name, value, name, value ...

    Who makes many hands in their queue's defaults, looked up once.
    """
    queue = spec.plan.queue
    usual_timeout, default_ttl = defaults or queue_defaults(queue)
    return _shared_fields(
        queue,
        spec.timeout or usual_timeout,
        spec.source,
        default_ttl if spec.result_ttl is None else spec.result_ttl,
        spec.retry_max,
        spec.retry_intervals,
    )


@lru_cache(maxsize=1024)
def _shared_fields(
    queue: str, timeout: int, source: str, result_ttl: int, retry_max: int, retry_intervals: tuple[int, ...]
) -> tuple[str, ...]:
    fields = [
        *("origin", queue, "timeout", str(timeout), "status", "queued", "schedule_source", source),
        *("result_ttl", str(result_ttl), "failure_ttl", str(FAILURE_TTL)),
    ]
    if retry_max:
        fields += ["retries_left", str(retry_max), "retry_max", str(retry_max)]
        if retry_intervals:
            fields += ["retry_intervals", json.dumps(list(retry_intervals), separators=(",", ":"))]
    return tuple(fields)


def own_fields(spec: ScheduleSpec) -> tuple[str, ...]:
    """Return those that are the schedule's own, all but the payload."""
    return "schedule_name", spec.name, "description", spec.description or spec.name


def display_fields(spec: ScheduleSpec, created_at: str) -> list[str]:
    """Return what the job that only dashboards see has beyond the template.

    The django-rq pages read `interval` and `cron_string` from its meta. Nothing of ours reads it back.
    """
    trigger = spec.plan.trigger
    if isinstance(trigger, IntervalTrigger):
        meta = _meta("interval", trigger.every)
    elif isinstance(trigger, CronTrigger):
        meta = _meta("cron_string", f"{trigger.expression} ({trigger.timezone})")
    else:
        meta = _meta()
    return ["created_at", created_at, "meta", meta]


@lru_cache(maxsize=4096)
def _meta(*pair: str | int) -> str:
    """Return the meta of a job with one name and its value, as RQ pickles it."""
    # Protocol 0 is plain ASCII, so that it travels with the other texts.
    return pickle.dumps({pair[0]: pair[1]} if pair else {}, protocol=0).decode("ascii")
