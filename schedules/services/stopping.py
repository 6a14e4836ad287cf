"""Stopping a job that a worker executes."""

from __future__ import annotations

from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError

from schedules.services.connection import redis_errors_as_ours, scheduler_for
from schedules.services.errors import ServiceError
from schedules.texts import gettext as _


class NotRunningError(ServiceError):
    """No worker executes this job."""


def stop_job(job_id: str) -> None:
    """Tell the worker that executes a job to stop it; the ledger learns of it when the worker has.

    Raises:
        NotRunningError: it has ended, or has not started.
        SchedulerUnavailableError: Redis does not answer.
    """
    scheduler = scheduler_for()
    with redis_errors_as_ours(scheduler.connection):
        try:
            send_stop_job_command(scheduler.connection, job_id)
        except (NoSuchJobError, InvalidJobOperation) as error:
            raise NotRunningError(
                _("The job %(job)s is not running (%(error)s).") % {"job": job_id, "error": error}
            ) from error
