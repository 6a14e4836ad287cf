"""With Redis away the admin saves without an error page, says that the change waits, and it takes effect afterwards."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.pages import Admin, messages_of
from tests.acceptance.product import Product
from tests.support.waiting import wait_for

RECORD = "tests.acceptance.newsroom.jobs.record"
WAITS = "the change waits and is applied when it is back"


def test_what_is_saved_meanwhile_waits_and_takes_effect(product: Product, admin: Admin) -> None:
    kept = admin.add(name="kept", func=RECORD, args='["kept"]', interval=1)
    removed = admin.add(name="removed", func=RECORD, args='["removed"]', interval=3600)
    wait_for(lambda: product.ran("kept"))
    product.end("redis")

    begun = time.monotonic()
    said = messages_of(admin.save(name="new", func=RECORD, args='["new"]', interval=1).text)
    assert time.monotonic() - begun < 10
    assert "was added successfully" in said
    assert WAITS in said
    new = admin.id_of("new")
    admin.added.append(new)
    said = admin.change(kept, args='["kept, edited"]')
    assert "was changed successfully" in said
    assert WAITS in said
    assert "deleted successfully" in admin.delete(removed)
    admin.added.remove(removed)

    product.start("redis")
    wait_for(lambda: product.ran("new") and product.ran("kept, edited"), seconds=15)
    wait_for(lambda: product.score(removed) is None)
    again = admin.change(new, description="Redis is back")
    assert WAITS not in again
    for process in ("web", "rqscheduler", "rqworker"):
        assert product.is_running(process), product.text(process)


def test_the_scheduler_says_once_that_redis_is_away_and_when_it_is_back(product: Product) -> None:
    product.end("rqscheduler")
    product.start("rqscheduler")
    product.end("redis")
    wait_for(lambda: "Redis does not answer" in product.text("rqscheduler"))
    product.start("redis")
    wait_for(lambda: "Redis is back" in product.text("rqscheduler"))
    assert product.text("rqscheduler").count("Waiting for it; nothing is lost") == 1


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_a_worker_stops_when_it_is_told_to_whatever_redis_does(product: Product, how: str) -> None:
    if how == "hangs":
        product.redis_server.sigstop()
    else:
        product.end("redis")
    began = time.monotonic()
    try:
        assert product.end("rqworker") == 0
    finally:
        if how == "hangs":
            product.redis_server.sigcont()
    assert time.monotonic() - began < 15
    assert "Traceback" not in product.text("rqworker")
