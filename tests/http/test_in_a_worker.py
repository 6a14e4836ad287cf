"""HTTP jobs in a real worker on a real Redis: attempts, Retry-After, the end of retrying, and what is stored."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import redis as redis_py
from django.core.cache import caches
from django_rq import get_queue
from rq import Retry, SimpleWorker
from rq.job import Job as RQJob

from schedules.job import job_request
from schedules.router.store import Answer, CacheStore, Mismatch, Running
from schedules.worker import Worker
from tests.http.misbehaving import MisbehavingServer
from tests.support.ledger import read_events

SCHEDULE = "0b8e6a52-9d0e-4f0e-8c62-6a6c8c4e1a11"
SLOT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
JOB_ID = f"{SCHEDULE}_{int(SLOT.timestamp())}"
TOKEN = "hunter2-and-more"


class InProcessWorker(Worker, SimpleWorker):
    """The project's worker, without a process per job."""


@pytest.fixture
def run(redis: redis_py.Redis, server: MisbehavingServer, monkeypatch) -> Callable[..., RQJob]:
    monkeypatch.setenv("SCHEDULES_SECRET_TOKEN", TOKEN)

    def enqueue_and_work(path: str, *, retries: int = 0) -> RQJob:
        queue = get_queue("default", connection=redis)
        queue.enqueue(
            job_request,
            f"{server.base}{path}",
            headers={"Authorization": "Bearer secret:TOKEN"},
            job_id=JOB_ID,
            retry=Retry(max=retries) if retries else None,
        )
        worker = InProcessWorker([queue], connection=redis)
        worker.work(burst=True)
        return queue.fetch_job(JOB_ID)

    return enqueue_and_work


def test_a_run_keeps_the_short_answer(run, server: MisbehavingServer) -> None:
    job = run("/ok")
    assert job.return_value()["status"] == 200
    assert server.received[0].headers["idempotency-key"] == JOB_ID
    assert server.received[0].headers["x-schedule-time"] == "2026-03-01T06:30:00Z"
    assert server.received[0].headers["x-schedule-attempt"] == "1"


def test_no_attempt_repeats_the_signature_of_another(run, server: MisbehavingServer, settings) -> None:
    settings.SCHEDULES_SIGNING_KEYS = ["whsec_" + "A" * 32]
    run("/status/503", retries=2)
    moments = [int(request.headers["webhook-timestamp"]) for request in server.received]
    assert len(set(moments)) == 3


def test_each_attempt_has_the_same_key_and_its_own_number(run, redis, server: MisbehavingServer) -> None:
    redis.hset(f"rq:job:{JOB_ID}", "retry_max", 2)  # as the engine writes it
    run("/status/503", retries=2)
    headers = [request.headers for request in server.received]
    assert [header["x-schedule-attempt"] for header in headers] == ["1", "2", "3"]
    assert {header["idempotency-key"] for header in headers} == {JOB_ID}


@pytest.mark.parametrize("path", ["/status/404", "/gone", "/redirect-loop"])
def test_what_is_final_is_not_tried_again(run, server: MisbehavingServer, path: str) -> None:
    run(path, retries=3)
    assert len(server.received) == 1


def test_retry_after_puts_the_next_attempt_off(run, server: MisbehavingServer, redis: redis_py.Redis) -> None:
    before = datetime.now(UTC).timestamp()
    run("/busy", retries=3)
    assert len(server.received) == 1
    (retry,) = [event for event in read_events(redis) if event.get("st") == "retry"]
    assert 6 <= retry["next"] - before <= 15


@pytest.mark.parametrize("path", ["/echo", "/echo-failing", "/reset-in-body"])
def test_a_secret_is_nowhere_in_redis(
    run, server: MisbehavingServer, redis: redis_py.Redis, path: str
) -> None:
    """Not in the job, its description, its result, its traceback, nor in the ledger's events."""
    run(path)
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"
    stored = b"".join(redis.dump(key) or b"" for key in redis.scan_iter("*"))
    readable = repr([(key, _content(redis, key)) for key in redis.scan_iter("*")])
    assert b"hunter2" not in stored
    assert "hunter2" not in readable
    assert "secret:TOKEN" in readable


def _content(redis: redis_py.Redis, key: bytes) -> object:
    readers = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"stream": redis.xrange,
        b"zset": lambda name: redis.zrange(name, 0, -1),
        b"list": lambda name: redis.lrange(name, 0, -1),
    }
    return readers[redis.type(key)](key)


# --- the receiver's memory in Redis, as several web processes share it ---


@pytest.fixture
def shared_cache(redis: redis_py.Redis, settings) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": settings.REDIS_URL}
    }


@pytest.mark.usefixtures("shared_cache")
def test_answers_and_replays_are_remembered_in_redis() -> None:
    store = CacheStore()
    given = Answer(status=200, content_type="application/json", body='{"ü": 1}')
    assert [store.first_time("a", 60), store.first_time("a", 60)] == [True, False]
    assert store.claim("k", token="one", mark="m", seconds=60) is None
    assert store.claim("k", token="two", mark="m", seconds=60) == Running()
    assert store.claim("k", token="two", mark="other", seconds=60) == Mismatch()
    store.keep("k", token="one", mark="m", answer=given, seconds=60)
    assert store.claim("k", token="two", mark="m", seconds=60) == given
    store.give_up("k", token="one")
    assert store.claim("k", token="two", mark="m", seconds=60) == given
    caches["default"].close()


def _claim(barrier, won) -> None:
    store = CacheStore()
    barrier.wait(10)
    for number in range(50):
        if store.claim(f"key-{number}", token="t", mark="m", seconds=60) is None:
            won.put(number)


@pytest.mark.usefixtures("shared_cache")
def test_of_several_processes_one_gets_each_claim() -> None:
    caches["default"].close()
    forking = multiprocessing.get_context("fork")
    barrier, won = forking.Barrier(3), forking.Queue()
    processes = [forking.Process(target=_claim, args=(barrier, won)) for _ in range(3)]
    for process in processes:
        process.start()
    numbers = sorted(won.get(timeout=20) for _ in range(50))
    for process in processes:
        process.join(20)
    assert numbers == list(range(50))
    assert won.empty()
    won.close()
    won.join_thread()
