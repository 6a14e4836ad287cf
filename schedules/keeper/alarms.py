"""When somebody is to be told: on a change of state, once.

A schedule's state is its `alarm`: failing, missed, failed or late, or none. It is written in the transaction that
writes the run which changed it, so a crash or a second keeper does not tell twice; if it comes between commit and
sending, the state is in the admin and the message is not sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from django.utils import timezone as clock

from schedules.keeper.notes import Notes
from schedules.keeper.rows import Row, moment_of
from schedules.models import Alarm, RunStatus
from schedules.models.choices import FAILED_STATUSES
from schedules.texts import Text, ngettext
from schedules.texts import gettext as _

RANK: Final = {"": 0, Alarm.LATE: 1, Alarm.FAILED: 2, Alarm.MISSED: 3, Alarm.FAILING: 4}
"""A state gives way only to a worse one; only a success ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message: what changed, and to whom it goes."""

    kind: str
    """`failed`, `failing`, `missed`, `late`, `recovered`, `no_worker` or `worker_back`."""
    subject: str
    text: str
    """Both English, to be translated where they are sent: a log and the ledger are English."""
    addresses: tuple[str, ...] = ()
    """Who gets it by mail; empty: nobody, or for a matter of no single schedule the project's admins."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the webhook carries beside the texts."""
    id: str = field(default_factory=lambda: f"msg_{uuid4().hex}")


class Watch:
    """Looks at each change of a batch, changes the schedule's state, and collects what is to be told."""

    def __init__(self, notices: list[Notice]) -> None:
        self._notices = notices

    def run_ended(self, notes: Notes, row: Row, at: datetime) -> bool:
        """Look at a run that has ended; return whether its schedule was switched off for it."""
        status = row.values["status"]
        if status == RunStatus.SUCCEEDED:
            before = notes.values["alarm"]
            if before:
                notes.set(alarm="", alarm_at=None)
                text = {
                    Alarm.FAILED: _("It ran again, after it had failed."),
                    Alarm.FAILING: _("It ran again, after it was failing."),
                    Alarm.MISSED: _("It ran again, after it was missed."),
                    Alarm.LATE: _("It ran again, after it was late."),
                }.get(before, _("It ran again."))
                self._tell(notes, "recovered", text, row)
            return False
        if status not in FAILED_STATUSES:
            return False
        failures = notes.values["failures_in_a_row"]
        reason = row.values["reason"] or row.values["exception"] or _("No reason is known.")
        threshold = max(1, notes.rules["failure_threshold"] or 1)
        if failures < threshold:
            if failures == 1:
                self._first_failure(notes, row, at, _failure(1, reason, is_paused=False))
            return False
        paused = notes.rules["pause_on_failure"] and notes.values["paused_at"] is None
        if paused:
            notes.set(
                paused_at=at,
                paused_until=None,
                pause_reason=f"Paused after {failures} failure{'s' * (failures != 1)} in a row: {reason}"[
                    :500
                ],
            )
        if notes.values["alarm"] != Alarm.FAILING:
            notes.set(alarm=Alarm.FAILING, alarm_at=at)
            self._tell(notes, Alarm.FAILING, _failure(failures, reason, is_paused=bool(paused)), row)
        return bool(paused)

    def _first_failure(self, notes: Notes, row: Row, at: datetime, text: str) -> None:
        """Tell of it, whatever else is the matter: that slots were missed says nothing of a job that fails."""
        if RANK[notes.values["alarm"]] < RANK[Alarm.FAILED]:
            notes.set(alarm=Alarm.FAILED, alarm_at=at)
        self._tell(notes, Alarm.FAILED, text, row)

    def slot_missed(self, notes: Notes, row: Row, first: int, last: int) -> None:
        """Look at slots that did not run."""
        if RANK[notes.values["alarm"]] >= RANK[Alarm.MISSED]:
            return
        notes.set(alarm=Alarm.MISSED, alarm_at=clock.now())
        text = _("The slot of %(first)s UTC was missed. %(reason)s")
        if last > first:
            text = _("The slots from %(first)s to %(last)s UTC were missed. %(reason)s")
        values = {
            "first": f"{moment_of(first):%Y-%m-%d %H:%M:%S}",
            "last": f"{moment_of(last):%Y-%m-%d %H:%M:%S}",
            "reason": row.values["reason"],
        }
        self._tell(notes, Alarm.MISSED, text % values, row)

    def slot_late(self, notes: Notes, row: Row, seconds: float) -> bool:
        """Look at a slot that is still waiting; return whether that is news."""
        if RANK[notes.values["alarm"]] >= RANK[Alarm.LATE]:
            return False
        notes.set(alarm=Alarm.LATE, alarm_at=clock.now())
        text = _(
            "The slot of %(slot)s UTC has been waiting in queue %(queue)s for %(seconds)s s and has not started."
        ) % {
            "slot": f"{row.values['scheduled_for']:%Y-%m-%d %H:%M:%S}",
            "queue": repr(row.values["queue"]),
            "seconds": f"{seconds:.0f}",
        }
        self._tell(notes, Alarm.LATE, text, row)
        return True

    def _tell(self, notes: Notes, kind: str, text: str, row: Row) -> None:
        values = row.values
        self._notices.append(
            Notice(
                kind=str(kind),
                subject=_subject(kind) % {"name": notes.name},
                text=text,
                addresses=addresses_in(notes.rules["notify_email"]),
                data={
                    "schedule": {"id": str(notes.pk), "name": notes.name, "func": notes.func},
                    "run": {
                        "job_id": values["job_id"],
                        "status": str(values["status"]),
                        "scheduled_for": values["scheduled_for"].isoformat(),
                        "reason": values["reason"],
                    },
                    "failures_in_a_row": notes.values["failures_in_a_row"],
                },
            )
        )


