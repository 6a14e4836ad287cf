"""django-rq's pages in the admin and rq-dashboard show our jobs: queued, started, finished, failed, scheduled."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from html import unescape

import pytest
import requests

from tests.acceptance.pages import Admin, text_of
from tests.acceptance.product import Product
from tests.support.programs import ROOT, free_port
from tests.support.readme import commands_of
from tests.support.waiting import wait_for

JOBS = "tests.acceptance.newsroom.jobs"
PAGES = "/admin/django_rq/dashboard"
QUEUE = f"{PAGES}/queues/0"  # default: django-rq counts the queues by name


@pytest.fixture(scope="module")
def states(shared_product: Product) -> Iterator[dict[str, str]]:
    """Let there be a job of a schedule in every state; return the id of each."""
    product = shared_product
    product.ensure("redis", "web", "rqscheduler", "rqworker")
    admin = product.admin()

    def first_job(name: str, func: str, args: str, **more: object) -> str:
        schedule_id = admin.add(name=name, func=f"{JOBS}.{func}", args=args, interval=1, **more)
        job_id = wait_for(lambda: product.ran(name))[0].job
        admin.change(schedule_id, enabled=False)
        return job_id

    found = {
        "finished": first_job("news of today", "record", '["news of today", 7]'),
        "failed": first_job("hopeless", "fail", '["hopeless"]'),
        "retried": first_job("patient", "fail", '["patient"]', retry_max=1, retry_min_backoff=600),
    }
    found["scheduled"] = admin.add(name="next hour", func=f"{JOBS}.record", args='["later"]', interval=3600)
    admin.add(name="cron of the week", func=f"{JOBS}.record", kind="cron", cron="0 7 * * 1-5")
    found["started"] = first_job(
        "long", "work_until_told", f'["long", "{product.folder}/gate"]', overlap_policy="skip"
    )
    # The one worker is busy now, so that what comes next stays queued.
    waiting = admin.add(name="waiting", func=f"{JOBS}.record", args='["waiting"]', interval=1)
    queued = wait_for(lambda: product.redis.lrange("rq:queue:default", 0, -1))
    found["queued"] = queued[0].decode()
    admin.change(waiting, enabled=False)
    yield found
    (product.folder / "gate").touch()


@pytest.fixture
def pages(states: dict[str, str], shared_product: Product) -> Admin:
    return shared_product.admin()


def test_the_statistics_count_our_jobs_and_our_schedules(states: dict[str, str], pages: Admin) -> None:
    figures = pages.session.get(f"{pages.url}{PAGES}/stats.json", timeout=10).json()["queues"]
    default = next(queue for queue in figures if queue["name"] == "default")
    assert default["jobs"] == 1
    assert default["started_jobs"] == 1
    assert default["finished_jobs"] >= 1
    assert default["failed_jobs"] >= 1
    assert default["scheduled_jobs"] >= 1
    assert default["workers"] == 1
    page = text_of(pages.get(f"{PAGES}/"))
    assert "default" in page
    assert "high" in page
    assert "low" in page


@pytest.mark.parametrize(
    "state, page",
    [
        ("queued", "/"),
        ("started", "/started/"),
        ("finished", "/finished/"),
        ("failed", "/failed/"),
        ("retried", "/scheduled/"),
    ],
)
def test_the_page_of_each_state_lists_our_job(
    states: dict[str, str], pages: Admin, state: str, page: str
) -> None:
    assert states[state] in pages.get(f"{QUEUE}{page}")


@pytest.mark.parametrize("state", ["queued", "started", "finished", "failed", "retried", "scheduled"])
def test_the_page_of_each_job_shows_function_and_arguments(
    states: dict[str, str], pages: Admin, state: str
) -> None:
    page = text_of(pages.get(f"{QUEUE}/{states[state]}/"))
    assert states[state] in page
    assert f"{JOBS}." in page
    if state == "finished":
        assert "news of today 7" in page
        assert "SUCCESSFUL" in page
    if state == "failed":
        (result,) = re.findall(
            rf'href="({QUEUE}/{states[state]}/results/[^"]+)"', pages.get(f"{QUEUE}/{states[state]}/")
        )
        assert "ValueError: hopeless cannot work" in text_of(pages.get(result))


def test_the_page_of_the_scheduler_lists_our_schedules(states: dict[str, str], pages: Admin) -> None:
    page = text_of(pages.get(f"{PAGES}/schedulers/0/"))
    assert states["scheduled"] in page
    assert "interval: 3600" in page
    assert "cron: '0 7 * * 1-5 (UTC)'" in page


def test_a_run_is_linked_to_its_job_and_the_admin_to_the_queues(states: dict[str, str], pages: Admin) -> None:
    assert f'{PAGES}/"' in pages.get("/admin/")
    schedule_id = states["finished"].rpartition("_")[0]
    found = wait_for(
        lambda: re.findall(
            r'href="(/admin/schedules/run/[^"/]+/change/[^"]*)"',
            pages.get(f"/admin/schedules/run/?schedule={schedule_id}"),
        )
    )
    address = f"{QUEUE}/{states['finished']}/"
    assert any(f'href="{address}"' in pages.get(unescape(run)) for run in found)
    assert states["finished"] in pages.get(address)


@pytest.fixture(scope="module")
def dashboard(states: dict[str, str], shared_product: Product) -> Iterator[str]:
    """rq-dashboard, started as the README says."""
    (command,) = [line for line in commands_of("README.md") if line.startswith(".venv/bin/rq-dashboard")]
    port = free_port()
    words = command.replace(".venv/bin/", "").replace("9181", str(port))
    process = subprocess.Popen(
        ["sh", "-c", f"exec {words}"],
        cwd=ROOT,
        env=shared_product.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, command
        try:
            return requests.get(f"{url}/0/data/queues.json", timeout=5).ok
        except requests.RequestException:
            return False

    wait_for(answers, seconds=20)
    yield url
    process.terminate()
    process.wait(timeout=10)


def test_rq_dashboard_lists_queues_workers_and_our_jobs(states: dict[str, str], dashboard: str) -> None:
    def data(path: str) -> dict[str, object]:
        answer = requests.get(f"{dashboard}/0/data/{path}", timeout=10)
        assert answer.status_code == 200, answer.text[:2000]
        return answer.json()  # type: ignore[no-any-return]

    assert requests.get(f"{dashboard}/", timeout=10).status_code == 200
    assert "default" in str(data("queues.json"))
    assert "busy" in str(data("workers.json"))
    for state, registry in (
        *(("queued", "queued"), ("started", "started"), ("finished", "finished")),
        *(("failed", "failed"), ("retried", "scheduled")),
    ):
        assert states[state] in str(data(f"jobs/default/{registry}/100/asc/1.json")), state
    job = data(f"job/{states['finished']}.json")
    assert job["status"] == "finished"
    assert f"{JOBS}.record" in str(job["description"]) or job["description"] == "news of today"
    assert data(f"job/{states['scheduled']}.json")["status"] == "scheduled"
