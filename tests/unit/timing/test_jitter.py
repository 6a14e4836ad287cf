"""Jitter: the same everywhere, within bounds, spread."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schedules.timing import jitter_seconds

SLOT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.text(), st.datetimes(timezones=st.just(UTC)), st.integers(0, 10**6))
def test_jitter_is_stable_within_bounds_and_in_milliseconds(
    schedule: str, slot: datetime, jitter: int
) -> None:
    delay = jitter_seconds(schedule, slot, jitter)

    assert delay == jitter_seconds(schedule, slot, jitter)
    assert 0 <= delay <= jitter
    assert round(delay, 3) == delay


def test_jitter_is_the_same_in_another_process_and_version() -> None:
    here = jitter_seconds("9f0d", SLOT, 30)
    code = (
        "from datetime import *; from schedules.timing import jitter_seconds;"
        "print(jitter_seconds('9f0d', datetime(2026, 3, 1, 12, tzinfo=UTC), 30))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert float(there) == here == 1.473


def test_jitter_spreads_slots_and_schedules_evenly() -> None:
    by_slot = [jitter_seconds("a", SLOT + timedelta(minutes=n), 60) for n in range(2_000)]
    by_schedule = [jitter_seconds(str(n), SLOT, 60) for n in range(2_000)]

    for delays in (by_slot, by_schedule):
        assert len(set(delays)) > 1_900
        assert 28 < sum(delays) / len(delays) < 32


def test_no_jitter_is_no_delay() -> None:
    assert jitter_seconds("a", SLOT, 0) == 0.0
