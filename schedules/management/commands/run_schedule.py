"""`manage.py run_schedule`: start a schedule by hand, and wait for it if asked."""

from __future__ import annotations

import getpass
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError
from rq.job import Job

from schedules.engine import keys
from schedules.keeper.starting import run_schedule
from schedules.models import Schedule
from schedules.services import ServiceError

POLL_SECONDS = 0.3
ENDED = frozenset({"finished", "failed", "stopped", "canceled"})


class Command(BaseCommand):
    """Parses and prints; `schedules.keeper.starting` starts the run."""

    help = "Starts one run of a schedule at once, beside its plan: no slot is shifted or used up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("name", help="name or id of the schedule; it may be disabled or paused")
        parser.add_argument(
            "--wait",
            action="store_true",
            help="print what it prints, and exit as it ends: 0 when it succeeded, 1 when not",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start it."""
        schedule = _schedule(options["name"])
        try:
            job = run_schedule(schedule, started_by=_who(), follow=options["wait"])
        except ServiceError as error:
            raise CommandError(str(error)) from error
        if not options["wait"]:
            self.stdout.write(f"{schedule.name} waits in queue {job.origin} as job {job.id}.")
            return
        self.stderr.write(f"{schedule.name} waits in queue {job.origin} as job {job.id} ...")
        try:
            for piece in follow(job):
                self.stdout.write(piece, ending="")
                self.stdout.flush()
        except KeyboardInterrupt:
            raise CommandError(f"Not waited for any more; job {job.id} goes on.", returncode=130) from None
        except RedisError as error:
            raise CommandError(f"Redis does not answer ({error}); job {job.id} may go on.") from error
        ended = outcome(job)
        if ended:
            self.stderr.write(self.style.ERROR(ended))
            sys.exit(1)
        self.stderr.write(self.style.SUCCESS(f"{schedule.name} succeeded."))


def follow(job: Job) -> Iterator[str]:
    """Yield what a job prints until it has ended."""
    key, last = keys.output(job.id), "0"
    while True:
        # Asked before the output is read: what it printed at last is not missed.
        has_ended = _status(job) in ENDED
        while True:
            records: Any = job.connection.xrange(key, min=f"({last}" if last != "0" else "-", count=100)
            if not records:
                break
            for record_id, fields in records:
                last = record_id.decode()
                yield fields[b"data"].decode("utf-8", "replace")
        if has_ended:
            return
        time.sleep(POLL_SECONDS)


def outcome(job: Job) -> str:
    """Return how a job ended that did not succeed, with its traceback if it has one; empty: it succeeded."""
    status = _status(job)
    if status == "finished":
        return ""
    try:
        result = job.latest_result()
    except NoSuchJobError:
        result = None
    told = (result.exc_string or "") if result is not None else ""
    return f"{told.rstrip()}\nIt did not succeed: {status}.".lstrip()


def _status(job: Job) -> str:
    raw = job.connection.hget(job.key, "status")
    # A job with a result_ttl of 0 is deleted when it has succeeded.
    return raw.decode() if isinstance(raw, bytes) else "finished"


def _schedule(text: str) -> Schedule:
    found = Schedule.objects.filter(name=text).first()
    if found is None:
        try:
            found = Schedule.objects.filter(pk=UUID(text)).first()
        except ValueError:
            found = None
    if found is None:
        raise CommandError(
            f"There is no schedule {text!r}. Names are in the admin and in `manage.py sync_schedules`."
        )
    return found


def _who() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
