"""Workers that are told to stop at random instants, while jobs come: how they ended, and what became of the jobs.

    REDIS_URL=... python -m tests.chaos.stopping ROUNDS [SEED] [--stock]

Prints one line of JSON: how many workers ended with which code (`hung`: they had to be killed), how many jobs were
queued, and how many of them are neither in their queue nor were executed once. `--stock` takes RQ's own worker.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any, Final

EXIT_SECONDS: Final = 10.0
QUEUES: Final = (["default"], ["high", "default", "low"])
"""Of one queue RQ takes a job by BLMOVE, of several by BLPOP."""


def main(rounds: int, seed: int, *, stock: bool) -> dict[str, Any]:
    import django

    django.setup()
    import django_rq
    import rq

    from schedules.worker import Worker
    from tests.support.ending_jobs import succeed

    worker_class = rq.Worker if stock else Worker
    chance = random.Random(seed)
    connection = django_rq.get_connection("default")
    ends: Counter[str] = Counter()
    jobs: list[str] = []
    for number in range(rounds):
        names = QUEUES[number % 2]
        child, reading = _fork(worker_class, names)
        _wait_for(reading, b"Listening on")
        wait = chance.uniform(0, 0.02)
        before = chance.uniform(0, 0.02)
        time.sleep(before)
        if number % 3:
            jobs.append(django_rq.get_queue(names[-1]).enqueue(succeed).id)
        time.sleep(max(0.0, wait - before))
        os.kill(child, signal.SIGTERM)
        ends[_end_of(child)] += 1
        os.close(reading)
    waiting = {id_ for name in QUEUES[1] for id_ in django_rq.get_queue(name).job_ids}
    fates = Counter(
        "waiting"
        if id_ in waiting
        else (rq.job.Job.fetch(id_, connection=connection).get_status() or "").value
        for id_ in jobs
    )
    return {
        "ends": dict(ends),
        "jobs": len(jobs),
        "fates": dict(fates),
        "lost": len(jobs) - fates["waiting"] - fates["finished"],
    }


def _fork(worker_class: Any, names: list[str]) -> tuple[int, int]:
    """Start a worker in a process; return its pid and a pipe of what it logs."""
    import django_rq

    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        queues = [django_rq.get_queue(name) for name in names]
        worker_class(queues, connection=queues[0].connection).work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        os._exit(code)


def _wait_for(reading: int, text: bytes) -> None:
    said = b""
    while text not in said:
        more = os.read(reading, 4096)
        assert more, said
        said += more


def _end_of(child: int) -> str:
    deadline = time.monotonic() + EXIT_SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


if __name__ == "__main__":
    options = [argument for argument in sys.argv[1:] if argument != "--stock"]
    print(json.dumps(main(int(options[0]), int((options[1:] or ["1"])[0]), stock="--stock" in sys.argv)))