def queue_unattended(queue: str, waiting: int) -> Notice:
    """Return the message that nobody works on a queue for which runs wait."""
    return Notice(
        kind="no_worker",
        subject=_("no worker listens on queue %(queue)s") % {"queue": queue},
        text=ngettext(
            "%(count)d run waits in queue '%(queue)s' and no worker listens on it. "
            "Start one: manage.py rqworker %(queue)s",
            "%(count)d runs wait in queue '%(queue)s' and no worker listens on it. "
            "Start one: manage.py rqworker %(queue)s",
            waiting,
        )
        % {"count": waiting, "queue": queue},
        data={"queue": queue, "waiting": waiting},
    )


def queue_attended(queue: str) -> Notice:
    """Return the message that a queue has a worker again."""
    return Notice(
        kind="worker_back",
        subject=_("queue %(queue)s has a worker again") % {"queue": queue},
        text=_("A worker listens on queue '%(queue)s' again.") % {"queue": queue},
        data={"queue": queue},
    )


def addresses_in(text: str) -> tuple[str, ...]:
    """Return the e-mail addresses in a field of commas and lines."""
    return tuple(part.strip() for part in text.replace("\n", ",").split(",") if part.strip())


def _failure(failures: int, reason: str, *, is_paused: bool) -> Text:
    values = {"count": failures, "reason": reason}
    if is_paused:
        text = ngettext(
            "It failed: %(reason)s The schedule is paused until somebody resumes it.",
            "It failed %(count)d times in a row, the last time: %(reason)s "
            "The schedule is paused until somebody resumes it.",
            failures,
        )
    else:
        text = ngettext(
            "It failed: %(reason)s",
            "It failed %(count)d times in a row, the last time: %(reason)s",
            failures,
        )
    return text % values


def _subject(kind: str) -> Text:
    return {
        Alarm.FAILED: _("%(name)s has failed"),
        Alarm.FAILING: _("%(name)s is failing"),
        Alarm.MISSED: _("%(name)s missed slots"),
        Alarm.LATE: _("%(name)s is late"),
        "recovered": _("%(name)s has recovered"),
    }[kind]
