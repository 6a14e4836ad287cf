"""Entries made with rq-scheduler's own API, by us or by another program that uses the library as it is.

A one-off (`enqueue_at`, `enqueue_in`) is its own job: dispatching pushes that job. A periodic one (`schedule`,
`cron`) is adopted: its plan is read from the job's meta once and kept as an entry of ours, because the meta
belongs to the job's function, which may overwrite it. The job's payload is never opened, and its meta only
by a reader that cannot run anything (unpickling executes what the pickle says).
"""

from __future__ import annotations

import io
import json
import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rq.job import JobStatus
from rq.utils import str_to_date

from schedules.engine.errors import EngineError
from schedules.spec import Plan
from schedules.timing import CronTrigger, IntervalTrigger, TimingError, check_cron

logger = logging.getLogger(__name__)

DATES: Final = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
NUMBERS: Final = (
    *("result_ttl", "failure_ttl", "ttl", "retries_left", "number_of_retries", "repeats_left"),
    *("enqueue_at_front", "enqueue_at_front_on_retry", "allow_dependency_failures", "rate_limit_concurrency"),
    *("success_callback_timeout", "failure_callback_timeout", "stopped_callback_timeout"),
)
LISTS: Final = ("retry_intervals", "repeat_intervals", "dependency_ids")


class UnreadableEntryError(EngineError):
    """A member of the scheduled set cannot be read; it is taken aside with this reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockEntry:
    """What the dispatcher needs of an entry that is not ours."""

    queue: str
    plan: Plan | None
    """None for a one-off."""


class _Inert:
    """Stands for every object in a meta that is not plain data: it can be built, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Swallow what a pickled list type appends."""

    def extend(self, items: Any) -> None:
        """Swallow what a pickled list type extends by."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __hash__(self) -> int:
        return 0


class _PlainReader(pickle.Unpickler):
    """Reads the plain data of a pickle; classes and functions it names become inert stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        return _Inert

    def persistent_load(self, pid: Any) -> Any:
        return _Inert()


def read_meta(raw: bytes) -> dict[str, Any]:
    """Return a job's meta without running anything that it names.

    Raises:
        UnreadableEntryError: it is no pickle (RQ's default) and no JSON, or no dictionary.
    """
    try:
        meta = _PlainReader(io.BytesIO(raw)).load()
    except Exception as error:  # noqa: BLE001 - a damaged pickle may raise anything
        try:
            meta = json.loads(raw)
        except ValueError:
            raise UnreadableEntryError(
                f"Its meta cannot be read ({type(error).__name__}: {error})."
            ) from error
    if not isinstance(meta, dict):
        raise UnreadableEntryError(f"Its meta is a {type(meta).__name__}, not a dictionary.")
    return meta


def read_stock(
    fields: Mapping[str, bytes], *, has_payload: bool, due: float, default_queue: str
) -> StockEntry:
    """Read an entry that is not ours from the fields of its job hash, checking what a worker would choke on.

    Args:
        fields: the job hash without its payload.
        has_payload: whether the payload is there.
        due: the entry's score, unix seconds.
        default_queue: where jobs without an origin go.

    Raises:
        UnreadableEntryError: with the reason.
    """
    if not fields and not has_payload:
        raise UnreadableEntryError("Its job is gone from Redis: deleted, expired or evicted.")
    if not has_payload:
        raise UnreadableEntryError("Its job has no payload (field data), so nobody knows what to run.")
    try:
        texts = {
            name: value.decode("utf-8")
            for name, value in fields.items()
            if name not in {"meta", "result", "exc_info"}
        }
    except UnicodeDecodeError as error:
        raise UnreadableEntryError(f"A field of its job is no text ({error}).") from error
    for name in DATES:
        _checked(name, texts.get(name), str_to_date_of)
    for name in NUMBERS:
        _checked(name, texts.get(name), int)
    for name in LISTS:
        _checked(name, texts.get(name), json.loads)
    _checked("timeout", texts.get("timeout"), float)
    _checked("status", texts.get("status"), JobStatus)
    queue = texts.get("origin") or default_queue
    meta = read_meta(fields["meta"]) if fields.get("meta") else {}
    return StockEntry(queue=queue, plan=_plan_of(meta, due=due, queue=queue))


def str_to_date_of(text: str) -> datetime:
    """Read a date the way RQ's worker will."""
    return str_to_date(text.encode())


def _checked(name: str, text: str | None, read: Any) -> None:
    if text:
        try:
            read(text)
        except (ValueError, TypeError) as error:
            raise UnreadableEntryError(f"Field {name} of its job is {text[:80]!r}: {error}.") from error


def _plan_of(meta: Mapping[Any, Any], *, due: float, queue: str) -> Plan | None:
    interval, cron, repeat = meta.get("interval"), meta.get("cron_string"), meta.get("repeat")
    max_runs = None
    if repeat is not None:
        if not isinstance(repeat, int) or repeat < 0:
            raise UnreadableEntryError(f"Its repeat count is {repeat!r}, not a whole number of 0 or more.")
        max_runs = max(repeat, 1)  # stock counts down after the first run, so 0 runs once too
    if interval:
        if not isinstance(interval, int | float) or interval < 1:
            raise UnreadableEntryError(f"Its interval is {interval!r}, not a number of seconds of 1 or more.")
        anchor = datetime.fromtimestamp(int(due), UTC)
        return Plan(
            is_kept_when_over=False,
            trigger=IntervalTrigger(every=int(interval), anchor=anchor),
            max_runs=max_runs,
            queue=queue,
        )
    if cron:
        zone = local_zone() if meta.get("use_local_timezone") else "UTC"
        try:
            check_cron(cron, zone)
        except (TimingError, TypeError, AttributeError) as error:
            raise UnreadableEntryError(f"Its cron expression {cron!r} cannot be read: {error}") from error
        trigger = CronTrigger(expression=cron, timezone=zone)
        return Plan(trigger=trigger, max_runs=max_runs, queue=queue, is_kept_when_over=False)
    return None


def local_zone() -> str:
    """Return the IANA name of this host's zone, for entries that ask for "local time"; UTC if it has none."""
    from django.conf import settings

    return getattr(settings, "TIME_ZONE", None) or "UTC"


def pair_up(flat: Sequence[bytes | None]) -> dict[str, bytes]:
    """Return name, value, name, value ... as a dictionary."""
    return {
        name.decode("utf-8", "replace"): value
        for name, value in zip(flat[::2], flat[1::2], strict=True)
        if name is not None and value is not None
    }
