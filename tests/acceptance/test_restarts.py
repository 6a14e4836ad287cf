"""Every process is ended and started again, in turn, while a schedule runs every second: no slot is lost or doubled."""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance.pages import Admin
from tests.acceptance.product import Product, Ran
from tests.support.waiting import wait_for

RECORD = "tests.acceptance.newsroom.jobs.record"
PROCESSES = ("web", "rqscheduler", "rqworker", "redis")


def is_between_runs(product: Product, label: str) -> bool:
    """Tell whether the run of this second is over and the next is not near: what a kill may hit is another test's."""
    runs = product.ran(label)
    if not runs or runs[-1].slot != int(time.time()) or time.time() % 1 > 0.8:
        return False
    job = product.job(runs[-1].job)
    return job is not None and job.is_finished and not product.redis.llen("rq:queue:default")


def check_that_each_slot_ran_once(runs: list[Ran]) -> None:
    slots = [run.slot for run in runs]
    wanted = list(range(min(slots), max(slots) + 1))
    assert sorted(slots) == wanted, (
        f"missing {set(wanted) - set(slots)}, {len(slots) - len(set(slots))} doubled"
    )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_when_a_process_is_restarted(
    product: Product, admin: Admin, sign: signal.Signals
) -> None:
    label = sign.name
    schedule_id = admin.add(
        name=label, func=RECORD, args=f'["{label}"]', interval=1, overlap_policy="allow_all"
    )
    for process in PROCESSES:
        wait_for(lambda: is_between_runs(product, label), seconds=20)
        before = product.ran(label)[-1].slot
        begun = time.monotonic()
        code = product.end(process, sign)
        ended = time.monotonic() - begun
        assert ended < 5 or sign == signal.SIGKILL
        if sign == signal.SIGTERM:
            assert code == 0, f"{process} ended with {code}:\n{product.text(process)}"
        product.start(process)
        try:
            wait_for(lambda before=before: product.ran(label)[-1].slot >= before + 2, seconds=45)
        except AssertionError:
            pytest.fail(f"nothing runs since {sign.name} for {process}\n{product.last_words()}")
        print(
            f"{sign.name} {process}: ended after {ended:.2f} s, at work again after {time.monotonic() - begun:.2f} s"
        )
    for process in ("web", "rqscheduler", "rqworker"):
        assert product.is_running(process), product.text(process)
    admin.change(schedule_id, enabled=False)
    check_that_each_slot_ran_once(product.ran(label))


def test_a_job_that_runs_when_its_worker_is_told_to_stop_is_finished_first(product: Product) -> None:
    gate = product.folder / "gate"
    done = product.client(
        "from schedules.services import SchedulerService\n"
        "print(SchedulerService.schedule_job(func='tests.acceptance.newsroom.jobs.work_until_told',"
        f" args=('long', {str(gate)!r})).id)\n"
    )
    assert done.returncode == 0, done.stderr
    wait_for(lambda: product.ran("long"))
    worker = product.processes["rqworker"]
    worker.send_signal(signal.SIGTERM)
    wait_for(lambda: "shut down" in product.text("rqworker").lower(), what=product.text("rqworker"))
    assert worker.poll() is None
    gate.touch()
    assert worker.wait(timeout=10) == 0
    job = product.job(done.stdout.strip())
    assert job is not None
    assert job.get_status() == "finished"
    assert job.return_value() == "told"


def test_a_worker_outlasts_redis_whatever_it_is_doing(product: Product) -> None:
    gate = product.folder / "gate of an outage"
    done = product.client(
        "from schedules.services import SchedulerService\n"
        "SchedulerService.schedule_job(func='tests.acceptance.newsroom.jobs.work_until_told',"
        f" args=('outage', {str(gate)!r}))\n"
    )
    assert done.returncode == 0, done.stderr
    wait_for(lambda: product.ran("outage"))
    worker = product.processes["rqworker"]
    product.end("redis")
    gate.touch()  # the job ends while there is nobody to tell
    wait_for(lambda: "Redis does not answer" in product.text("rqworker"), what=product.text("rqworker"))
    product.start("redis")
    done = product.client(
        "from schedules.services import SchedulerService\n"
        "SchedulerService.schedule_job(func='tests.acceptance.newsroom.jobs.record', args=('after the outage',))\n"
    )
    wait_for(lambda: product.ran("after the outage"), seconds=15, what=product.text("rqworker"))
    assert worker.poll() is None, "it is the same process"
