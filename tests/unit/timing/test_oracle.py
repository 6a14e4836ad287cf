"""The implementation against brute force: around every clock change here, two full years in `oracle.py`.

The whole cross product (25 zones × 208 expressions × every minute of two years) takes minutes and is run by
`python -m tests.unit.timing.oracle`. The covering set here has the same zones and expressions, and every day
on which something other than the calendar is at work.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.timing import oracle


@pytest.mark.parametrize("zone", oracle.ZONES)
def test_slots_around_every_clock_change_are_those_of_brute_force(zone: str) -> None:
    minutes, slots, found = oracle.examine(zone, fast=True)

    assert found == []
    assert minutes >= 7_200
    assert slots > 10_000


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Africa/Casablanca"])
def test_slots_of_two_full_years_are_those_of_brute_force(zone: str) -> None:
    (since, until) = next(oracle.two_years(zone))
    table = oracle.Table(zone, since, until)

    for expression in oracle.EXPRESSIONS[::9]:
        assert oracle.differences(table, zone, expression)[1] == []


def test_the_oracle_covers_what_it_promises() -> None:
    assert len(oracle.ZONES) >= 20
    assert len(set(oracle.EXPRESSIONS)) >= 200
    fixed = [text for text in oracle.EXPRESSIONS if "*" not in (text.split()[0][0], text.split()[1][0])]
    assert len(fixed) >= 80
    assert len(oracle.EXPRESSIONS) - len(fixed) >= 80


def test_the_oracle_knows_the_nights_of_new_york() -> None:
    day = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) // 60
    table = oracle.Table("America/New_York", day - 2880, day + 4320)

    def on_the_night(expression: str) -> int:
        return sum(day + 240 <= minute < day + 600 for minute in table.slots(expression))

    assert on_the_night("30 1 * * *") == 1
    assert on_the_night("0 * * * *") == 6
    assert on_the_night("*/15 1 * * *") == 8
