"""The whole product through every kind of connection that an operator may have; a unix socket is all other tests'."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis as redis_py

from tests.acceptance.product import Product
from tests.acceptance.test_ledger_endings import add, ran
from tests.support.tls import TlsServer
from tests.support.waiting import wait_for

ACL = "on >secret resetkeys ~rq:* resetchannels &rq:* +@all -@admin -@dangerous +info"
"""What docs/deploying.md says that a user of its own needs."""


def works(product: Product) -> list[dict[str, Any]]:
    """Start everything, let a schedule run each second, and return two of its runs."""
    product.start("rqscheduler", "rqworker")
    add(product, **{"each second": {"func": "tests.support.ending_jobs.succeed", "interval": 1}})
    runs = wait_for(
        lambda: len(ran(product, "each second")) >= 2 and ran(product, "each second"),
        seconds=30,
        what=product.last_words(),
    )
    # Stopped and started as in an outage: connections are made anew with all their options.
    product.end("redis")
    product.redis_server.start()
    seen = len(runs)
    wait_for(lambda: len(ran(product, "each second")) > seen + 1, seconds=30, what=product.last_words())
    for name in ("rqscheduler", "rqworker"):
        assert product.is_running(name)
        assert "Traceback" not in product.text(name), product.text(name)[-3000:]
        assert "secret" not in product.text(name)
    return runs


def facts(product: Product) -> dict[str, Any]:
    """Return what the health command says."""
    done = product.manage("schedules_status", "--json")
    assert done.stdout, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, answer
    return answer


def test_tls_a_user_of_its_own_and_a_key_prefix(make_product: Callable[..., Product]) -> None:
    product = make_product(RQ_KEY_PREFIX="rq:shop", SCHEDULES_ALLOWED_TARGETS="tests.support")
    server = TlsServer(directory=product.folder / "redis")
    product.redis_server = server
    server.start()
    (product.folder / "users.acl").write_text(f"user default on nopass ~* &* +@all\nuser shop {ACL}\n")
    server.stop()
    server.options += ("--aclfile", str(product.folder / "users.acl"))
    server.start()
    product.environment["REDIS_URL"] = (
        f"rediss://shop:secret@127.0.0.1:{server.tls_port}/0?ssl_ca_certs={server.certificate}"
    )
    for run in works(product):
        assert run["status"] == "succeeded"
    assert all(name.startswith(b"rq:shop:") for name in product.redis.scan_iter())
    facts(product)


def test_tcp_a_password_and_a_database_that_is_not_the_first(make_product: Callable[..., Product]) -> None:
    product = make_product(SCHEDULES_ALLOWED_TARGETS="tests.support")
    server = product.redis_server
    server.options = ("--requirepass", "secret")
    server.password = "secret"
    product.redis = server.client()
    server.start()
    product.environment["REDIS_URL"] = f"redis://:secret@127.0.0.1:{server.port}/3"
    for run in works(product):
        assert run["status"] == "succeeded"
    assert product.redis.info("keyspace").keys() == {"db3"}
    facts(product)
    with redis_py.Redis(port=server.port) as stranger:
        try:
            stranger.ping()
        except redis_py.AuthenticationError:
            pass
        else:
            raise AssertionError("the server needs no password")
