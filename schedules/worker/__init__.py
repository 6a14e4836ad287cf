"""What runs inside `manage.py rqworker`: RQ's job and worker, telling the ledger what happens.

Plugged in with `RQ = {"JOB_CLASS": "schedules.worker.Job", "WORKER_CLASS": "schedules.worker.Worker"}`.
"""

from schedules.worker.job import Job
from schedules.worker.worker import Worker

__all__ = ["Job", "Worker"]
