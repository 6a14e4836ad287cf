# ruff: noqa: E501 - the calls stand on one line, as their documentation has them
"""The calls of `SchedulerService`, as its users write them, from a process of their own against the running product."""

from __future__ import annotations

import time

from tests.acceptance.product import Product
from tests.support.waiting import wait_for

ID = "cc1dface-9213-4eed-8cb2-0edba6b2159c"
SETTING = """
import time, warnings
from datetime import datetime
from uuid import UUID
from django.conf import settings
from schedules.job import job_request
from schedules.services import SchedulerService
from tests.acceptance.newsroom.jobs import record as my_function
service = SchedulerService()
"""


def run(product: Product, code: str) -> list[str]:
    """Run code as a program of its own; return the lines that it printed."""
    done = product.client(SETTING + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_periodic_call_is_unique_by_its_id_and_never_pushed_later(product: Product) -> None:
    product.redis.flushall()
    code = """
arg1, arg2 = "periodic", 2
job = SchedulerService.schedule_periodic(id=UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c"), interval=60, func=my_function, args=(arg1, arg2))
print(job.id, job.func_name, job.args)
print(SchedulerService.next_run(UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c")).timestamp())
"""
    first = run(product, code)
    again = run(product, code)
    assert first == again, "a restart of a client changes nothing"
    assert first[0] == f"{ID} tests.acceptance.newsroom.jobs.record ('periodic', 2)"
    assert 0 < float(first[1]) - time.time() <= 60
    assert product.redis.zcard("rq:scheduler:scheduled_jobs") == 1
    assert run(product, f'print(SchedulerService.cancel("{ID}"), SchedulerService.next_run("{ID}"))') == [
        "True None"
    ]


def test_a_periodic_http_call_reaches_the_backend(product: Product) -> None:
    product.redis.flushall()
    run(
        product,
        """
service.schedule_periodic(id=UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c"), every_seconds=10, func=job_request, args=[f"{settings.API_BASE_URL}/v1/jobs/breaking-news"])
""",
    )
    due = product.score(ID)
    assert due is not None
    job = wait_for(lambda: product.job(f"{ID}_{int(due)}"), seconds=12)
    wait_for(lambda: job.get_status(refresh=True) in {"finished", "failed"})
    result = job.latest_result()
    assert result is not None
    assert result.return_value is not None, result.exc_string
    assert result.return_value["status"] == 200
    assert "Nothing is broken." in result.return_value["body_start"]


def test_a_short_interval_called_again_and_again_still_runs(product: Product) -> None:
    product.redis.flushall()
    run(
        product,
        """
begun = time.monotonic()
while time.monotonic() - begun < 2.5:
    SchedulerService.schedule_periodic(id=UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c"), interval=1, func=my_function, args=("short", 1))
    time.sleep(0.1)
""",
    )
    assert len(product.ran("short")) >= 2
    assert len({run.job for run in product.ran("short")}) == len(product.ran("short"))
    run(
        product,
        f'assert SchedulerService.schedule_periodic(id=UUID("{ID}"), interval=0, func=my_function) is None',
    )
    assert product.score(ID) is None


def test_a_job_at_once_at_a_time_and_by_cron(product: Product) -> None:
    lines = run(
        product,
        """
arg1, arg2 = "at once", {"deep": [1, 2]}
SchedulerService.schedule_job(func=my_function, args=(arg1, arg2))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    arg1, arg2 = "at a time", 2
    SchedulerService.schedule_at(execution_time=datetime(2023, 10, 1, 12, 0, 0), func=my_function, args=(arg1, arg2))
print([warning.category.__name__ for warning in caught])
arg1 = "by cron"
SchedulerService.schedule_cron(id="0b39a9f0-5f0e-4a3e-8a53-0d5b0d3c8a11", cron="0 7 * * 1-5", timezone="Europe/Paris", func=my_function, args=(arg1, arg2))
from zoneinfo import ZoneInfo
print(SchedulerService.next_run("0b39a9f0-5f0e-4a3e-8a53-0d5b0d3c8a11").astimezone(ZoneInfo("Europe/Paris")).strftime("%H:%M %w"))
print(SchedulerService.cancel("0b39a9f0-5f0e-4a3e-8a53-0d5b0d3c8a11"))
SchedulerService.schedule_job(func="tests.acceptance.newsroom.jobs.record_later", args=("a coroutine",), queue="low")
""",
    )
    assert lines[0] == "['RuntimeWarning']", "a naive time is taken as UTC, and said to be"
    assert lines[1].startswith("07:00 ")
    assert lines[1][-1] in "12345"
    assert lines[2] == "True"
    wait_for(lambda: product.ran("at once") and product.ran("at a time") and product.ran("a coroutine"))
    assert product.ran("at once")[0].args == ["at once", {"deep": [1, 2]}]
    assert product.ran("at a time")[0].args == ["at a time", 2]


def test_with_redis_away_there_is_one_error_after_a_bounded_wait(product: Product) -> None:
    product.end("redis")
    lines = run(
        product,
        """
from schedules.services import SchedulerUnavailableError
begun = time.monotonic()
try:
    SchedulerService.schedule_job(func=my_function, args=("never", 1))
except SchedulerUnavailableError as error:
    print("not reachable" in str(error), time.monotonic() - begun < 5)
""",
    )
    assert lines == ["True True"]
