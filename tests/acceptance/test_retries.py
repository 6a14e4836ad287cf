"""Retries with a delay work with the documented commands alone: one `rqscheduler`, one `rqworker`."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.pages import Admin
from tests.acceptance.product import COMMANDS, Product, Ran
from tests.support.waiting import wait_for

JOBS = "tests.acceptance.newsroom.jobs"


def test_nothing_else_is_started() -> None:
    assert "--with-scheduler" not in " ".join(COMMANDS.values())
    assert set(COMMANDS) == {"redis", "web", "rqscheduler", "rqworker"}


def came(product: Product, runs: Callable[[], list[Ran]]) -> list[Ran]:
    """Wait for runs; should they not come, say what scheduler and worker said."""
    try:
        return wait_for(runs, seconds=30)
    except AssertionError:
        for name in ("rqscheduler", "rqworker"):
            print(f"--- {name}\n{product.text(name)[-4000:]}")
        raise


def test_a_failed_run_of_a_row_is_tried_again_after_its_wait(product: Product, admin: Admin) -> None:
    schedule_id = admin.add(
        name="retried",
        func=f"{JOBS}.fail_at_first",
        args='["retried"]',
        interval=2,
        retry_max=2,
        retry_min_backoff=2,
    )
    first = wait_for(lambda: product.ran("retried"))[0]
    admin.change(schedule_id, enabled=False)
    second = came(product, lambda: [run for run in product.ran("retried") if run.job == first.job][1:])[0]
    # RQ keeps the moment of a retry in whole seconds, rounded down.
    assert 1 <= second.at - first.at < 4
    job = product.job(first.job)
    assert job is not None
    wait_for(lambda: job.get_status(refresh=True) == "finished")


def test_retries_of_the_service_and_of_plain_rq_come_too_and_the_last_failure_is_final(
    product: Product,
) -> None:
    done = product.client(
        f"""
from rq import Retry
import django_rq
from schedules.services import SchedulerService
func = {JOBS!r} + ".fail_at_first"
SchedulerService.schedule_job(func=func, args=("service",), retry=Retry(max=1, interval=2))
django_rq.get_queue("high").enqueue(func, "plain", retry=Retry(max=1, interval=2))
job = SchedulerService.schedule_job(func={JOBS!r} + ".fail", args=("hopeless",), retry=Retry(max=2, interval=1))
print(job.id)
"""
    )
    assert done.returncode == 0, done.stderr
    for label in ("service", "plain"):
        first, second = came(product, lambda label=label: product.ran(label)[1:] and product.ran(label))
        assert second.at - first.at >= 1
        job = product.job(first.job)
        assert job is not None
        wait_for(lambda job=job: job.get_status(refresh=True) == "finished")
    hopeless = product.job(done.stdout.strip())
    assert hopeless is not None
    wait_for(lambda: hopeless.get_status(refresh=True) == "failed")
    assert len(product.ran("hopeless")) == 3
