"""A slot becomes a job: once, on time, with everything that the worker and the ledger need."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django_rq import get_queue
from rq import SimpleWorker

from schedules.engine import Progress, keys
from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger
from tests.redis.conftest import T0, Engine, make_spec, schedule_id


def test_a_slot_is_queued_when_it_is_due_and_not_before(engine: Engine) -> None:
    engine.register(make_spec())
    assert engine.at(59.999).queued() == []
    assert engine.at(60).queued() == [f"{schedule_id()}_{int((T0 + timedelta(seconds=60)).timestamp())}"]
    assert engine.next_slot() == 120


def test_a_worker_of_rq_runs_the_job(engine: Engine) -> None:
    engine.register(make_spec(args=(20,), kwargs={"right": 22}))
    job_id = engine.at(60).queued()[0]
    queue = get_queue("default", connection=engine.connection)
    SimpleWorker([queue], connection=engine.connection).work(burst=True)
    job = queue.fetch_job(job_id)
    assert job is not None
    assert (job.get_status(), job.return_value()) == ("finished", 42)
    assert (job.timeout, job.origin, job.description) == (180, "default", "schedule 1")


def test_the_queues_of_a_dashboard_list_the_queue(engine: Engine) -> None:
    engine.register(make_spec(queue="low"))
    engine.at(60)
    assert engine.connection.smembers("rq:queues") == {b"rq:queue:low"}


def test_no_drift_the_nth_run_is_at_anchor_plus_n_intervals(engine: Engine) -> None:
    engine.register(make_spec(trigger=IntervalTrigger(every=90, anchor=T0), overlap_policy="allow_all"))
    # Looked at every minute, as with stock's default poll: stock makes 720 of 960 runs a day so.
    for minute in range(1, 24 * 60 + 1):
        engine.at(minute * 60 + 0.7)
    assert engine.slots() == [90 * n for n in range(1, 961)]


def test_next_slots_of_a_cron_schedule_are_those_of_timing(engine: Engine) -> None:
    engine.register(
        make_spec(
            trigger=CronTrigger(expression="*/7 * * * *", timezone="Europe/Paris"), overlap_policy="allow_all"
        )
    )
    for minute in range(0, 60):
        engine.at(minute * 60)
    assert [slot // 60 for slot in engine.slots()] == [7, 14, 21, 28, 35, 42, 49, 56]


def test_once_runs_once(engine: Engine) -> None:
    engine.register(make_spec(trigger=OnceTrigger(at=T0 + timedelta(seconds=5))))
    engine.at(5).at(6).at(1000)
    assert engine.slots() == [5]
    assert engine.next_slot() is None
    assert engine.register(make_spec(trigger=OnceTrigger(at=T0 + timedelta(seconds=5)))) == {
        schedule_id(): "kept"
    }
    assert engine.at(2000).slots() == [5]


def test_max_runs_ends_the_schedule_and_skipped_slots_do_not_count(engine: Engine) -> None:
    engine.register(make_spec(max_runs=2))
    engine.at(60).at(120)  # the second is skipped: the first is still queued
    assert engine.slots() == [60]
    engine.finish(engine.queued()[0])
    engine.at(180)
    assert engine.slots() == [180]
    assert engine.next_slot() is None
    assert engine.at(240).slots() == [180]


def test_jitter_delays_the_dispatch_and_not_the_slot(engine: Engine) -> None:
    spec = make_spec(jitter=50, trigger=IntervalTrigger(every=600, anchor=T0))
    engine.register(spec)
    due = engine.next_slot()
    assert due is not None
    assert 600 <= due <= 650
    engine.at(due - 0.01)
    assert engine.slots() == []
    assert engine.at(due + 0.01).slots() == [600]


def test_an_event_tells_of_the_dispatch(engine: Engine) -> None:
    engine.register(make_spec())
    job_id = engine.at(60).queued()[0]
    assert engine.events() == [{"e": "queued", "j": job_id, "t": "schedule", "q": "default"}]


def test_the_ledger_is_told_when_it_was_queued_and_not_when_that_was_decided(engine: Engine) -> None:
    engine.register(make_spec())
    engine.clock.set(T0 + timedelta(seconds=59.97))
    prepared = engine.scheduler.dispatcher.prepare(until=T0.timestamp() + 60)
    engine.clock.set(T0 + timedelta(seconds=62.5))
    assert engine.scheduler.dispatcher.send(prepared).jobs == 1
    ((_, fields),) = engine.connection.xrange(keys.EVENTS)
    assert float(fields[b"at"]) == T0.timestamp() + 62.5


def test_one_event_tells_of_all_that_a_move_queues_alike(engine: Engine) -> None:
    engine.register(
        *(make_spec(n) for n in range(1, 21)), *(make_spec(n, queue="low") for n in range(21, 31))
    )
    engine.at(60)
    records = [json.loads(fields[b"events"]) for _, fields in engine.connection.xrange(keys.EVENTS)]
    assert [len(event["js"]) for events in records for event in events] == [20, 10]
    low = [job_id.decode() for job_id in engine.connection.lrange("rq:queue:low", 0, -1)]
    assert sorted(event["j"] for event in engine.events("queued")) == sorted(engine.queued() + low)


@pytest.mark.parametrize(
    "policy, slots, triggers, missed",
    [
        ("fire_once", [6000], ["catchup"], [(600, 5400)]),
        ("skip", [], [], [(600, 6000)]),
        ("fire_all", list(range(600, 6001, 600)), ["catchup"] * 10, []),
    ],
)
def test_what_was_due_while_no_scheduler_ran_follows_the_misfire_policy(
    engine: Engine, policy: str, slots: list[int], triggers: list[str], missed: list[tuple[int, int]]
) -> None:
    trigger = IntervalTrigger(every=600, anchor=T0)
    engine.register(make_spec(trigger=trigger, misfire_policy=policy, overlap_policy="allow_all"))
    engine.at(6100)
    assert engine.slots() == slots
    assert [event["t"] for event in engine.events("queued")] == triggers
    start = T0.timestamp()
    assert [(event["a"] - start, event["b"] - start) for event in engine.events("missed")] == missed
    assert engine.next_slot() == 6600
    # Only what runs has a job: none is left over from looking whether it could be made.
    jobs = {key.decode() for key in engine.connection.scan_iter(f"rq:job:{schedule_id()}_*")}
    assert jobs == {f"rq:job:{job_id}" for job_id in engine.queued()}


def test_a_lost_entry_is_registered_again_without_losing_or_doubling_a_slot(engine: Engine) -> None:
    engine.register(make_spec())
    engine.at(60)
    engine.finish(engine.queued()[0])
    engine.connection.flushall()
    engine.clock.advance(seconds=70)  # 12:02:10: the slot of 12:02 is late
    engine.register(make_spec(), progress={schedule_id(): Progress(after=T0 + timedelta(seconds=60), runs=1)})
    assert engine.dispatch().slots() == [120]


def test_an_edit_of_anything_but_the_times_keeps_the_next_slot(engine: Engine) -> None:
    engine.register(make_spec())
    engine.clock.advance(seconds=59)
    assert engine.register(make_spec(timeout=7, args=(5,))) == {schedule_id(): "changed"}
    assert engine.next_slot() == 60
    job_id = engine.at(60).queued()[0]
    assert engine.connection.hget(f"rq:job:{job_id}", "timeout") == b"7"


def test_registering_again_never_pushes_the_next_slot_later(engine: Engine) -> None:
    for second in range(0, 50, 10):
        engine.clock.set(T0 + timedelta(seconds=second))
        # A client that restarts has a new anchor each time; the engine keeps the first.
        trigger = IntervalTrigger(every=60, anchor=engine.clock.now)
        engine.register(make_spec(source="code", trigger=trigger))
    assert engine.next_slot() == 60


def test_a_late_slot_survives_being_registered_again(engine: Engine) -> None:
    engine.register(make_spec())
    engine.clock.advance(seconds=65)
    engine.register(make_spec(timeout=9))
    assert engine.dispatch().slots() == [60]


def test_a_changed_interval_goes_on_from_now(engine: Engine) -> None:
    engine.register(make_spec())
    engine.clock.advance(seconds=30)
    engine.register(make_spec(trigger=IntervalTrigger(every=25, anchor=T0)))
    assert engine.next_slot() == 50


def test_unregistered_is_gone_and_comes_back_without_running_a_slot_twice(engine: Engine) -> None:
    spec = make_spec()
    engine.register(spec)
    engine.at(60)
    assert engine.scheduler.unregister([spec.id]) == 1
    assert engine.scheduler.unregister([spec.id]) == 0
    assert engine.next_slot() is None
    engine.clock.set(T0 + timedelta(seconds=58))  # the clock of the host was set back
    engine.register(spec)
    assert engine.next_slot() == 120


def test_paused_until_leaves_slots_out_that_are_neither_late_nor_missed(engine: Engine) -> None:
    engine.register(make_spec(paused_until=T0 + timedelta(seconds=300)))
    assert engine.next_slot() == 360
    engine.at(360)
    assert engine.slots() == [360]
    assert engine.events("missed") == []


def test_an_edit_during_a_pass_wins_and_nothing_is_doubled(engine: Engine) -> None:
    """Compare by generation: what was read is not what is there any more."""
    engine.register(make_spec())
    engine.clock.set(T0 + timedelta(seconds=60))
    dispatcher = engine.scheduler.dispatcher
    read = dispatcher._read
    edited = make_spec(trigger=IntervalTrigger(every=40, anchor=T0))

    def read_then_edit(**options: object) -> object:
        rows = read(**options)
        engine.register(edited)
        return rows

    dispatcher._read = read_then_edit  # type: ignore[assignment]
    batch = dispatcher.run_batch()
    dispatcher._read = read
    assert (batch.jobs, batch.contended) == (0, 1)
    assert engine.next_slot() == 80


def test_a_cancel_during_a_pass_wins(engine: Engine) -> None:
    engine.register(make_spec())
    engine.clock.set(T0 + timedelta(seconds=60))
    dispatcher = engine.scheduler.dispatcher
    read = dispatcher._read

    def read_then_cancel(**options: object) -> object:
        rows = read(**options)
        engine.scheduler.unregister([schedule_id()])
        return rows

    dispatcher._read = read_then_cancel  # type: ignore[assignment]
    assert dispatcher.run_batch().jobs == 0
    dispatcher._read = read
    assert engine.dispatch().queued() == []
    assert engine.next_slot() is None


def test_the_same_move_sent_twice_queues_once(engine: Engine) -> None:
    """A reply that is lost after the server executed makes the client send the command again."""
    engine.register(make_spec())
    engine.clock.set(T0 + timedelta(seconds=60))
    dispatcher = engine.scheduler.dispatcher
    moving = dispatcher._moving

    def sent_before(*decided: Any) -> list[Any]:
        args = moving(*decided)
        dispatcher._move(args=args)
        return args

    dispatcher._moving = sent_before  # type: ignore[method-assign]
    assert dispatcher.run_batch().contended == 1
    assert engine.slots() == [60]


def test_two_dispatchers_that_read_the_same_batch_queue_it_once(engine: Engine) -> None:
    engine.register(*(make_spec(n) for n in range(1, 51)))
    engine.clock.set(T0 + timedelta(seconds=60))
    first = engine.scheduler.dispatcher
    read = first._read

    def read_and_let_the_other_work(**options: object) -> object:
        rows = read(**options)
        first._read = read
        engine.dispatch()
        return rows

    first._read = read_and_let_the_other_work  # type: ignore[assignment]
    batch = first.run_batch()
    assert batch.contended == 50
    assert len(engine.queued()) == len(set(engine.queued())) == 50


def test_what_is_due_is_dispatched_oldest_first(engine: Engine) -> None:
    specs = [
        make_spec(n, trigger=IntervalTrigger(every=3600, anchor=T0 - timedelta(seconds=n % 100)))
        for n in range(1, 1001)
    ]
    engine.register(*specs)
    engine.at(3700)
    slots = engine.slots()
    assert len(slots) == 1000
    assert slots == sorted(slots)


def test_register_reports_added_changed_and_kept(engine: Engine) -> None:
    assert engine.register(make_spec(1), make_spec(2)) == {schedule_id(1): "added", schedule_id(2): "added"}
    changed = replace(make_spec(2), description="new")
    assert engine.register(make_spec(1), changed) == {schedule_id(1): "kept", schedule_id(2): "changed"}


@pytest.mark.parametrize("is_kept, left", [(True, 1), (False, 0)])
def test_when_it_is_over_a_row_stays_registered_and_what_only_code_knew_is_forgotten(
    engine: Engine, is_kept: bool, left: int
) -> None:
    engine.register(make_spec(trigger=OnceTrigger(at=T0 + timedelta(seconds=5)), is_kept_when_over=is_kept))
    engine.at(5)
    assert engine.slots() == [5]
    assert len(list(engine.scheduler.entries.registered())) == left
    assert engine.connection.exists(f"rq:schedules:template:{schedule_id()}") == left


def test_a_backlog_of_many_batches_is_dispatched_once_by_several_dispatchers(
    engine: Engine, make_engine: Any
) -> None:
    """Batches overlap in time here: the next is decided while Redis executes the one before."""
    count = 3000
    engine.register(*(make_spec(n, overlap_policy="allow_all") for n in range(1, count + 1)))
    others = [make_engine() for _ in range(3)]
    for each in (engine, *others):
        each.clock.set(T0 + timedelta(seconds=60))
    with ThreadPoolExecutor(len(others)) as pool:
        runs = [
            pool.submit(lambda other: list(other.scheduler.dispatcher.run_backlog(lambda: False)), other)
            for other in others
        ]
        jobs = sum(batch.jobs for run in runs for batch in run.result())
    print(f"queued {jobs} of {count}, doubled {len(engine.queued()) - len(set(engine.queued()))}")
    assert jobs == len(engine.queued()) == len(set(engine.queued())) == count
    assert engine.dispatch().connection.llen("rq:queue:default") == count


def test_many_schedules_that_make_up_for_much_do_so_in_calls_of_a_bounded_length(engine: Engine) -> None:
    """100 schedules x 100 slots are more than Lua can hand over at once, and more than Redis should be held for."""
    specs = [make_spec(n, misfire_policy="fire_all", overlap_policy="allow_all") for n in range(1, 101)]
    engine.register(*specs)
    engine.connection.config_resetstat()
    engine.at(100 * 60)
    calls = engine.connection.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert len(engine.queued()) == len(set(engine.queued())) == 10_000
    assert calls >= 100, "each makes more than is moved at once, and is a call by itself"


def test_what_was_decided_before_a_long_stop_is_decided_again(engine: Engine) -> None:
    """A process that is stopped between reading and moving, and continued hours later, finds a misfire."""
    engine.register(make_spec(trigger=IntervalTrigger(every=3600, anchor=T0), misfire_policy="skip"))
    engine.clock.set(T0 + timedelta(seconds=3600))
    prepared = engine.scheduler.dispatcher.prepare(until=engine.clock.now.timestamp())
    engine.clock.advance(seconds=1800)
    assert engine.scheduler.dispatcher.send(prepared).contended == 1
    assert engine.dispatch().slots() == []
    assert [event["a"] - T0.timestamp() for event in engine.events("missed")] == [3600]
