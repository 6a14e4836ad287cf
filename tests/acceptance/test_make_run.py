"""`make run` in a fresh folder with a space in its name: it runs, it stops, it goes on.

With this test's own Python, so that nothing is installed; a new machine installs in `.ci/run`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from redis import Redis
from rq import Queue

from scheduler_project import embedded_redis
from tests.support.programs import ROOT, environment, free_port
from tests.support.waiting import wait_for

HTTP_JOB = "schedules.job.job_request"  # what breaking-news runs
pytestmark = pytest.mark.timeout(180)
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "tests", "*cache*", "staticfiles", "__pycache__")


class Product:
    """The running product of one folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.output = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def start(self) -> None:
        """Start it as from a terminal, and wait for what it prints when it is ready."""
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["make", "run", f"PY={sys.executable}", f"PORT={self.port}"],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "The product is ready" in self.text() or not self.runs(), seconds=60)
        assert self.runs(), self.text()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to make and to what it runs."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)

    def left(self) -> list[str]:
        """Return what runs from the folder, or holds it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                here = (entry / "cwd").readlink()
            except OSError:
                continue
            if here.is_relative_to(self.folder) or str(self.folder) in command:
                found.append(command)
        return found


@contextmanager
def fresh(folder: Path) -> Iterator[Product]:
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    product = Product(folder, free_port())
    try:
        yield product
    finally:
        if product.runs():
            product.interrupt()
        for pid in re.findall(r"\(pid=(\d+)\)", product.text() if product.output.exists() else ""):
            try:
                os.killpg(int(pid), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def logged_in(product: Product) -> requests.Session:
    told = re.search(r"user +(\S+)\n +password +(\S+) \(kept in (.*)\)", product.text())
    assert told is not None, product.text()
    assert Path(told[3]).read_text().strip() == told[2]
    assert Path(told[3]).stat().st_mode & 0o077 == 0
    session = requests.Session()
    page = session.get(f"{product.url}/admin/login/", timeout=10)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    answer = session.post(
        f"{product.url}/admin/login/?next=/admin/",
        data={"username": told[1], "password": told[2], "csrfmiddlewaretoken": token[1]},
        timeout=10,
    )
    assert "Log out" in answer.text
    return session


def finished(product: Product, func: str) -> int:
    """Return how many jobs of that function RQ has finished."""
    with Redis.from_url(embedded_redis.url(product.folder / "var" / "redis")) as redis:
        queue = Queue("default", connection=redis)
        jobs = [queue.fetch_job(id_) for id_ in queue.finished_job_registry.get_job_ids(cleanup=False)]
        return len([job for job in jobs if job is not None and job.func_name == func])


def start_long_job(product: Product) -> None:
    """Have a worker in the middle of a job that would outlast any patience."""
    with Redis.from_url(embedded_redis.url(product.folder / "var" / "redis")) as redis:
        queue = Queue("high", connection=redis)
        queue.enqueue("time.sleep", 600, job_timeout=700)
        wait_for(lambda: queue.started_job_registry.get_job_ids(cleanup=False), what="the job is started")


def test_the_product_runs_stops_on_ctrl_c_and_goes_on(tmp_path: Path) -> None:
    with fresh(tmp_path / "a folder") as product:
        product.start()
        session = logged_in(product)
        assert session.get(f"{product.url}/static/admin/css/base.css", timeout=10).status_code == 200
        schedules = session.get(f"{product.url}/admin/schedules/schedule/", timeout=10).text
        assert "breaking-news" in schedules
        wait_for(lambda: finished(product, HTTP_JOB), seconds=20, what="a finished HTTP job")
        first_password = (product.folder / "var" / "admin-password").read_text()

        again = subprocess.run(
            ["make", "run", f"PY={sys.executable}", f"PORT={free_port()}"],
            cwd=product.folder, env=environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert again.returncode != 0
        assert "It runs already from this folder" in again.stderr

        start_long_job(product)
        product.interrupt()
        assert "Stopped; what it knew is kept" in product.text()
        assert "Traceback" not in product.text()
        wait_for(lambda: not product.left(), what=f"nothing is left: {product.left()}")

        product.start()
        logged_in(product)
        assert (product.folder / "var" / "admin-password").read_text() == first_password
        assert finished(product, HTTP_JOB), "what Redis knew is kept"
        assert product.process is not None
        product.process.terminate()  # SIGTERM to make, which passes it on
        product.process.wait(timeout=30)
        wait_for(lambda: not product.left(), what=f"nothing is left: {product.left()}")


def test_nothing_is_left_when_it_is_killed(tmp_path: Path) -> None:
    with fresh(tmp_path / "a folder") as product:
        product.start()
        assert len(product.left()) >= 6
        os.kill(int((product.folder / "var" / "run.lock").read_text()), signal.SIGKILL)
        wait_for(lambda: not product.left(), seconds=20, what="everything has ended with it")
