"""S101–S111: what is wrong, what it does, and what to do about it. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from schedules.engine.loop import HEARTBEAT_SECONDS
from schedules.engine.presence import Presence
from schedules.health.facts import Facts, switched_off
from schedules.health.words import ago, long
from schedules.translating import translated

SILENT_SECONDS: Final = 3 * HEARTBEAT_SECONDS
"""After so long without a sign, a dispatcher counts as gone."""
SKEW_SECONDS: Final = 5.0
WRONG_CODES: Final = ("S100", "S101", "S102", "S103", "S104", "S105")
"""What makes `schedules_status` exit with 1 and `/health` answer 503."""


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to know, in the language of whoever asked."""

    code: str
    level: Level
    text: str
    """Cause, effect and what to do, in whole sentences."""
    command: str = ""
    """What to type, where that is the remedy."""

    @property
    def is_wrong(self) -> bool:
        """Whether a deploy should stop at it."""
        return self.code in WRONG_CODES


def findings(facts: Facts) -> list[Finding]:
    """Return what there is to know, the worst first. What is unknown is never a finding."""
    found = [
        *_database(facts),
        *_redis(facts),
        *_no_scheduler(facts),
        *_no_worker(facts),
        *_not_in_sync(facts),
        *_broken(facts),
        *_late(facts),
        *_clocks(facts),
        *_can_lose_data(facts),
        *_all_paused(facts),
        *_several_schedulers(facts),
        *_zone_data(facts),
    ]
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def alive(facts: Facts) -> list[Presence]:
    """Return the dispatchers that have signed lately."""
    now = facts.redis.now
    if now is None:
        return []
    return [
        presence
        for presence in facts.redis.schedulers
        if not presence.has_stopped and now.timestamp() - presence.at <= SILENT_SECONDS
    ]


def _database(facts: Facts) -> Iterator[Finding]:
    if facts.database.problem:
        yield Finding(
            code="S100",
            level=Level.ERROR,
            text=_("The database does not answer (%(problem)s). What Redis holds runs on; the ledger waits.")
            % {"problem": facts.database.problem},
        )


def _redis(facts: Facts) -> Iterator[Finding]:
    redis = facts.redis
    if redis.is_there:
        return
    text = _(
        "Redis is not reachable at %(address)s (%(problem)s). Schedules can be edited; nothing runs until it is back."
    ) % {"address": redis.address, "problem": redis.problem}
    if redis.last_contact is not None:
        text += " " + _("Last contact %(ago)s.") % {"ago": ago(facts.now - redis.last_contact)}
    yield Finding(code="S101", level=Level.ERROR, text=text)


def _no_scheduler(facts: Facts) -> Iterator[Finding]:
    redis = facts.redis
    if redis.now is None or alive(facts):
        return
    command = "python manage.py rqscheduler"
    if not redis.schedulers:
        text = _("No scheduler is running. Nothing is dispatched until one is.")
    else:
        last = redis.schedulers[0]
        silence = redis.now - datetime.fromtimestamp(last.at, redis.now.tzinfo)
        text = _(
            "No scheduler has reported for %(long)s (last: %(host)s). Due runs wait until one is back."
        ) % {
            "long": long(silence),
            "host": last.host,
        }
    yield Finding(code="S102", level=Level.ERROR, text=text, command=command)


def _no_worker(facts: Facts) -> Iterator[Finding]:
    redis = facts.redis
    if not redis.is_there:
        return
    for queue, count in sorted(facts.database.queues.items()):
        held = redis.queues.get(queue)
        if held is None or redis.workers_of(queue):
            continue
        text = ngettext(
            "No worker listens on the queue %(queue)s: %(count)d schedule sends there, and its runs wait.",
            "No worker listens on the queue %(queue)s: %(count)d schedules send there, and their runs wait.",
            count,
        ) % {"queue": queue, "count": count}
        if held.length:
            text += " " + ngettext("%(count)d job waits.", "%(count)d jobs wait.", held.length) % {
                "count": held.length
            }
            if held.oldest is not None and redis.now is not None and redis.now > held.oldest:
                text += " " + _("The oldest was due %(ago)s.") % {"ago": ago(redis.now - held.oldest)}
        yield Finding(
            code="S103", level=Level.WARNING, text=text, command=f"python manage.py rqworker {queue}"
        )


def _not_in_sync(facts: Facts) -> Iterator[Finding]:
    if not facts.redis.is_there or facts.database.problem:
        return
    heals = _("The scheduler mends it by itself within a minute; sync_schedules does so at once.")
    command = "python manage.py sync_schedules"
    difference = facts.difference
    if difference is not None:
        counts = (len(difference.added), len(difference.changed), len(difference.removed))
        if not sum(counts):
            return
        text = _(
            "Redis differs from the database: %(missing)d missing, %(old)d old, %(over)d left over. %(heals)s"
        ) % {"missing": counts[0], "old": counts[1], "over": counts[2], "heals": heals}
        yield Finding(code="S104", level=Level.WARNING, text=text, command=command)
        return
    broken = sum(count for _problem, count in facts.broken.values())
    missing = facts.database.wanted - broken - switched_off() - facts.redis.registered
    if missing > 0:
        text = ngettext(
            "Redis lacks %(count)d schedule that the database has. %(heals)s",
            "Redis lacks %(count)d schedules that the database has. %(heals)s",
            missing,
        ) % {"count": missing, "heals": heals}
        yield Finding(code="S104", level=Level.WARNING, text=text, command=command)


