"""Two `rqscheduler` side by side: no slot twice, and one goes on when the other is killed."""

from __future__ import annotations

import signal
from collections import Counter

from tests.acceptance.pages import Admin
from tests.acceptance.product import Product
from tests.support.waiting import wait_for

RECORD = "tests.acceptance.newsroom.jobs.record"


def test_each_slot_runs_once_with_two_schedulers_and_when_one_is_killed(
    product: Product, admin: Admin
) -> None:
    product.start("rqscheduler 2")
    labels = [f"shared {number}" for number in range(3)]
    for label in labels:
        admin.add(name=label, func=RECORD, args=f'["{label}"]', interval=1, overlap_policy="allow_all")

    def slots(label: str) -> list[int]:
        return [run.slot for run in product.ran(label)]

    for label in labels:
        wait_for(lambda label=label: len(slots(label)) >= 4)
    product.end("rqscheduler", signal.SIGKILL)
    for label in labels:
        seen = len(slots(label))
        wait_for(lambda label=label, seen=seen: len(slots(label)) >= seen + 3)
    for label in labels:
        ran = slots(label)
        assert max(Counter(ran).values()) == 1
        assert sorted(ran) == list(range(min(ran), max(ran) + 1)), "and none is left out"
    assert product.end("rqscheduler 2") == 0
