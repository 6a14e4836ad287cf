"""Every command and every sample of the README is executed, in a fresh folder that a newcomer would have."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from scheduler_project.processes import die_with_parent
from tests.acceptance.pages import Admin, form_of, text_of
from tests.support.programs import ROOT, environment, free_port
from tests.support.readme import Block, blocks_of, commands_of
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(180)
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "var", "*cache*", "staticfiles", "__pycache__", "chaos", "browser"
)
BLOCKS = blocks_of("README.md")
COMMANDS = commands_of("README.md")


def block(start: str) -> Block:
    """Return the one block that begins so."""
    (found,) = [block for block in BLOCKS if block.first_line.startswith(start)]
    return found


def on_path(command: str) -> str:
    """Take a command's programs from the path; the tests themselves may run in a `.venv`, whose path stays as it is."""
    return re.sub(r"(^|[\s(])\.venv/bin/", r"\1", command)


class Newcomer:
    """Somebody in a fresh folder, who does what the README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        here = str(Path(sys.executable).parent)
        self.redis = RedisServer(port=free_port())
        self.environment = environment(PATH=f"{here}:{os.environ.get('PATH', os.defpath)}")
        for name in [name for name in self.environment if name.startswith(("SCHEDULE_", "SCHEDULES_"))]:
            del self.environment[name]

    def follow_the_samples(self) -> None:
        """Write the files that the README shows."""
        for sample in BLOCKS:
            at_the_end = sample.first_line.startswith("# at the end of ")
            path = sample.first_line.rpartition(" ")[2]
            if sample.language == "python" and path.endswith(".py"):
                file = self.folder / path
                file.parent.mkdir(exist_ok=True)
                with file.open("a" if at_the_end else "w") as target:
                    target.write(f"\n{sample.text}")
        (self.folder / "store" / "__init__.py").touch()

    def make_run(self) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["make", "run", f"PY={sys.executable}", f"PORT={self.port}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(die_with_parent, parent=os.getpid(), sign=signal.SIGINT),
            )
        wait_for(lambda: "nothing is lost." in self.said() or not self.runs(), seconds=60)
        assert self.runs(), self.said()

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def stop(self) -> None:
        if self.runs():
            assert self.process is not None
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(timeout=30)

    def shell(self, command: str, **variables: str) -> str:
        """Execute a command line as it stands, with this Python for the README's; return what it printed."""
        done = subprocess.run(
            ["sh", "-c", on_path(command.replace(".venv/bin/pip", "python -m pip"))],
            cwd=self.folder, env={**self.environment, **variables}, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def execute(self, sample: str) -> str:
        """Execute a sample of Python in the project."""
        code = self.folder / "sample.py"
        code.write_text(f"import django\ndjango.setup()\n{sample}")
        return self.shell("python sample.py", DJANGO_SETTINGS_MODULE="scheduler_project.settings")

    @functools.cached_property
    def deployment(self) -> dict[str, str]:
        """What the README sets for a deployment, with servers that exist."""
        self.redis.start()
        exports = [line.removeprefix("export ") for line in COMMANDS if line.startswith("export ")]
        variables = dict(line.split("=", 1) for line in exports)
        variables |= {
            "REDIS_URL": self.redis.tcp_url,
            "DATABASE_URL": f"sqlite:///{self.folder}/deployed.sqlite3",
        }
        self.shell(
            "python manage.py migrate --verbosity 0 && python manage.py collectstatic --noinput", **variables
        )
        return variables

    @functools.cached_property
    def admin(self) -> Admin:
        password = (self.folder / "var" / "admin-password").read_text().strip()
        return Admin(f"http://127.0.0.1:{self.port}", user="admin", password=password)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    folder = tmp_path_factory.mktemp("new") / "schedules"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    somebody = Newcomer(folder)
    somebody.follow_the_samples()
    somebody.make_run()
    yield somebody
    somebody.stop()
    somebody.redis.stop()
    shutil.rmtree(somebody.redis.directory)


def pattern_of(shown: str) -> str:
    """Return a pattern for what a block shows, in which numbers, the password and the folder may be others."""
    pattern = re.escape(shown.strip("\n"))
    pattern = re.sub(r"password(\\ )+\S+", r"password +\\S+", pattern)
    pattern = pattern.replace("kept\\ in\\ var/", "kept\\ in\\ .*var/")
    return re.sub(r"(?<![\w.])\d+(?= |\\ |/)", r"\\d+", pattern.replace(":8000/", r":\d+/"))


# --- Commands ---------------------------------------------------------------------------------------------------


def make_run(newcomer: Newcomer, command: str) -> None:
    shown = block("  The product is ready").text
    assert re.search(pattern_of(shown), newcomer.said()), newcomer.said()


def make_test(newcomer: Newcomer, command: str) -> None:
    said = newcomer.shell(f'{command} PY="{sys.executable}" JOBS=0 ARGS="tests/unit/test_environment.py"')
    assert re.search(r"\d+ passed.* in \d", said), said


def override(newcomer: Newcomer, command: str) -> None:
    newcomer.execute(
        "from schedules.models import Schedule\n"
        "if not Schedule.objects.filter(name='prices').exists():\n"
        "    Schedule(name='prices', func='store.jobs.refresh_prices', args=['fr'], interval=300).save()\n"
    )
    said = newcomer.shell(command)
    assert re.fullmatch(pattern_of(block("changed: prices").text), said.strip()), said
    newcomer.shell("python manage.py sync_schedules")


def check(newcomer: Newcomer, command: str) -> None:
    assert re.search(r"0 added, 0 changed, 0 removed, \d+ kept", newcomer.shell(command))


def install(newcomer: Newcomer, command: str) -> None:
    said = newcomer.shell(f"{command} --no-index")
    assert said.count("already satisfied: rq-dashboard") == said.count("already satisfied: six in") == 1


def deploy(newcomer: Newcomer, command: str) -> None:
    newcomer.shell(command, **newcomer.deployment)


def serve(newcomer: Newcomer, command: str) -> None:
    """Start it, wait until it works, and tell it to stop."""
    log = newcomer.folder / "served.txt"
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=newcomer.folder, env={**newcomer.environment, **newcomer.deployment, "PORT": str(port)},
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def works() -> bool:
        assert process.poll() is None, log.read_text()
        if not command.startswith("gunicorn"):
            at_work = re.findall("Dispatching to RQ's queues|Listening on", log.read_text())
            return len(at_work) >= (4 if "--num-workers 4" in command else 1)
        try:
            answer = requests.get(
                f"http://127.0.0.1:{port}/admin/login/", headers={"Host": "scheduler.example.com"},
                timeout=5, allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException:
            return False
        return answer.headers.get("Location") == "https://scheduler.example.com/admin/login/"

    try:
        wait_for(works, seconds=30, what=command)
    finally:
        process.terminate()
        code = process.wait(timeout=15)
    assert code == 0, log.read_text()


def configure(newcomer: Newcomer, command: str) -> None:
    variables = dict(
        line.removeprefix("export ").split("=", 1) for line in COMMANDS if line.startswith("export ")
    )
    name, value = command.removeprefix("export ").split("=", 1)
    code = f"from django.conf import settings; print(repr(getattr(settings, {name!r}, None)))"
    said = newcomer.shell(
        f'python -c "{code}"', **variables, DJANGO_SETTINGS_MODULE="scheduler_project.settings"
    ).strip()
    known = {"DEBUG": "False", "ALLOWED_HOSTS": f"[{value!r}]", "DATABASE_URL": "None"}
    assert said == known.get(name, repr(value))


def dashboard(newcomer: Newcomer, command: str) -> None:
    """That it lists queues and jobs is in tests/acceptance/test_pages_of_rq.py; here: that it comes up as shown."""
    port = free_port()
    line = on_path(command).replace("9181", str(port))
    process = subprocess.Popen(
        ["sh", "-c", f"exec {line}"], cwd=newcomer.folder, env=newcomer.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, command
        try:
            return "default" in requests.get(f"http://127.0.0.1:{port}/0/data/queues.json", timeout=5).text
        except requests.RequestException:
            return False

    try:
        wait_for(answers, seconds=30)
    finally:
        process.terminate()
        process.wait(timeout=10)


EXECUTED: dict[str, Callable[[Newcomer, str], None]] = {
    "make run": make_run,
    "make test": make_test,
    "SCHEDULE_PRICES_INTERVAL=600 .venv/bin/python manage.py sync_schedules": override,
    ".venv/bin/python manage.py sync_schedules --check": check,
    ".venv/bin/pip install rq-dashboard six": install,
    "python manage.py migrate": deploy,
    "python manage.py collectstatic --noinput": deploy,
    "python manage.py sync_schedules": deploy,
    "gunicorn --config python:scheduler_project.gunicorn_conf scheduler_project.wsgi": serve,
    "python manage.py rqscheduler": serve,
    "python manage.py rqworker high default low": serve,
}


@pytest.mark.parametrize("command", list(dict.fromkeys(COMMANDS)))
def test_the_command_does_what_the_readme_says(newcomer: Newcomer, command: str) -> None:
    if command.startswith("export "):
        configure(newcomer, command)
    elif command.startswith(".venv/bin/rq-dashboard"):
        dashboard(newcomer, command)
    else:
        assert command in EXECUTED, "no test executes this command"
        EXECUTED[command](newcomer, command)


@pytest.mark.parametrize(
    "command",
    ["python manage.py check --deploy --database default", "python manage.py sync_schedules --check"],
)
def test_what_is_said_of_deploying_works(newcomer: Newcomer, command: str) -> None:
    assert command.removesuffix(" --check") in (ROOT / "docs" / "deploying.md").read_text()
    newcomer.shell("python manage.py sync_schedules", **newcomer.deployment)
    newcomer.shell(command, **newcomer.deployment)


def test_a_pool_of_workers_starts_and_stops(newcomer: Newcomer) -> None:
    command = "python manage.py rqworker-pool high default low --num-workers 4"
    assert f"`{command}`" in (ROOT / "docs" / "deploying.md").read_text()
    serve(newcomer, command)


# --- Samples ----------------------------------------------------------------------------------------------------


def test_the_sample_jobs_can_be_chosen_in_the_admin_and_run(newcomer: Newcomer) -> None:
    page = newcomer.admin.get("/admin/schedules/schedule/add/")
    for name in ("store.jobs.refresh_prices", "store.jobs.warm_up", "store.reports.weekly_report"):
        assert f'value="{name}"' in page
    newcomer.admin.add(name="by hand", func="store.jobs.refresh_prices", args='["nl"]', interval=1)
    result = "prices of nl: changed ones"
    wait_for(lambda: result in text_of(runs_of(newcomer, "by hand")), seconds=20)
    refused = newcomer.admin.save(
        name="typo", func="store.jobs.refresh_prices", args='["nl", true, 3]', interval=1
    )
    assert "too many positional arguments" in text_of(refused.text)
    newcomer.admin.delete(newcomer.admin.added[-1])


def runs_of(newcomer: Newcomer, name: str) -> str:
    """Return the page of the newest run of a schedule, or the list while there is none."""
    runs = newcomer.admin.get(f"/admin/schedules/run/?schedule={newcomer.admin.id_of(name)}")
    found = re.search(r'href="(/admin/schedules/run/[^"/]+/change/)', runs)
    return newcomer.admin.get(found[1]) if found else runs


def test_the_sample_of_a_row_saves_it_and_brings_it_to_redis(newcomer: Newcomer) -> None:
    sample = block("from schedules.models import Schedule").text
    newcomer.execute(
        "from schedules.models import Schedule\nSchedule.objects.filter(name='prices').delete()\n"
        + sample
        + "from schedules.services import SchedulerService\nassert SchedulerService.next_run(prices.id)\n"
    )
    fields = form_of(
        newcomer.admin.get(f"/admin/schedules/schedule/{newcomer.admin.id_of('prices')}/change/"),
        id="schedule_form",
    )
    assert fields["interval"] == ["300"]


def test_the_sample_of_the_service_runs(newcomer: Newcomer) -> None:
    said = newcomer.execute(
        block("from datetime import UTC").text
        + "\nassert SchedulerService.next_run(id) is None\nprint(job.id)\n"
    ).splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", said[0]), "next_run is aware, UTC"
    page = wait_for(
        lambda: "SUCCESSFUL" in (text := text_of(job_page(newcomer, said[1]))) and text, seconds=20
    )
    assert "store.jobs.refresh_prices" in page


def job_page(newcomer: Newcomer, job_id: str) -> str:
    return newcomer.admin.get(f"/admin/django_rq/dashboard/queues/1/{job_id}/")  # high


def test_the_sample_for_debugging_runs(newcomer: Newcomer) -> None:
    (sample,) = [block for block in blocks_of("docs/debugging.md") if block.language == "python"]
    wait_for(lambda: "succeeded" in newcomer.execute(sample.text), seconds=30)


def test_every_block_is_one_that_a_test_knows() -> None:
    shown = [sample.first_line for sample in BLOCKS if sample.language == "text"]
    assert [line.split()[0] for line in shown] == ["The", "changed:"]
    python = {sample.first_line.split()[-1] for sample in BLOCKS if sample.language == "python"}
    assert python == {
        "store/jobs.py",
        "store/reports.py",
        "store/apps.py",
        "scheduler_project/settings.py",
        "Schedule",
        "timedelta",
    }
    assert {sample.language for sample in BLOCKS} == {"sh", "text", "python"}
