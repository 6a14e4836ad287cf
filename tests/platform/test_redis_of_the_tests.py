"""The fixtures that other tests stand on."""

from __future__ import annotations

import django_rq
import pytest
import redis as redis_py

from tests.support.redis_server import RedisServer


def test_django_rq_uses_the_redis_of_the_test(redis: redis_py.Redis) -> None:
    redis.set("seen", "yes")
    assert django_rq.get_connection("low").get("seen") == b"yes"


@pytest.mark.parametrize("nth", [1, 2])
def test_each_test_begins_with_an_empty_redis(redis: redis_py.Redis, nth: int) -> None:
    assert redis.dbsize() == 0
    redis.set("left", nth)


def test_a_server_that_was_killed_has_its_data_when_it_starts_again() -> None:
    with RedisServer() as server:
        server.client().set("kept", "yes")
        server.kill()
        with pytest.raises(redis_py.ConnectionError):
            server.client(retry=None).ping()
        server.start()
        assert server.client().get("kept") == b"yes"


def test_a_server_that_hangs_answers_nothing_until_it_goes_on() -> None:
    with RedisServer() as server:
        server.sigstop()
        with pytest.raises(redis_py.TimeoutError):
            server.client(socket_timeout=0.1, retry=None).ping()
        server.sigcont()
        assert server.client().ping()
