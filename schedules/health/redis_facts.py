"""What Redis tells about dispatchers, workers and queues: one pipeline, with waits that a page can afford."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import django_rq
from django.conf import settings
from django.core.signals import setting_changed
from redis import Redis
from redis.exceptions import RedisError
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import utcparse

from schedules.engine import keys, presence
from schedules.engine.identity import identity_of
from schedules.engine.presence import Presence
from schedules.services import pages
from schedules.services.connection import address_of, with_bounded_waits

SHOWN: Final = 20
"""Overdue entries that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """One worker that lives."""

    name: str
    host: str
    queues: tuple[str, ...]
    is_busy: bool
    seen_at: datetime | None
    """By the worker's own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """One queue."""

    length: int
    oldest: datetime | None
    """The slot of the job that has waited longest; None: none waits, or it has no slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """What Redis said. With `problem`, it did not answer, and all the rest is unknown."""

    address: str
    problem: str = ""
    last_contact: datetime | None = None
    """When this process had an answer before, where it has none now."""
    latency: float = 0.0
    """Seconds that the pipeline took, there and back."""
    now: datetime | None = None
    """By Redis' clock."""
    schedulers: tuple[Presence, ...] = ()
    is_kept: bool = False
    """Whether somebody holds the keeper's lease."""
    workers: tuple[WorkerFacts, ...] = ()
    queues: Mapping[str, QueueFacts] = field(default_factory=dict)
    registered: int = 0
    quarantined: int = 0
    overdue: tuple[tuple[str, datetime], ...] = ()
    """Entries that should have been dispatched, the oldest first: id and moment."""
    keeps_on_disk: bool | None = None
    may_evict: str = ""
    """The policy by which this Redis may throw keys away; empty: it does not."""

    @property
    def is_there(self) -> bool:
        """Whether Redis answered."""
        return not self.problem

    def workers_of(self, queue: str) -> int:
        """Return how many workers listen on a queue."""
        return sum(queue in worker.queues for worker in self.workers)


@lru_cache(maxsize=1)
def _client() -> Redis:
    return with_bounded_waits(
        django_rq.get_connection("default"), connect=pages.CONNECT_SECONDS, answer=pages.ANSWER_SECONDS
    )


def _forget(**_signal: Any) -> None:
    _client.cache_clear()


setting_changed.connect(_forget)
_last_contact: dict[str, datetime] = {}


def ask_redis(queues: Sequence[str], *, overdue_seconds: float) -> RedisFacts:
    """Ask everything in one pipeline; never raises for a Redis that is away.

    Args:
        queues: names of the queues to look at.
        overdue_seconds: an entry that is due for longer than this is overdue.
    """
    client = _client()
    address = address_of(client)
    known = pages.known_problem()
    if known:
        return RedisFacts(address=address, problem=known, last_contact=_last_contact.get(address))
    began = time.monotonic()
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(keys.SCHEDULERS)
            pipe.exists(keys.LEASE)
            pipe.eval(keys.script("read_workers"), 0)
            pipe.hlen(keys.INDEX)
            pipe.hlen(keys.QUARANTINE)
            pipe.zrange(keys.SCHEDULED, 0, SHOWN - 1, withscores=True)
            pipe.info()
            pipe.config_get("save")
            for name in queues:
                pipe.llen(f"{RQ_KEY_PREFIX}:queue:{name}")
                pipe.lindex(f"{RQ_KEY_PREFIX}:queue:{name}", 0)
            answers = pipe.execute(raise_on_error=False)
        if isinstance(answers[0], RedisError):
            raise answers[0]
    except (RedisError, OSError) as error:
        problem = str(error) or type(error).__name__
        pages.remember(problem)
        return RedisFacts(address=address, problem=problem, last_contact=_last_contact.get(address))
    latency = time.monotonic() - began
    clock, signs, lease, workers, registered, quarantined, first, info, save = (
        None if isinstance(answer, RedisError) else answer for answer in answers[:9]
    )
    assert clock is not None
    now = datetime.fromtimestamp(clock[0] + clock[1] / 1e6, UTC)
    _last_contact[address] = now
    lengths = answers[9:]
    return RedisFacts(
        address=address,
        latency=latency,
        now=now,
        schedulers=tuple(presence.read(signs or {})),
        is_kept=bool(lease),
        workers=tuple(_worker(row) for row in workers or () if row[1]),
        queues={
            name: _queue(lengths[2 * place], lengths[2 * place + 1]) for place, name in enumerate(queues)
        },
        registered=registered or 0,
        quarantined=quarantined or 0,
        overdue=tuple(
            (member.decode("utf-8", "replace"), datetime.fromtimestamp(score, UTC))
            for member, score in first or ()
            if score <= now.timestamp() - overdue_seconds
        ),
        keeps_on_disk=_keeps_on_disk(info, save),
        may_evict=_may_evict(info),
    )


def queues_of_default() -> tuple[str, ...]:
    """Return the configured queues that live in the same Redis as the schedules; of others nothing is known here."""
    configured: Mapping[str, Any] = getattr(settings, "RQ_QUEUES", {})
    place = _place(configured.get("default", {}))
    return tuple(name for name, config in configured.items() if _place(config) == place)


def _place(config: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("URL", "HOST", "PORT", "DB", "UNIX_SOCKET_PATH", "USE_REDIS_CACHE", "SENTINELS", "MASTER_NAME")
    return tuple(repr(config.get(name)) for name in names)


def _worker(row: Sequence[Any]) -> WorkerFacts:
    key, seen, queues, host, state = row
    try:
        seen_at = utcparse(seen.decode()).replace(tzinfo=UTC)
    except ValueError:
        seen_at = None
    return WorkerFacts(
        name=key.decode("utf-8", "replace").rpartition(":")[2],
        host=host.decode("utf-8", "replace"),
        queues=tuple(queues.decode("utf-8", "replace").split(",")),
        is_busy=state == b"busy",
        seen_at=seen_at,
    )


def _queue(length: Any, first: Any) -> QueueFacts:
    oldest = identity_of(first.decode("utf-8", "replace")).scheduled_for if isinstance(first, bytes) else None
    return QueueFacts(length=length if isinstance(length, int) else 0, oldest=oldest)


def _keeps_on_disk(info: Any, save: Any) -> bool | None:
    if not info or "aof_enabled" not in info:
        return None
    if info["aof_enabled"]:
        return True
    # A server that does not let us read its configuration may well save snapshots.
    return bool(save["save"]) if save and "save" in save else None


def _may_evict(info: Any) -> str:
    if not info or not info.get("maxmemory"):
        return ""
    policy = str(info.get("maxmemory_policy", ""))
    return "" if policy == "noeviction" else policy