def _broken(facts: Facts) -> Iterator[Finding]:
    for path, (problem, count) in sorted(facts.broken.items()):
        text = ngettext(
            "%(path)s cannot run: %(problem)s %(count)d schedule is affected.",
            "%(path)s cannot run: %(problem)s %(count)d schedules are affected.",
            count,
        ) % {"path": path, "problem": translated(problem), "count": count}
        yield Finding(code="S105", level=Level.WARNING, text=text)


def _late(facts: Facts) -> Iterator[Finding]:
    """Name what is due and not dispatched, and what is dispatched and has not started."""
    redis = facts.redis
    if redis.is_there and redis.overdue and alive(facts):
        member, due = redis.overdue[0]
        text = ngettext(
            "%(name)s was due at %(time)s and has not been dispatched.",
            "%(name)s was due at %(time)s and has not been dispatched, and %(more)d others.",
            len(redis.overdue),
        ) % {
            "name": facts.overdue_names.get(member, member),
            "time": _clock(due),
            "more": len(redis.overdue) - 1,
        }
        yield Finding(code="S106", level=Level.WARNING, text=text)
    late = facts.database.late
    if late:
        text = ngettext(
            "%(name)s was due at %(time)s and has not started (grace: %(grace)s).",
            "%(name)s was due at %(time)s and has not started (grace: %(grace)s), and %(more)d others.",
            len(late),
        ) % {
            "name": late[0].name or late[0].queue,
            "time": _clock(late[0].scheduled_for),
            "grace": _("%(seconds)d s") % {"seconds": facts.grace},
            "more": len(late) - 1,
        }
        waiting = redis.queues.get(late[0].queue)
        if waiting is not None and not redis.workers_of(late[0].queue):
            text += " " + _("No worker listens on its queue.")
        elif waiting is not None and waiting.length > 1:
            text += " " + _("%(count)d jobs wait in its queue.") % {"count": waiting.length}
        yield Finding(code="S106", level=Level.WARNING, text=text)


def _several_schedulers(facts: Facts) -> Iterator[Finding]:
    hosts = [presence.host for presence in alive(facts)]
    if len(hosts) > 1:
        text = _("%(count)d schedulers run (%(hosts)s). That is fine: they stand in for each other.") % {
            "count": len(hosts),
            "hosts": ", ".join(sorted(set(hosts))),
        }
        yield Finding(code="S107", level=Level.INFO, text=text)


def _clocks(facts: Facts) -> Iterator[Finding]:
    redis = facts.redis
    if redis.now is None:
        return
    wrong = {presence.host: presence.skew for presence in alive(facts) if abs(presence.skew) > SKEW_SECONDS}
    for worker in redis.workers:
        # A sign of life from the future shows a clock ahead; one behind looks like a sign that is a while ago.
        if worker.seen_at is not None:
            ahead = (worker.seen_at - redis.now).total_seconds()
            if ahead > SKEW_SECONDS:
                wrong[worker.host or worker.name] = ahead
    for host, skew in sorted(wrong.items()):
        seconds = round(abs(skew))
        text = (
            _("The clock of %(host)s is %(seconds)d s ahead of Redis'.")
            if skew > 0
            else _("The clock of %(host)s is %(seconds)d s behind Redis'.")
        ) % {"host": host, "seconds": seconds}
        text += " " + _("Schedules follow Redis' clock; delays and durations are measured wrongly.")
        yield Finding(code="S108", level=Level.WARNING, text=text)


def _can_lose_data(facts: Facts) -> Iterator[Finding]:
    if not facts.redis.is_there:
        return
    if facts.redis.may_evict:
        yield Finding(
            code="S109",
            level=Level.WARNING,
            text=_(
                "This Redis may throw keys away when its memory is full (maxmemory-policy %(policy)s): queued jobs "
                "could be lost. Set it to noeviction."
            )
            % {"policy": facts.redis.may_evict},
            command="redis-cli config set maxmemory-policy noeviction",
        )
    if facts.redis.keeps_on_disk is False:
        yield Finding(
            code="S109",
            level=Level.WARNING,
            text=_(
                "This Redis keeps nothing on disk: when it restarts, queued jobs are lost. Schedules come back from "
                "the database. Switch its append-only file on."
            ),
            command="redis-cli config set appendonly yes",
        )


def _all_paused(facts: Facts) -> Iterator[Finding]:
    if facts.pause is None:
        return
    reason, since, until = facts.pause
    text = _("All schedules are paused since %(since)s.") % {"since": _clock(since)} if since else ""
    if reason:
        text += " " + _("Reason: “%(reason)s”.") % {"reason": reason}
    if until is not None:
        text += " " + _("They go on at %(until)s.") % {"until": _clock(until)}
    yield Finding(code="S110", level=Level.INFO, text=text.strip())


def _zone_data(facts: Facts) -> Iterator[Finding]:
    versions = {presence.host: presence.zone_data for presence in alive(facts) if presence.zone_data}
    for host, version in sorted(versions.items()):
        if facts.zone_data and version != facts.zone_data:
            text = _(
                "The time zone rules of the scheduler on %(host)s (%(theirs)s) and of this process (%(ours)s) differ: "
                "a preview may show other times than those at which it runs."
            ) % {"host": host, "theirs": version, "ours": facts.zone_data}
            yield Finding(code="S111", level=Level.INFO, text=text)


def _clock(moment: datetime) -> str:
    local = timezone.localtime(moment)
    day = date_format(local, pgettext("date format", "j M"))
    return f"{day} {local:%H:%M} {local.tzname()}"
