"""Plans, states, job ids: what goes to Redis comes back as it was, and nothing else is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.engine.errors import EngineError
from schedules.engine.identity import JobIdentity, identity_of
from schedules.engine.state import State, new_generation
from schedules.spec import (
    OVERLAP_POLICIES,
    Plan,
    ScheduleSpec,
    WireError,
    backoff_intervals,
    digest,
    plan_from_wire,
    plan_to_wire,
)
from schedules.timing import (
    MISFIRE_POLICIES,
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    Policies,
    Trigger,
)

moments = st.datetimes(
    min_value=datetime(1971, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))
maybe = st.none() | moments
triggers: st.SearchStrategy[Trigger] = st.one_of(
    st.builds(IntervalTrigger, every=st.integers(1, 10**8), anchor=moments, starts_at=maybe, ends_at=maybe),
    st.builds(
        CronTrigger,
        expression=st.sampled_from(["* * * * *", "0 7 * * 1-5", "@daily", "0 0 L * *", "*/5 0 0 1 1 *"]),
        timezone=st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
        starts_at=maybe,
        ends_at=maybe,
    ),
    st.builds(OnceTrigger, at=moments, starts_at=maybe, ends_at=maybe),
)
plans = st.builds(
    Plan,
    trigger=triggers,
    policies=st.builds(
        Policies,
        misfire_policy=st.sampled_from(MISFIRE_POLICIES),
        catchup_window=st.none() | st.integers(0, 10**6),
        misfire_threshold=st.integers(0, 10**6),
        max_catchup=st.integers(1, 10**5),
    ),
    overlap_policy=st.sampled_from(OVERLAP_POLICIES),
    jitter=st.integers(0, 10**5),
    max_runs=st.none() | st.integers(0, 10**9),
    queue=st.text(min_size=1, max_size=30).filter(lambda name: name.isprintable()),
    paused_until=maybe,
    is_kept_when_over=st.booleans(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=4)
    ),
    max_leaves=8,
)


@given(plans)
def test_a_plan_comes_back_as_it_was(plan: Plan) -> None:
    wire = plan_to_wire(plan)
    assert plan_from_wire(wire) == plan
    assert plan_from_wire(wire.encode()) == plan
    assert plan_to_wire(plan_from_wire(wire)) == wire


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_anything_else_is_a_wire_error_and_nothing_worse(text: str | bytes) -> None:
    with pytest.raises(WireError):
        plan_from_wire(text)


@given(plans, st.sampled_from("vtpoqjmku"), json_values)
def test_a_plan_with_one_part_replaced_is_read_strictly(plan: Plan, part: str, value: object) -> None:
    wire = json.loads(plan_to_wire(plan))
    wire[part] = value
    try:
        read = plan_from_wire(json.dumps(wire))
    except WireError:
        return
    # What is believed has the types that the move script takes at their word.
    assert isinstance(read.queue, str)
    assert type(read.jitter) is int
    assert read.jitter >= 0
    assert read.max_runs is None or (type(read.max_runs) is int and read.max_runs >= 0)
    assert read.overlap_policy in OVERLAP_POLICIES


def test_a_newer_version_is_named() -> None:
    with pytest.raises(WireError, match="version 2; this release reads version 1"):
        plan_from_wire('{"v": 2}')


unix = st.none() | st.integers(-(10**11), 10**11)
states = st.builds(
    State,
    generation=st.builds(new_generation),
    slot=unix,
    last_slot=unix,
    runs=st.integers(0, 10**12),
    active=st.lists(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), max_size=4).map(" ".join),
)


@given(states)
def test_a_state_comes_back_as_it_was(state: State) -> None:
    assert State.from_text(state.to_text()) == state


@given(st.text())
def test_any_other_text_is_no_state(text: str) -> None:
    try:
        state = State.from_text(text)
    except EngineError:
        return
    assert '"' not in text
    assert "\\" not in text
    assert state.runs >= 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "abc 1 2",
        'a"b 1 - 0',
        "abc 1_0 - 0",
        "abc ١ - 0",
        "abc 1 - -1",
        "abc 1 - 0 a\nb",
        "abc  1 - 0",
    ],
)
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="generation slot last-slot runs"):
        State.from_text(text)


@pytest.mark.parametrize(
    "job_id, schedule_id, scheduled_for",
    [
        (
            "cc1dface-9213-4eed-8cb2-0edba6b2159c_1764000000",
            "cc1dface-9213-4eed-8cb2-0edba6b2159c",
            datetime(2025, 11, 24, 16, 0, tzinfo=UTC),
        ),
        ("my_job_0", "my_job", datetime(1970, 1, 1, tzinfo=UTC)),
        (
            "cc1dface-9213-4eed-8cb2-0edba6b2159c_now-0a1b2c3d4e5f",
            "cc1dface-9213-4eed-8cb2-0edba6b2159c",
            None,
        ),
        ("cc1dface-9213-4eed-8cb2-0edba6b2159c", None, None),
        ("other_now-0a1b", None, None),
        ("a_b", None, None),
        ("a_١٢٣", None, None),
        ("a_1764000000000", None, None),
        ("", None, None),
        ("_", None, None),
    ],
)
def test_a_job_id_tells_its_schedule_and_slot(
    job_id: str, schedule_id: str | None, scheduled_for: datetime | None
) -> None:
    assert identity_of(job_id) == JobIdentity(schedule_id, scheduled_for)


@given(st.text())
def test_no_job_id_is_too_odd_to_be_read(job_id: str) -> None:
    identity_of(job_id)


SPEC = ScheduleSpec(
    id="cc1dface-9213-4eed-8cb2-0edba6b2159c",
    name="news",
    func="shop.jobs.refresh",
    args=(1, "a"),
    kwargs={"b": 2, "a": 1},
    plan=Plan(trigger=IntervalTrigger(every=60, anchor=datetime(2026, 1, 1, tzinfo=UTC))),
)


def test_equal_specs_have_equal_digests_whatever_the_order_of_names() -> None:
    assert digest(SPEC) == digest(replace(SPEC, kwargs={"a": 1, "b": 2}))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"func": "shop.jobs.other"},
        {"args": (1, "b")},
        {"kwargs": {}},
        {"timeout": 5},
        {"result_ttl": 5},
        {"retry_max": 1},
        {"retry_intervals": (1,)},
        {"description": "x"},
        {"source": "code"},
        {"plan": replace(SPEC.plan, queue="low")},
        {"plan": replace(SPEC.plan, jitter=1)},
        {"plan": replace(SPEC.plan, max_runs=1)},
        {"plan": replace(SPEC.plan, paused_until=datetime(2027, 1, 1, tzinfo=UTC))},
        {"plan": replace(SPEC.plan, policies=Policies(misfire_policy="skip"))},
    ],
    ids=str,
)
def test_each_change_changes_the_digest(changes: dict[str, object]) -> None:
    assert digest(replace(SPEC, **changes)) != digest(SPEC)  # type: ignore[arg-type]


def test_arguments_that_are_no_json_have_a_digest_too() -> None:
    spec = replace(SPEC, args=(timedelta(1),), kwargs={"s": {1}})
    assert digest(spec) == digest(replace(spec)) != digest(SPEC)


@given(st.integers(0, 60), st.integers(0, 10**6), st.integers(0, 10**6))
def test_backoff_never_shrinks_and_never_exceeds_its_cap(retries: int, minimum: int, maximum: int) -> None:
    intervals = backoff_intervals(retries=retries, minimum=minimum, maximum=maximum)
    assert list(intervals) == sorted(intervals)
    assert all(minimum <= interval <= max(minimum, maximum) for interval in intervals)
    assert len(intervals) == (retries if minimum else 0)
