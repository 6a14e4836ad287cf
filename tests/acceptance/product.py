"""The running product of an acceptance test: the processes of the Procfile, on a Redis and a database of its own."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from honcho.environ import parse_procfile

from scheduler_project.processes import die_with_parent, kill_session
from schedules.engine.identity import identity_of
from schedules.worker import Job
from tests.acceptance.pages import Admin
from tests.support.programs import ROOT, environment, free_port, python
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

COMMANDS = parse_procfile((ROOT / "Procfile").read_text()).processes
READY = {"rqscheduler": "Dispatching to RQ's queues", "rqworker": "Listening on"}
"""What a process prints when it is at work."""
PASSWORD = "a password of a test"


@dataclass(frozen=True)
class Ran:
    """One line that a job left."""

    job: str
    args: list[Any]
    kwargs: dict[str, Any]
    at: float

    @property
    def slot(self) -> int:
        """The slot it ran for, unix seconds."""
        moment = identity_of(self.job).scheduled_for
        assert moment is not None, f"{self.job} has no slot"
        return int(moment.timestamp())


class Product:
    """Start, stop and kill its processes by the names that the Procfile gives them."""

    def __init__(self, database: Path, **variables: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sa-", dir="/tmp"))  # short, so that sockets fit in
        shutil.copy(database, self.folder / "db.sqlite3")
        self.ran_file = self.folder / "ran.jsonl"
        self.ran_file.touch()
        self.redis_server = RedisServer(directory=self.folder / "redis", port=free_port())
        self.redis = self.redis_server.client()
        self.port = free_port()
        here = str(Path(sys.executable).parent)
        self.environment = environment(
            PATH=f"{here}:{os.environ.get('PATH', os.defpath)}",
            PYTHONUNBUFFERED="1",
            DJANGO_SETTINGS_MODULE="tests.acceptance.settings",
            DEBUG="1",
            VAR_DIR=str(self.folder / "var"),
            DATABASE_URL=f"sqlite:///{self.folder}/db.sqlite3",
            REDIS_URL=self.redis_server.url,
            PORT=str(self.port),
            JOBS_RAN=str(self.ran_file),
            SCHEDULES_RECONCILE_SECONDS="1",
            **variables,
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    # --- its processes

    def start(self, *names: str, wait: bool = True) -> None:
        """Start these, and wait until all of them are at work. `rqscheduler 2` is one more `rqscheduler`."""
        for name in names:
            if name == "redis":
                self.redis_server.start()
                continue
            assert not self.is_running(name), f"{name} runs already"
            with self.log(name).open("wb") as output:
                self.processes[name] = subprocess.Popen(
                    ["sh", "-c", COMMANDS[name.split()[0]]],
                    cwd=ROOT,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=functools.partial(die_with_parent, parent=os.getpid(), sign=signal.SIGKILL),
                )
        for name in names if wait else ():
            wait_for(functools.partial(self.is_ready, name), seconds=30, what=f"{name} is ready")

    def ensure(self, *names: str, wait: bool = True) -> None:
        """Start those of them that do not run, and wait until all of them are at work.

        One that was just starting when Redis was taken away ends; as a supervisor would, this starts it again.
        """
        self.start(*[name for name in names if not self.is_running(name)], wait=False)

        def stands(name: str) -> bool:
            if not self.is_running(name):
                self.start(name, wait=False)
                return False
            return self.is_ready(name)

        for name in names if wait else ():
            wait_for(functools.partial(stands, name), seconds=30, what=f"{name} is ready")

    def is_running(self, name: str) -> bool:
        if name == "redis":
            return self.redis_server.process is not None
        return name in self.processes and self.processes[name].poll() is None

    def is_ready(self, name: str) -> bool:
        if name == "redis":
            return True
        assert self.is_running(name), f"{name} ended:\n{self.text(name)}"
        if name == "web":
            try:
                return requests.get(f"{self.url}/admin/login/", timeout=5).ok
            except requests.RequestException:
                return False
        return READY[name.split()[0]] in self.text(name)

    def end(self, name: str, sign: signal.Signals = signal.SIGTERM) -> int:
        """End one process; return its exit code."""
        if name == "redis":
            if sign == signal.SIGKILL:
                self.redis_server.kill()
            else:
                self.redis_server.stop()
            return 0
        process = self.processes.pop(name)
        process.send_signal(sign)
        return process.wait(timeout=20)

    def log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"

    def text(self, name: str) -> str:
        """Return what the process printed since it was started last."""
        return self.log(name).read_text(errors="replace") if self.log(name).exists() else ""

    def last_words(self) -> str:
        """Return the last lines of every process, for the message of a test that fails."""
        return "\n".join(
            f"--- {name}{'' if self.is_running(name) else ' (ended)'}\n{self.text(name)[-3000:]}"
            for name in self.processes
        )

    def close(self) -> None:
        """End everything; nothing is left."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                kill_session(process.pid)
                process.wait()
            kill_session(process.pid)
        self.redis.close()
        self.redis_server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what a user has of it

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admin(self) -> Admin:
        """Log in to the admin, as a browser would."""
        return Admin(self.url, user="admin", password=PASSWORD)

    def manage(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a `manage.py` command as in another terminal."""
        return python("manage.py", *arguments, env={**self.environment, **variables})

    def client(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code in a process of its own, as any program that uses the app."""
        return python("-c", f"import django; django.setup()\n{code}", env=self.environment)

    # --- what came of it

    def ran(self, label: Any) -> list[Ran]:
        """Return the runs whose first argument is the label, in the order in which they began."""
        lines = [Ran(**json.loads(line)) for line in self.ran_file.read_text().splitlines()]
        return [run for run in lines if run.args and run.args[0] == label]

    def job(self, job_id: str) -> Job | None:
        """Return RQ's job."""
        return Job.fetch(job_id, connection=self.redis) if Job.exists(job_id, connection=self.redis) else None

    def score(self, schedule_id: str) -> float | None:
        """Return when a schedule is due next by rq-scheduler's own set, unix seconds."""
        return self.redis.zscore("rq:scheduler:scheduled_jobs", schedule_id)
