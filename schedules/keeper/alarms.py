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

RANK: Final = {"": 0, Alarm.LATE: 1, Alarm.FAILED: 2, Alarm.MISSED: 3, Alarm.FAILING: 4}
"""A state gives way only to a worse one; only a success ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message: what changed, and to whom it goes."""

    kind: str
    """`failed`, `failing`, `missed`, `late`, `recovered`, `no_worker` or `worker_back`."""
    subject: str
    text: str
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
                was = "had failed" if before == Alarm.FAILED else f"was {before}"
                self._tell(notes, "recovered", f"It ran again, after it {was}.", row)
            return False
        if status not in FAILED_STATUSES:
            return False
        failures = notes.values["failures_in_a_row"]
        reason = row.values["reason"] or row.values["exception"] or "No reason is known."
        threshold = max(1, notes.rules["failure_threshold"] or 1)
        if failures < threshold:
            if failures == 1:
                self._first_failure(notes, row, at, f"It failed: {reason}")
            return False
        times = "" if failures == 1 else f" {failures} times in a row, the last time"
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
            switched_off = " The schedule is paused until somebody resumes it." if paused else ""
            self._tell(notes, Alarm.FAILING, f"It failed{times}: {reason}{switched_off}", row)
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
        span = f"The slot of {moment_of(first):%Y-%m-%d %H:%M:%S} UTC was missed."
        if last > first:
            span = (
                f"The slots from {moment_of(first):%Y-%m-%d %H:%M:%S} to {moment_of(last):%Y-%m-%d %H:%M:%S} "
                "UTC were missed."
            )
        self._tell(notes, Alarm.MISSED, f"{span} {row.values['reason']}", row)

    def slot_late(self, notes: Notes, row: Row, seconds: float) -> bool:
        """Look at a slot that is still waiting; return whether that is news."""
        if RANK[notes.values["alarm"]] >= RANK[Alarm.LATE]:
            return False
        notes.set(alarm=Alarm.LATE, alarm_at=clock.now())
        text = (
            f"The slot of {row.values['scheduled_for']:%Y-%m-%d %H:%M:%S} UTC has been waiting in queue "
            f"{row.values['queue']!r} for {seconds:.0f} s and has not started."
        )
        self._tell(notes, Alarm.LATE, text, row)
        return True

    def _tell(self, notes: Notes, kind: str, text: str, row: Row) -> None:
        values = row.values
        self._notices.append(
            Notice(
                kind=str(kind),
                subject=f"{notes.name} {_is(kind)}",
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
    runs = "1 run waits" if waiting == 1 else f"{waiting} runs wait"
    return Notice(
        kind="no_worker",
        subject=f"no worker listens on queue {queue}",
        text=f"{runs} in queue {queue!r} and no worker listens on it. Start one: manage.py rqworker {queue}",
        data={"queue": queue, "waiting": waiting},
    )


def queue_attended(queue: str) -> Notice:
    """Return the message that a queue has a worker again."""
    return Notice(
        kind="worker_back",
        subject=f"queue {queue} has a worker again",
        text=f"A worker listens on queue {queue!r} again.",
        data={"queue": queue},
    )


def addresses_in(text: str) -> tuple[str, ...]:
    """Return the e-mail addresses in a field of commas and lines."""
    return tuple(part.strip() for part in text.replace("\n", ",").split(",") if part.strip())


def _is(kind: str) -> str:
    return {
        Alarm.FAILED: "has failed",
        Alarm.FAILING: "is failing",
        Alarm.MISSED: "missed slots",
        Alarm.LATE: "is late",
        "recovered": "has recovered",
    }[kind]
