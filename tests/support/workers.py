"""Workers for tests: the product's own, in this process or in one of their own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis as redis_py
from django_rq import get_queue
from rq import SimpleWorker as RQSimpleWorker

from schedules.worker import Worker


class SimpleWorker(Worker, RQSimpleWorker):
    """The product's worker without a process for each job."""

    def execute_job(self, job: Any, queue: Any) -> None:
        RQSimpleWorker.execute_job(self, job, queue)


def work(connection: redis_py.Redis, count: int | None = None, queue: str = "default") -> None:
    """Run what is queued, at most so many jobs, here and now."""
    SimpleWorker([get_queue(queue, connection=connection)], connection=connection).work(
        burst=True, max_jobs=count, logging_level="WARNING"
    )


@contextmanager
def worker_process(connection: redis_py.Redis) -> Iterator[int]:
    """Run a worker with work horses in a process of its own; give its process id."""
    options = dict(connection.connection_pool.connection_kwargs)
    pid = os.fork()
    if pid == 0:
        try:
            own = redis_py.Redis(unix_socket_path=options["path"])
            Worker([get_queue("default", connection=own)], connection=own).work(logging_level="WARNING")
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        _end(pid)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
    except (ProcessLookupError, ChildProcessError):
        pass  # the test ended it
