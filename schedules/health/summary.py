"""The one line of health: Redis, scheduler, workers, in sync. What is unknown is shown as unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from schedules.health.facts import Facts
from schedules.health.findings import Finding, alive
from schedules.health.words import ago, decimal, long


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One fact of the line."""

    name: str
    text: str
    level: str
    """`ok`, `error` or `unknown`."""


def summary(facts: Facts, found: Sequence[Finding]) -> list[Part]:
    """Return the parts of the line, in the order in which they depend on each other."""
    codes = {finding.code for finding in found}
    return [_redis(facts), _scheduler(facts), _workers(facts, codes), _sync(facts, codes)]


def _redis(facts: Facts) -> Part:
    if not facts.redis.is_there:
        return Part(name=_("Redis"), text=_("not reachable"), level="error")
    return Part(
        name=_("Redis"),
        text=_("%(ms)s ms") % {"ms": decimal(facts.redis.latency * 1000)},
        level="ok",
    )


def _scheduler(facts: Facts) -> Part:
    name = _("Scheduler")
    if facts.redis.now is None:
        return Part(name=name, text=_("unknown"), level="unknown")
    here = alive(facts)
    signs = here or list(facts.redis.schedulers)
    if not signs:
        return Part(name=name, text=_("none has reported"), level="error")
    silence = facts.redis.now - datetime.fromtimestamp(signs[0].at, facts.redis.now.tzinfo)
    if not here:
        return Part(name=name, text=_("none for %(long)s") % {"long": long(silence)}, level="error")
    text = _("seen %(ago)s (%(host)s)") % {"ago": ago(silence), "host": signs[0].host}
    return Part(name=name, text=text, level="ok")


def _workers(facts: Facts, codes: set[str]) -> Part:
    name = _("Workers")
    if not facts.redis.is_there:
        return Part(name=name, text=_("unknown"), level="unknown")
    used = [queue for queue in facts.redis.queues if queue in facts.database.queues]
    if not used:
        count = len(facts.redis.workers)
        return Part(name=name, text=str(count), level="ok" if count else "unknown")
    text = ", ".join(f"{queue} {facts.redis.workers_of(queue)}" for queue in used)
    return Part(name=name, text=text, level="error" if "S103" in codes else "ok")


def _sync(facts: Facts, codes: set[str]) -> Part:
    name = _("In sync")
    if not facts.redis.is_there or facts.database.problem:
        return Part(name=name, text=_("unknown"), level="unknown")
    if "S104" in codes:
        return Part(name=name, text=_("no"), level="error")
    count = facts.redis.registered
    text = ngettext("%(count)d schedule", "%(count)d schedules", count) % {"count": count}
    return Part(name=name, text=text, level="ok")
