"""A row that is saved in the admin becomes jobs that run; what is edited, disabled or deleted follows."""

from __future__ import annotations

import time
from itertools import pairwise

from tests.acceptance.pages import Admin, text_of
from tests.acceptance.product import Product
from tests.support.waiting import wait_for

RECORD = "tests.acceptance.newsroom.jobs.record"
LATE = 1.0
"""Seconds from the slot to the start of the job that a loaded machine is granted; what was measured is printed."""


def test_a_saved_row_is_dispatched_on_time_and_runs_with_its_arguments(
    product: Product, admin: Admin
) -> None:
    saved_at = time.time()
    schedule_id = admin.add(
        name="on time", func=RECORD, args='["on time", 7]', kwargs='{"edition": "evening"}', interval=1
    )
    runs = wait_for(lambda: len(product.ran("on time")) >= 4 and product.ran("on time"), seconds=15)
    assert [(run.args, run.kwargs) for run in runs] == [(["on time", 7], {"edition": "evening"})] * len(runs)
    assert all(run.job == f"{schedule_id}_{run.slot}" for run in runs)
    assert runs[0].slot - saved_at <= 3
    assert all(later.slot - earlier.slot == 1 for earlier, later in pairwise(runs)), "a slot a second"
    lags = [run.at - run.slot for run in runs]
    print("lag from slot to start of the job, ms:", *[round(lag * 1000) for lag in lags])
    assert min(lags) >= 0, "no slot before its time"
    assert sorted(lags)[len(lags) // 2] < LATE


def test_an_edited_row_is_followed(product: Product, admin: Admin) -> None:
    schedule_id = admin.add(name="edited", func=RECORD, args='["first"]', interval=3600)
    assert (product.score(schedule_id) or 0) - time.time() > 3500
    admin.change(schedule_id, args='["second"]', interval=1)
    wait_for(lambda: len(product.ran("second")) >= 2)
    assert not product.ran("first")
    admin.change(schedule_id, interval=3600)
    last = wait_for(lambda: product.ran("second"))[-1].slot
    assert (product.score(schedule_id) or 0) > last + 2, "the edit moves the next slot as well"


def test_a_disabled_row_stops_and_an_enabled_one_goes_on(product: Product, admin: Admin) -> None:
    schedule_id = admin.add(name="on and off", func=RECORD, args='["on and off"]', interval=1)
    wait_for(lambda: product.ran("on and off"))
    admin.change(schedule_id, enabled=False)
    assert product.score(schedule_id) is None
    disabled_at = time.time()
    # Others go on meanwhile, which shows that the scheduler was at work.
    admin.add(name="beside", func=RECORD, args='["beside"]', interval=1)
    wait_for(lambda: len(product.ran("beside")) >= 2)
    assert all(run.slot <= disabled_at for run in product.ran("on and off"))
    admin.change(schedule_id, enabled=True)
    enabled_at = time.time()
    again = wait_for(lambda: [run for run in product.ran("on and off") if run.slot > disabled_at])
    assert all(run.slot > enabled_at - 1 for run in again), "what was not wanted is not made up for"


def test_a_deleted_row_is_gone(product: Product, admin: Admin) -> None:
    schedule_id = admin.add(name="deleted", func=RECORD, args='["deleted"]', interval=1)
    wait_for(lambda: product.ran("deleted"))
    assert "deleted successfully" in admin.delete(schedule_id)
    deleted_at = time.time()
    assert product.score(schedule_id) is None
    assert not product.redis.exists(f"rq:job:{schedule_id}")
    admin.add(name="after", func=RECORD, args='["after"]', interval=1)
    wait_for(lambda: len(product.ran("after")) >= 2)
    assert all(run.slot <= deleted_at for run in product.ran("deleted"))


def test_a_cron_row_and_a_single_moment_run_too(product: Product, admin: Admin) -> None:
    admin.add(
        name="cron", func=RECORD, args='["cron"]', kind="cron", cron="* * * * * *", timezone="Asia/Tokyo"
    )
    moment = time.gmtime(time.time() + 2)
    admin.add(
        name="once",
        func="tests.acceptance.newsroom.jobs.record_later",
        args='["once"]',
        kind="once",
        run_at_0=time.strftime("%Y-%m-%d", moment),
        run_at_1=time.strftime("%H:%M:%S", moment),
    )
    wait_for(lambda: len(product.ran("cron")) >= 2 and product.ran("once"))
    assert all(later.slot - earlier.slot == 1 for earlier, later in pairwise(product.ran("cron")))
    assert [run.slot for run in product.ran("once")] == [int(time.mktime(moment)) - time.timezone]


def test_an_interval_of_zero_is_saved_and_not_scheduled(product: Product, admin: Admin) -> None:
    schedule_id = admin.add(name="switched off", func=RECORD, args='["off"]', interval=1)
    assert product.score(schedule_id) is not None
    said = admin.change(schedule_id, interval=0)
    assert "“switched off” is saved and will not run." in said
    assert "zero or less means not scheduled" in said
    assert product.score(schedule_id) is None


def test_what_cannot_run_is_said_at_its_field_and_nothing_is_saved(product: Product, admin: Admin) -> None:
    page = admin.save(name="impossible", func=RECORD, kind="cron", cron="0 0 30 2 *").text
    assert "errorlist" in page
    assert "never" in text_of(page)
    assert "/change/" not in admin.get("/admin/schedules/schedule/?q=impossible")
    assert product.redis.zcard("rq:scheduler:scheduled_jobs") == 0
