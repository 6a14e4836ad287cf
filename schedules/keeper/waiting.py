"""Watching what does not happen: slots that wait too long, queues on which nobody works."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from django.db import router, transaction
from redis import Redis

from schedules.conf import conf
from schedules.engine import keys
from schedules.keeper.alarms import Notice, Watch, queue_attended, queue_unattended
from schedules.keeper.closing import OpenRun, Pass
from schedules.keeper.notes import Notes, read_notes, write_notes
from schedules.keeper.rows import Row
from schedules.models import Run

PATIENCE: Final = 60.0
"""Seconds that a run waits in a queue without a worker before it is said; a deploy takes a while."""


class Waiting:
    """Looks at the runs that wait, each time the open runs are looked at."""

    def __init__(self, connection: Redis) -> None:
        self._connection = connection
        self._told: set[UUID] = set()
        self._unattended: bool | None = None
        """Whether some queue is known to be without a worker; None: not asked yet."""
        self.using = router.db_for_write(Run)

    def forget(self) -> None:
        """Begin anew, after another keeper may have looked."""
        self._told.clear()
        self._unattended = None

    def look(self, found: Pass, now: datetime) -> list[Notice]:
        """Return what is to be told."""
        return [*self._late(found.waiting, now), *self._queues(found, now)]

    def _late(self, waiting: Sequence[OpenRun], now: datetime) -> list[Notice]:
        least = 1.0
        oldest: dict[UUID, OpenRun] = {}
        for run in waiting:
            if run.schedule_id is not None and (now - run.waiting_since).total_seconds() > least:
                oldest.setdefault(run.schedule_id, run)
        self._told &= set(oldest)
        unsaid = [pk for pk in oldest if pk not in self._told]
        notices: list[Notice] = []
        if not unsaid:
            return notices
        graces = {key: notes.rules["grace"] or conf.grace for key, notes in self._read(unsaid).items()}
        late = [
            pk
            for pk in unsaid
            if str(pk) in graces and (now - oldest[pk].waiting_since).total_seconds() > graces[str(pk)]
        ]
        if not late:
            return notices
        watch = Watch(notices)
        with transaction.atomic(using=self.using):
            noted = read_notes(late, using=self.using, lock=True)
            for pk in late:
                if str(pk) not in noted:
                    continue
                run = oldest[pk]
                row = Row(
                    {
                        "scheduled_for": run.scheduled_for,
                        "queue": run.queue,
                        "job_id": run.job_id,
                        "status": run.status,
                        "reason": "",
                    },
                    pk=None,
                )
                watch.slot_late(noted[str(pk)], row, (now - run.waiting_since).total_seconds())
            write_notes(noted.values(), using=self.using)
        self._told.update(late)
        return notices

    def _read(self, ids: Sequence[UUID]) -> dict[str, Notes]:
        return read_notes(ids, using=self.using)

    def _queues(self, found: Pass, now: datetime) -> list[Notice]:
        patient = {run.queue for run in found.waiting if (now - run.waiting_since).total_seconds() > PATIENCE}
        if not patient and self._unattended is False:
            return []
        known = {
            cast(bytes, name).decode("utf-8", "replace") for name in self._connection.hkeys(keys.UNATTENDED)
        }
        notices: list[Notice] = []
        for queue in sorted(patient | known):
            attended = self._has_worker(queue)
            if queue in patient and not attended:
                if queue not in known and self._connection.hsetnx(
                    keys.UNATTENDED, queue, f"{time.time():.0f}"
                ):
                    notices.append(queue_unattended(queue, found.waiting_in[queue]))
                known.add(queue)
            elif queue in known and (attended or not found.waiting_in[queue]):
                if self._connection.hdel(keys.UNATTENDED, queue) and attended:
                    notices.append(queue_attended(queue))
                known.discard(queue)
        self._unattended = bool(known)
        return notices

    def _has_worker(self, queue: str) -> bool:
        names = list(self._connection.smembers(keys.workers(queue)))
        if not names:
            return False
        with self._connection.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.exists(name)
                pipe.hexists(name, "death")
            answers = pipe.execute()
        return any(lives and not died for lives, died in zip(answers[::2], answers[1::2], strict=True))
