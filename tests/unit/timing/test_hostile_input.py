# ruff: noqa: E501 (rows of tables)
"""Any text either parses or raises our error, at once."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schedules.timing import (
    CronTrigger,
    IntervalTrigger,
    OnceTrigger,
    TimingError,
    check_cron,
    check_interval,
    check_timezone,
    describe,
    parse_interval,
)

AT_ONCE = 0.05
CLASSICS = (
    "", " ", "*", "* * * *", "* * * * * * *", "*/0 * * * *", "* */0 * * *", "99999999 * * * *", "-1 * * * *",
    "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 8", "1- * * * *",
    "-5 * * * *", "5-1 * * * *", "1-2-3 * * * *", "*/ * * * *", "/5 * * * *", "*/*/5 * * * *", "*/5/5 * * * *",
    ",1 * * * *", "1, * * * *", "1,,2 * * * *", "** * * * *", "*5 * * * *", "5* * * * *", "? ? ? ? ?", "* * ? * *",
    "* * * * L", "* * * * #1", "* * * * 1#0", "* * * * 1#6", "* * * * 1#", "* * * * 1#1#1", "* * * * LL", "* * * * 8L",
    "* * * * MONL", "* * L-3 * *", "* * 15W * *", "* * W * *", "* * L#1 * *", "L * * * *", "* L * * *", "1#1 * * * *",
    "* * * FEBRUARY *", "* * * * MONDAY", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 */31 * 1#5", "@", "@never", "@reboot",
    "@every 5m", "@daily @daily", "a b c d e", "٣ * * * *", "² * * * *", "* * * * ²L", "１ * * * *", "0 0 * * frı", "5.5 * * * *",
    "1e3 * * * *", "0x10 * * * *", "+5 * * * *", "1_0 * * * *", "\0 * * * *", "* * * *\0*", "*\u00a0* * * *", "*\n* * * *",
    "* * * * *; rm", "TZ=UTC * * * * *", "CRON_TZ=UTC * * * * *", "\ud800 * * * *", "🕐 * * * *", "9" * 10_000, "*" * 10_000,
    "* " * 5_000, "1," * 5_000 + "1 * * * *", "9" * 900 + " * * * *", "1-" * 400 + "1 * * * *", "* * * * 1#" + "9" * 900, "* * * * " + "9" * 900 + "L",
)  # fmt: skip
ZONES = (
    "", " ", "UTC ", " UTC", "utc!", "Mars/Olympus", "Europe", "Europe/", "/Europe/Paris", "Europe//Paris",
    "../../etc/passwd", "Europe/../Europe/Paris", "./UTC", "/etc/passwd", "UTC\0", "\0", "Ｕ", "é", "\ud800", "x" * 10_000,
    "/" * 10_000, "a/" * 5_000 + "b", "tzdata.zi", "zone.tab", "leapseconds", "iso3166.tab", "__init__", "localtime",
    "posixrules", "right/UTC", "posix/Europe/Paris", "Europe/Paris\n", "CET-1CEST", "+05:00", "GMT+25", "C:\\x", "con",
)  # fmt: skip
INTERVALS = (
    "", " ", "0", "-1", "1.5", "1e9", "٣", "²", "1_000", "0x10", "nan", "inf", "9" * 10_000, "1h1", "h", "1 y", "5 m 3", "\0", "99999999999s",
    "1h " * 3_000, " " * 10_000,
)  # fmt: skip


def outcome(check: Callable[[Any], object], value: Any) -> str | None:
    """Give the sentence of the refusal, None when it is accepted; fail on anything else."""
    # Processor time without the collector: other work and the garbage of other tests are not ours.
    gc.disable()
    began = time.thread_time()
    try:
        check(value)
        sentence = None
    except TimingError as error:
        sentence = str(error)
    finally:
        took = time.thread_time() - began
        gc.enable()
    assert took < AT_ONCE
    if sentence is not None:
        assert sentence.endswith(".")
        assert len(sentence) < 300
        assert sentence.isprintable()
    return sentence


@pytest.mark.parametrize("text", CLASSICS, ids=lambda text: ascii(text[:30]))
def test_classic_nonsense_is_refused_as_a_cron_expression(text: str) -> None:
    assert outcome(check_cron, text) is not None


@pytest.mark.parametrize("name", ZONES, ids=lambda text: ascii(text[:30]))
def test_classic_nonsense_is_refused_as_a_zone(name: str) -> None:
    assert outcome(check_timezone, name) is not None
    assert outcome(lambda zone: check_cron("* * * * *", zone), name) is not None


@pytest.mark.parametrize("text", INTERVALS, ids=lambda text: ascii(text[:30]))
def test_classic_nonsense_is_refused_as_an_interval(text: str) -> None:
    assert outcome(parse_interval, text) is not None


@pytest.mark.parametrize("value", [None, 5, 1.5, b"* * * * *", [], {}, object(), 10**100], ids=range(8))
def test_what_is_no_text_is_refused(value: Any) -> None:
    for check in (check_cron, check_timezone, parse_interval):
        assert outcome(check, value) is not None
    assert outcome(lambda expression: CronTrigger(expression=expression), value) is not None
    assert outcome(lambda at: OnceTrigger(at=at), value) is not None


@pytest.mark.parametrize(
    "value",
    [None, 0, -1, 1.5, "90", True, float("nan"), 10**100, 10**100_000, 3_660 * 86_400 + 1],
    ids=range(10),
)
def test_what_is_no_interval_is_refused(value: Any) -> None:
    assert outcome(check_interval, value) is not None
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    assert outcome(lambda every: IntervalTrigger(every=every, anchor=anchor), value) is not None


_cron_letters = st.text("0123456789*/,-#LW @\tMONJANfeb?", max_size=40)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), _cron_letters, st.lists(_cron_letters, min_size=5, max_size=6).map(" ".join)))
@example("* * * * *")
def test_any_text_is_a_cron_expression_or_our_error(text: str) -> None:
    if outcome(check_cron, text) is None:
        assert outcome(lambda expression: describe(CronTrigger(expression=expression)), text) is None


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text("UTCEuropeParis/._-+0123456789", max_size=30)))
@example("UTC")
def test_any_text_is_a_zone_or_our_error(text: str) -> None:
    outcome(check_timezone, text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text("0123456789 wdhms", max_size=30)))
def test_any_text_is_an_interval_or_our_error(text: str) -> None:
    outcome(parse_interval, text)


@pytest.mark.parametrize(
    "text,sentence",
    [
        ("75 * * * *", "minute 75 is not between 0 and 59."),
        ("99999999 * * * *", "minute 99999999 is not between 0 and 59."),
        ("75 0 * * * *", "second 75 is not between 0 and 59."),
        ("0 24 * * *", "hour 24 is not between 0 and 23."),
        ("0 0 32 * *", "day of month 32 is not between 1 and 31."),
        ("0 0 1 13 *", "month 13 is not between 1 and 12 or a name from JAN to DEC."),
        ("0 0 1 foo *", "month 'FOO' is not between 1 and 12 or a name from JAN to DEC."),
        ("0 0 * * 8", "day of week 8 is not between 0 and 7 or a name from SUN to SAT."),
        ("*/0 * * * *", "minute step '0' is not a whole number of at least 1."),
        ("30-10 * * * *", "minute range 30-10 runs backwards: the first value must not be greater than the last."),
        ("0 0 * * 1#6", "day of week '1#6': the number after # is not between 1 and 5."),
        ("0 0 30 2 *", "The cron expression '0 0 30 2 *' can never fire: no month has the days that it asks for."),
        ("* * *", "The cron expression has 3 fields; allowed are 5 (minute, hour, day of month, month, day of week)"
                  " or 6 (with leading seconds)."),
        ("1 * * * * ?", "The cron expression holds '?': allowed are digits, names and * / , - #."),
        ("@reboot", "'@reboot' is not one of @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly."),
        ("x" * 2_000, "The cron expression has 2000 characters; at most 1000 are allowed."),
        ("  ", "The cron expression is empty: give five fields such as 30 7 * * 1-5."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(text: str, sentence: str) -> None:
    assert outcome(check_cron, text) == sentence


def test_an_unknown_zone_is_named() -> None:
    assert outcome(check_timezone, "Europe/Pariss") == (
        "The time zone 'Europe/Pariss' is not known: use an IANA name such as Europe/Paris or UTC."
    )


@pytest.mark.parametrize(
    "text",
    ["*/" + "9" * 900 + " * * * *", ",".join(["0-59/1"] * 120) + " * * * *", "  30 7 * * 1-5\n", "\t@daily ", "@DAILY", "30  7\t* * mon-FRI", "0 0 1 jan-mar,DEC *", "0 0 * * 0-7", "0 0 L,LW * 5L",
     "0 30 7 * * *", "0 0 * * sun#1,3#5", "59/7 * * * *", "*/999 * * * *", "5,10-20/5,*/30 * * * *"],
)  # fmt: skip
def test_what_people_write_is_accepted(text: str) -> None:
    assert outcome(check_cron, text) is None


@pytest.mark.parametrize(
    "text,seconds",
    [
        ("90", 90),
        (" 90s ", 90),
        ("15m", 900),
        ("1h 30m", 5_400),
        ("1H30M", 5_400),
        ("2d", 172_800),
        ("1 w", 604_800),
    ],
)
def test_intervals_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_interval(text) == seconds
