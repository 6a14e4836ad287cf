"""What cannot be read is set aside with its reason; everything else runs on, and registering again heals."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis as redis_py

from schedules.engine import keys
from schedules.spec import plan_to_wire
from tests.redis.conftest import T0, Engine, make_spec, schedule_id
from tests.support.stock import stock_scheduler

BAD, GOOD = 1, 2
Damage = Callable[[redis_py.Redis, str], object]


def state_with(position: int, text: str) -> Damage:
    """Overwrite one word of the state."""

    def damage(connection: redis_py.Redis, entry: str) -> object:
        words = (connection.get(keys.state(entry)) or b"").decode().split(" ")
        words[position] = text
        return connection.set(keys.state(entry), " ".join(words))

    return damage


def text_instead(name: Callable[[str], str]) -> Damage:
    """Put a text where something else belongs."""
    return lambda connection, entry: connection.set(name(entry), "a text")


def list_instead(name: Callable[[str], str]) -> Damage:
    """Put a list where something else belongs."""

    def damage(connection: redis_py.Redis, entry: str) -> object:
        connection.delete(name(entry))
        return connection.rpush(name(entry), "a list")

    return damage


def plan_instead(text: str | bytes) -> Damage:
    return lambda connection, entry: connection.set(keys.plan(entry), text)


def active_wrong(connection: redis_py.Redis, entry: str) -> object:
    return connection.append(keys.state(entry), ' one"two \\u0000')


PLAN_WITH = '{"v":1,"t":{"k":"interval","e":60,"a":0},"p":["skip",null,60,100],"o":"skip","q":"default",%s}'
DAMAGES: dict[str, Damage] = {
    "the plan is no JSON": plan_instead("{"),
    "the plan is bytes that are no text": plan_instead(b"\xff\xfe\x00"),
    "the plan is a JSON list": plan_instead("[]"),
    "the plan is of a newer version": plan_instead('{"v":99}'),
    "the plan's zone is unknown": plan_instead(
        '{"v":1,"t":{"k":"cron","x":"* * * * *","z":"Mars/Olympus"},"p":["skip",null,60,100],"o":"skip","q":"default"}'
    ),
    "the plan's expression can never fire": plan_instead(
        '{"v":1,"t":{"k":"cron","x":"0 0 30 2 *","z":"UTC"},"p":["skip",null,60,100],"o":"skip","q":"default"}'
    ),
    "the plan nests deeper than a reader goes": plan_instead("[" * 100_000),
    "the plan is a list": list_instead(keys.plan),
    "the plan was evicted": lambda connection, entry: connection.delete(keys.plan(entry)),
    "the state is garbage": lambda connection, entry: connection.set(keys.state(entry), "garbage"),
    "the state is bytes that are no text": lambda connection, entry: connection.set(
        keys.state(entry), b"\xff\xfe 1 2 3"
    ),
    "the state is a list": list_instead(keys.state),
    "the state was evicted": lambda connection, entry: connection.delete(keys.state(entry)),
    "the state's generation would end a JSON text": state_with(0, 'a"b'),
    "the state's slot is not a number": state_with(1, "soon"),
    "the state's slot is no year that exists": state_with(1, "9" * 30),
    "the state's slot is in other digits": state_with(1, "١٢٣"),
    "the state's last slot is not a number": state_with(2, "yesterday"),
    "the state's runs are not a number": state_with(3, "many"),
    "the state's runs are beyond counting": state_with(3, "9" * 400),
    "the state's jobs in progress are no ids": active_wrong,
    "the template was evicted": lambda connection, entry: connection.delete(keys.template(entry)),
    "the template is a text": text_instead(keys.template),
    "the template is a list": list_instead(keys.template),
    "the plan's number of runs is a text": plan_instead(PLAN_WITH % '"m":"x\\""'),
    "the plan's jitter is below zero": plan_instead(PLAN_WITH % '"j":-5'),
    "the plan's queue is a number": plan_instead(PLAN_WITH % '"q":5'),
}
SEEN_AT_ONCE = {name: damage for name, damage in DAMAGES.items() if "template is" not in name}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_entry_is_set_aside_and_the_others_run_on(engine: Engine, damage: Damage) -> None:
    engine.register(make_spec(BAD), make_spec(GOOD))
    damage(engine.connection, schedule_id(BAD))
    engine.at(60).at(120)
    assert [job for job in engine.queued() if job.startswith(schedule_id(GOOD))] == [
        f"{schedule_id(GOOD)}_{int(T0.timestamp()) + 60}"
    ]
    assert [job for job in engine.queued() if job.startswith(schedule_id(BAD))] == []
    known = json.loads(engine.quarantined()[schedule_id(BAD)])
    assert len(known["reason"]) > 10
    assert engine.next_slot(BAD) is None
    told = [event for event in engine.events("missed") if event["i"] == schedule_id(BAD)]
    assert [event["r"] for event in told] == [f"Set aside: {known['reason']}"]
    assert engine.connection.keys(f"rq:job:{schedule_id(BAD)}_*") == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_registering_again_heals_a_damaged_entry(engine: Engine, damage: Damage) -> None:
    engine.register(make_spec(BAD))
    damage(engine.connection, schedule_id(BAD))
    engine.at(60)
    assert schedule_id(BAD) in engine.quarantined()
    engine.register(make_spec(BAD))
    assert engine.quarantined() == {}
    assert engine.at(121).slots() == [120]
    assert engine.next_slot(BAD) == 180


@pytest.mark.parametrize("damage", SEEN_AT_ONCE.values(), ids=SEEN_AT_ONCE.keys())
def test_registering_again_heals_before_anything_was_due(engine: Engine, damage: Damage) -> None:
    engine.register(make_spec(BAD))
    damage(engine.connection, schedule_id(BAD))
    engine.register(make_spec(BAD))
    engine.at(60)
    assert engine.quarantined() == {}
    assert engine.slots() == [60]


def test_an_entry_at_minus_infinity_is_dispatched_once_and_comes_back_to_its_grid(engine: Engine) -> None:
    engine.register(make_spec())
    engine.connection.zadd(keys.SCHEDULED, {schedule_id(): "-inf"})
    engine.at(1)
    assert engine.next_slot() == 120
    assert engine.at(60).at(119).slots() == [60]


def test_a_stranger_at_minus_infinity_does_not_stop_the_rest(engine: Engine) -> None:
    engine.register(make_spec(GOOD))
    engine.connection.zadd(keys.SCHEDULED, {"nothing-behind-it": "-inf"})
    assert engine.at(60).slots() == [60]
    assert list(engine.quarantined()) == ["nothing-behind-it"]


def test_an_entry_at_plus_infinity_is_never_due_and_disturbs_nobody(engine: Engine) -> None:
    engine.register(make_spec(BAD), make_spec(GOOD))
    engine.connection.zadd(keys.SCHEDULED, {schedule_id(BAD): "+inf"})
    assert engine.at(60).queued() == [f"{schedule_id(GOOD)}_{int(T0.timestamp()) + 60}"]


def test_a_queue_that_is_no_list_sets_only_its_own_schedules_aside(engine: Engine) -> None:
    engine.connection.set("rq:queue:low", "a text")
    engine.register(make_spec(BAD, queue="low"), make_spec(GOOD))
    assert engine.at(60).slots() == [60]
    assert "Queue 'low' is not a list" in json.loads(engine.quarantined()[schedule_id(BAD)])["reason"]
    engine.connection.delete("rq:queue:low")
    engine.register(make_spec(BAD, queue="low"))
    assert engine.at(121).slots("low") == [120]


ODD_MEMBERS = [
    b"\xff\xfe",
    b'a"b',
    b"a\\b",
    b"with space",
    b"new\nline",
    b"",
    b"rq:1",
    b"\x00",
    "zwölf".encode(),
]


@pytest.mark.parametrize("member", ODD_MEMBERS, ids=lambda member: repr(member[:12]))
@pytest.mark.parametrize("kind", ["nothing behind it", "a one-off", "a periodic one", "an entry of ours"])
def test_a_member_that_no_worker_could_take_is_set_aside(engine: Engine, member: bytes, kind: str) -> None:
    engine.register(make_spec(GOOD))
    job = b"rq:job:" + member
    if kind != "nothing behind it":
        stock = stock_scheduler(engine.connection)
        made = stock.enqueue_at(T0, "tests.support.jobs.add", 1)
        engine.connection.zrem(keys.SCHEDULED, made.id)
        engine.connection.rename(made.key, job)
    if kind == "a periodic one":
        engine.connection.hset(job, "meta", pickle.dumps({"interval": 60}))
    if kind == "an entry of ours":
        engine.connection.set(b"rq:schedules:plan:" + member, plan_to_wire(make_spec().plan))
        engine.connection.set(b"rq:schedules:state:" + member, f"abc {int(T0.timestamp())} - 0")
        engine.connection.copy(job, b"rq:schedules:template:" + member)
    engine.connection.zadd(keys.SCHEDULED, {member: T0.timestamp()})
    assert engine.at(60).slots() == [60]
    assert len(engine.queued()) == 1
    assert list(engine.connection.hgetall(keys.QUARANTINE)) == [member]


STOCK_DAMAGES: dict[str, dict[str, bytes]] = {
    "garbage meta": {"meta": b"\x80garbage"},
    "a meta that is a list": {"meta": pickle.dumps([1])},
    "an interval that is a text": {"meta": pickle.dumps({"interval": "soon"})},
    "an interval below zero": {"meta": pickle.dumps({"interval": -5})},
    "an interval that is no number": {"meta": pickle.dumps({"interval": float("nan")})},
    "an endless interval": {"meta": pickle.dumps({"interval": float("inf")})},
    "an interval beyond all calendars": {"meta": pickle.dumps({"interval": 10**30})},
    "a cron expression that is a number": {"meta": pickle.dumps({"cron_string": 5})},
    "a cron expression that is nonsense": {"meta": pickle.dumps({"cron_string": "every day"})},
    "a repeat count that is a text": {"meta": pickle.dumps({"interval": 5, "repeat": "often"})},
    "a garbage date": {"created_at": b"yesterday"},
    "a date that is no text": {"enqueued_at": b"\xff\xfe"},
    "an unknown status": {"status": b"flying"},
    "a status that is no text": {"status": b"\xff"},
    "a timeout that is a text": {"timeout": b"long"},
    "a result_ttl that is a text": {"result_ttl": b"short"},
    "retries that are a text": {"retries_left": b"three"},
    "retry intervals that are no JSON": {"retry_intervals": b"{"},
    "a place in the queue that is no number": {"enqueue_at_front": b"maybe"},
    "an origin that is no text": {"origin": b"\xff\xfe"},
    "dependencies that are no JSON": {"dependency_ids": b"["},
}


@pytest.mark.parametrize("fields", STOCK_DAMAGES.values(), ids=STOCK_DAMAGES.keys())
def test_a_damaged_stock_entry_is_set_aside_and_the_others_run_on(
    engine: Engine, fields: dict[str, bytes]
) -> None:
    engine.register(make_spec(GOOD))
    job = stock_scheduler(engine.connection).enqueue_at(T0, "tests.support.jobs.add", 1)
    engine.connection.hset(job.key, mapping=fields)  # type: ignore[arg-type]
    assert engine.at(60).slots() == [60]
    assert list(engine.quarantined()) == [job.id]
    assert engine.at(120).queued() == [f"{schedule_id(GOOD)}_{int(T0.timestamp()) + 60}"]


def test_a_stock_entry_whose_job_is_a_text_is_set_aside(engine: Engine) -> None:
    job = stock_scheduler(engine.connection).enqueue_at(T0, "tests.support.jobs.add", 1)
    engine.connection.set(job.key, "a text")
    engine.at(0)
    assert list(engine.quarantined()) == [job.id]


def test_a_stock_entry_with_a_million_fields_is_set_aside(engine: Engine) -> None:
    job = stock_scheduler(engine.connection).enqueue_at(T0, "tests.support.jobs.add", 1)
    engine.connection.hset(job.key, mapping={f"field {n}": "x" for n in range(5000)})
    engine.at(0)
    assert "5" in json.loads(engine.quarantined()[job.id])["reason"]


SHARED = {
    "the scheduled set": keys.SCHEDULED,
    "the index": keys.INDEX,
    "the event stream": keys.EVENTS,
    "the quarantine": keys.QUARANTINE,
    "the set of queues": "rq:queues",
}


@pytest.mark.parametrize("key", SHARED.values(), ids=SHARED.keys())
def test_a_shared_key_of_the_wrong_type_is_moved_away_and_no_slot_is_lost(engine: Engine, key: str) -> None:
    """Nothing may stop the loop; what stood there is kept under another name for an operator."""
    engine.register(make_spec(BAD), make_spec(GOOD))
    engine.connection.delete(keys.template(schedule_id(BAD)))
    engine.connection.delete(key)
    engine.connection.set(key, "a text")
    engine.at(30)
    engine.register(make_spec(GOOD))  # as the keeper does
    engine.at(60)
    assert engine.queued() == [f"{schedule_id(GOOD)}_{int(T0.timestamp()) + 60}"]
    assert engine.connection.get(f"{key}:damaged") == b"a text"
    assert engine.connection.type(key) != b"string"
    if key != keys.SCHEDULED:
        assert list(engine.quarantined()) == [schedule_id(BAD)]
    if key != keys.EVENTS:
        assert len(engine.events("queued")) == 1


@pytest.mark.parametrize(
    "name", ["rq:rl:schedule_%s:allowed", "rq:rl:schedule_%s:rate_limited", "rq:rl-keys"]
)
def test_a_key_of_the_rate_limit_of_the_wrong_type_stops_only_the_schedules_that_need_it(
    engine: Engine, name: str
) -> None:
    engine.register(make_spec(BAD, overlap_policy="buffer_all"), make_spec(GOOD))
    engine.connection.set(name.replace("%s", schedule_id(BAD)), "a text")
    engine.at(60)
    assert f"{schedule_id(GOOD)}_{int(T0.timestamp()) + 60}" in engine.queued()
    assert (schedule_id(BAD) in engine.quarantined()) is True
    assert engine.connection.keys(f"rq:job:{schedule_id(BAD)}_*") == []


def test_one_unreadable_retry_does_not_keep_the_other_retries(engine: Engine) -> None:
    connection = engine.connection
    connection.sadd("rq:queues", "rq:queue:default", "rq:queue:low", "rq:queue:high")
    connection.set("rq:scheduled:low", "a text")
    connection.set("rq:queue:high", "a text")
    connection.set("rq:job:text", "a text")
    connection.hset("rq:job:good", mapping={"data": "x", "status": "scheduled"})
    connection.hset("rq:job:high", mapping={"data": "x", "status": "scheduled"})
    connection.zadd("rq:scheduled:default", {"text": 1, "gone": 1, "good": 2})
    connection.zadd("rq:scheduled:high", {"high": 1})
    engine.at(60)
    assert engine.queued() == ["good"]
    # Nobody can take it from there, so it waits where it is.
    assert connection.zrange("rq:scheduled:high", 0, -1) == [b"high"]


def test_an_entry_that_dispatching_itself_cannot_digest_is_set_aside(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outermost guard: a fault of our own in the reckoning of one schedule stays with that schedule."""
    import schedules.engine.dispatch as dispatch

    following = dispatch._following_if_on_time

    def broken(plan: object, *args: object) -> object:
        if plan.jitter:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a fault of our own")
        return following(plan, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(dispatch, "_following_if_on_time", broken)
    engine.register(make_spec(BAD, jitter=1), make_spec(GOOD))
    assert [job.rpartition("_")[0] for job in engine.at(62).queued()] == [schedule_id(GOOD)]
    assert "a fault of our own" in json.loads(engine.quarantined()[schedule_id(BAD)])["reason"]


def test_what_was_set_aside_is_found_by_the_wall_clock_of_the_slot(engine: Engine) -> None:
    engine.register(make_spec())
    engine.connection.delete(keys.template(schedule_id()))
    engine.at(60)
    event = engine.events("missed")[0]
    assert (event["a"], event["b"]) == ((T0 + timedelta(seconds=60)).timestamp(),) * 2
