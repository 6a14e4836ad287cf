"""Which slots run and which are missed: by example, and against an account of every single slot."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.timing import (
    CronTrigger,
    Decision,
    IntervalTrigger,
    Missed,
    OnceTrigger,
    Policies,
    TimingError,
    Trigger,
    decide,
    missed_slots,
    next_slot,
    slots_between,
)
from tests.unit.timing import strategies

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
HOURLY = IntervalTrigger(every=3600, anchor=START)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def ranges(decision: Decision) -> list[tuple[datetime, datetime]]:
    return [(missed.first, missed.last) for missed in decision.missed]


# --- on time ---


def test_a_slot_on_time_runs_and_the_next_one_follows() -> None:
    assert decide(HOURLY, Policies(), at(1), at(0), at(1)) == Decision((at(1),), (), at(2))


def test_a_slot_that_is_not_due_yet_waits() -> None:
    assert decide(HOURLY, Policies(), at(1), at(0), at(1) - timedelta(microseconds=1)) == Decision(
        (), (), at(1)
    )


@pytest.mark.parametrize("policy", ["fire_once", "skip", "fire_all"])
@pytest.mark.parametrize("window", [None, 0, 30])
def test_the_threshold_is_exact_and_overrules_policy_and_window(policy: Any, window: int | None) -> None:
    policies = Policies(misfire_policy=policy, catchup_window=window)

    assert decide(HOURLY, policies, at(1), at(0), at(1) + 60 * SECOND).run == (at(1),)
    late = decide(HOURLY, policies, at(1), at(0), at(1) + 60 * SECOND + timedelta(microseconds=1))
    assert bool(late.missed) == (policy == "skip" or window is not None)


@pytest.mark.parametrize("policy", ["fire_once", "skip", "fire_all"])
def test_after_a_hiccup_every_slot_within_the_threshold_runs_oldest_first(policy: Any) -> None:
    trigger = IntervalTrigger(every=1, anchor=START)
    now = START + 5.25 * SECOND

    decision = decide(trigger, Policies(misfire_policy=policy, catchup_window=0), START + SECOND, START, now)

    assert decision.run == tuple(START + n * SECOND for n in (1, 2, 3, 4, 5))
    assert decision.missed == ()
    assert decision.next_slot == START + 6 * SECOND


def test_slots_within_the_threshold_are_bounded_by_max_catchup_too() -> None:
    trigger = IntervalTrigger(every=1, anchor=START)

    decision = decide(trigger, Policies(max_catchup=10), START + SECOND, START, START + 50 * SECOND)

    assert decision.run == tuple(START + n * SECOND for n in range(41, 51))
    assert decision.missed == (
        Missed(
            START + SECOND,
            START + 40 * SECOND,
            "Missed: of the slots due together only the newest 10 run (SCHEDULES_MAX_CATCHUP).",
        ),
    )


# --- late ---


def test_fire_once_runs_the_newest_and_misses_the_older_ones() -> None:
    decision = decide(HOURLY, Policies(), at(1), at(0), at(4.5))

    assert decision.run == (at(4),)
    assert ranges(decision) == [(at(1), at(3))]
    assert decision.missed[0].reason == (
        "Missed: more than 60 s late, and a newer slot was due (misfire policy fire_once)."
    )
    assert decision.next_slot == at(5)


def test_fire_once_runs_no_misfire_when_a_newer_slot_is_on_time() -> None:
    decision = decide(HOURLY, Policies(), at(1), at(0), at(4))

    assert decision.run == (at(4),)
    assert ranges(decision) == [(at(1), at(3))]


def test_skip_misses_all_misfires() -> None:
    decision = decide(HOURLY, Policies(misfire_policy="skip"), at(1), at(0), at(4.5))

    assert decision.run == ()
    assert decision.missed == (Missed(at(1), at(4), "Missed: more than 60 s late (misfire policy skip)."),)
    assert decision.next_slot == at(5)


def test_fire_all_runs_all_oldest_first() -> None:
    decision = decide(HOURLY, Policies(misfire_policy="fire_all"), at(1), at(0), at(4.5))

    assert decision == Decision((at(1), at(2), at(3), at(4)), (), at(5))


def test_fire_all_keeps_the_newest_of_too_many() -> None:
    decision = decide(HOURLY, Policies(misfire_policy="fire_all"), at(1), at(0), at(250.5))

    assert decision.run == tuple(at(n) for n in range(151, 251))
    assert ranges(decision) == [(at(1), at(150))]
    assert "SCHEDULES_MAX_CATCHUP" in decision.missed[0].reason


@pytest.mark.parametrize(
    "policy,run,missed",
    [("fire_once", [10], [(1, 7), (8, 9)]), ("fire_all", [8, 9, 10], [(1, 7)]), ("skip", [], [(1, 10)])],
)
def test_the_catchup_window_misses_what_is_older(
    policy: Any, run: list[int], missed: list[tuple[int, int]]
) -> None:
    policies = Policies(misfire_policy=policy, catchup_window=3 * 3600)

    decision = decide(HOURLY, policies, at(1), at(0), at(10.5))

    assert decision.run == tuple(map(at, run))
    assert ranges(decision) == [(at(first), at(last)) for first, last in missed]
    if policy != "skip":
        assert decision.missed[0].reason == "Missed: later than the schedule's catch-up window of 10800 s."


def test_the_catchup_window_is_exact() -> None:
    policies = Policies(catchup_window=1800)

    assert decide(HOURLY, policies, at(1), None, at(1.5)).run == (at(1),)
    assert decide(HOURLY, policies, at(1), None, at(1.5) + timedelta(microseconds=1)).run == ()


def test_a_late_single_moment_runs_once() -> None:
    assert decide(OnceTrigger(at=START), Policies(), START, None, at(9)) == Decision((START,), (), None)
    skipped = decide(OnceTrigger(at=START), Policies(misfire_policy="skip"), START, None, at(9))
    assert ranges(skipped) == [(START, START)]
    assert skipped.next_slot is None


# --- what has run does not run again ---


def test_settled_slots_never_come_back() -> None:
    assert decide(HOURLY, Policies(), at(1), at(1), at(1)) == Decision((), (), at(2))
    assert decide(HOURLY, Policies(), at(1), at(3), at(3.5)) == Decision((), (), at(4))
    assert decide(HOURLY, Policies(misfire_policy="fire_all"), at(1), at(3), at(5)).run == (at(4), at(5))


def test_a_clock_put_back_waits_until_after_the_last_slot() -> None:
    assert decide(HOURLY, Policies(), at(4), at(3), at(1)) == Decision((), (), at(4))


# --- slots off the grid ---


def test_a_slot_moved_by_hand_is_one_slot_and_the_grid_goes_on() -> None:
    assert decide(HOURLY, Policies(), at(1.25), at(0), at(1.25)) == Decision((at(1.25),), (), at(2))


def test_a_late_slot_off_the_grid_is_accounted_for_with_the_others() -> None:
    decision = decide(HOURLY, Policies(), at(1.25), at(0), at(4.5))

    assert decision.run == (at(4),)
    assert ranges(decision) == [(at(1.25), at(3))]
    assert missed_slots(HOURLY, decision.missed[0], 9) == [at(1.25), at(2), at(3)]
    assert missed_slots(HOURLY, decision.missed[0], 2) == [at(1.25), at(2)]
    assert missed_slots(HOURLY, decision.missed[0], 0) == []


def test_a_slot_outside_the_bounds_is_none() -> None:
    ended = IntervalTrigger(every=3600, anchor=START, ends_at=at(2))
    later = IntervalTrigger(every=3600, anchor=START, starts_at=at(8))

    assert decide(ended, Policies(), at(2), at(1), at(2)) == Decision((), (), None)
    assert decide(ended, Policies(), at(2), None, at(2)) == Decision((), (), None)
    assert decide(later, Policies(), at(2), at(1), at(2)) == Decision((), (), at(8))
    assert decide(later, Policies(), at(2), None, at(8)) == Decision((at(8),), (), at(9))


# --- the number of runs ---


def test_the_last_run_ends_the_schedule() -> None:
    assert decide(HOURLY, Policies(), at(1), at(0), at(1), runs_left=2) == Decision((at(1),), (), at(2))
    assert decide(HOURLY, Policies(), at(1), at(0), at(1), runs_left=1) == Decision((at(1),), (), None)
    assert decide(HOURLY, Policies(), at(1), at(0), at(1), runs_left=0) == Decision((), (), None)


def test_the_number_of_runs_bounds_a_catchup_from_its_oldest_slot() -> None:
    decision = decide(HOURLY, Policies(misfire_policy="fire_all"), at(1), at(0), at(6.5), runs_left=2)

    assert decision == Decision((at(1), at(2)), (), None)


def test_missed_slots_do_not_count_as_runs() -> None:
    decision = decide(HOURLY, Policies(misfire_policy="skip"), at(1), at(0), at(6.5), runs_left=2)

    assert decision.run == ()
    assert decision.next_slot == at(7)


# --- any outage ---


@settings(max_examples=400, deadline=None)
@given(
    trigger=strategies.triggers,
    start=strategies.moments,
    outage=st.one_of(
        st.timedeltas(timedelta(0), timedelta(minutes=3)),
        st.timedeltas(timedelta(0), timedelta(days=2)),
        st.timedeltas(timedelta(0), timedelta(days=200)),
    ),
    off_grid=st.one_of(st.none(), st.integers(-100_000, 100_000)),
    settled=st.booleans(),
    policies=st.builds(
        Policies,
        misfire_policy=st.sampled_from(["fire_once", "skip", "fire_all"]),
        catchup_window=st.one_of(st.none(), st.integers(0, 300), st.integers(0, 200_000)),
        misfire_threshold=st.one_of(st.just(60), st.integers(0, 4_000)),
        max_catchup=st.integers(1, 30),
    ),
    runs_left=st.one_of(st.none(), st.integers(0, 40)),
)
def test_every_slot_is_accounted_for_exactly_once(
    trigger: Trigger,
    start: datetime,
    outage: timedelta,
    off_grid: int | None,
    settled: bool,
    policies: Policies,
    runs_left: int | None,
) -> None:
    planned = next_slot(trigger, start)
    if planned is None:
        return
    due = planned if off_grid is None else planned + timedelta(seconds=off_grid)
    now = planned + outage
    last = start if settled else None

    decision = decide(trigger, policies, due, last, now, runs_left=runs_left)

    whole = start.replace(microsecond=0)
    if last is not None and due <= whole:
        due_slots = slots_between(trigger, whole, now, 3_000)
    elif not (trigger.starts_at or due) <= due or (trigger.ends_at is not None and due >= trigger.ends_at):
        due_slots = slots_between(trigger, max(due, whole) if last else due, now, 3_000)
    else:
        due_slots = [due, *slots_between(trigger, due, now, 3_000)] if due <= now else []
    if len(due_slots) >= 3_000:
        due_slots = []  # too many to count one by one: what follows is checked without them

    threshold = timedelta(seconds=policies.misfire_threshold)
    window = policies.catchup_window
    accounted: list[datetime] = list(decision.run)
    for missed in decision.missed:
        assert missed.first <= missed.last < now
        assert missed.reason.startswith("Missed: ")
        if due_slots:
            accounted += missed_slots(trigger, missed, 4_000)
    assert list(decision.run) == sorted(set(decision.run))
    assert len(decision.run) <= policies.max_catchup
    assert all(slot <= now for slot in decision.run)

    if runs_left is not None and len(decision.run) >= runs_left:
        assert len(decision.run) == runs_left
        assert decision.next_slot is None
        if due_slots and runs_left:
            upto = decision.run[-1]
            assert sorted(accounted) == [slot for slot in due_slots if slot <= upto]
        return
    if due_slots:
        assert sorted(accounted) == due_slots
        on_time = [slot for slot in due_slots if now - slot <= threshold][-policies.max_catchup :]
        misfires = [slot for slot in due_slots if now - slot > threshold]
        fresh = [slot for slot in misfires if window is None or now - slot <= timedelta(seconds=window)]
        expected = on_time
        if policies.misfire_policy == "fire_all":
            expected = (fresh + on_time)[-policies.max_catchup :]
        elif policies.misfire_policy == "fire_once" and not on_time and fresh[-1:] == misfires[-1:]:
            expected = fresh[-1:]
        assert list(decision.run) == expected
    if due > now and due > (last or start) and not accounted:
        assert decision.next_slot is not None
        assert decision.next_slot > now or decision.next_slot == due.replace(microsecond=0)
    elif decision.next_slot is not None:
        assert decision.next_slot == next_slot(trigger, max(now, start if last else now))


def test_a_year_away_is_decided_at_once() -> None:
    year = START + timedelta(days=365)
    for trigger, most in (
        (IntervalTrigger(every=1, anchor=START), 0.001),
        (CronTrigger(expression="* * * * * *", timezone="Europe/Paris"), 0.005),
        (CronTrigger(expression="* * * * *", timezone="America/New_York"), 0.005),
    ):
        for policy in ("fire_once", "skip", "fire_all"):
            policies = Policies(misfire_policy=policy, catchup_window=3600)  # type: ignore[arg-type]
            best = float("inf")
            for _ in range(5):
                began = time.thread_time()
                decision = decide(trigger, policies, START, None, year)
                best = min(best, time.thread_time() - began)
            assert best < most
            assert decision.missed[0].first == START


# --- policies ---


@pytest.mark.parametrize(
    "wrong,sentence",
    [
        ({"misfire_policy": "later"}, "misfire_policy 'later' is not one of fire_once, skip, fire_all."),
        ({"misfire_threshold": -1}, "misfire_threshold -1 is not a whole number of at least 0."),
        ({"max_catchup": 0}, "max_catchup 0 is not a whole number of at least 1."),
        ({"catchup_window": "1"}, "catchup_window '1' is not a whole number of at least 0."),
        ({"misfire_threshold": True}, "misfire_threshold True is not a whole number of at least 0."),
    ],
)
def test_policies_that_make_no_sense_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TimingError) as error:
        Policies(**wrong)
    assert str(error.value) == sentence
