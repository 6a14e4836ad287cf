"""What an operator reads: right for everything that is accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings

from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger, TimingError, Trigger, describe
from schedules.timing.fields import CronFields, read_fields
from schedules.timing.wall import WallTimes
from tests.unit.timing import strategies

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "expression,sentence",
    [
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0,30 * * * *", "Every 30 minutes"),
        ("*/7 * * * *", "Every 7 minutes from minute 0 to minute 56 of every hour"),
        ("1-59/2 * * * *", "Every 2 minutes from minute 1 to minute 59 of every hour"),
        ("5,10 * * * *", "At minutes 5 and 10 of every hour"),
        ("1-5,30 * * * *", "At minutes 1 to 5 and 30 of every hour"),
        ("0 * * * *", "Every hour"),
        ("@hourly", "Every hour"),
        ("5 * * * *", "Every hour at minute 5"),
        ("0 */2 * * *", "Every 2 hours"),
        ("30 */6 * * *", "Every 6 hours at minute 30"),
        ("0 */12 * * *", "Every day at 00:00 and 12:00"),
        ("0 */5 * * *", "Every 5 hours from 00:00 to 20:00"),
        ("23 0-20/2 * * *", "Every 2 hours from 00:23 to 20:23"),
        ("0 0,12 * * *", "Every day at 00:00 and 12:00"),
        ("* 9 * * *", "Every minute from 09:00 to 09:59"),
        ("*/15 9-17 * * 1-5", "Every 15 minutes from 09:00 to 17:45, every weekday"),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00"),
        ("*/5 1,3 * * 2", "Every 5 minutes of hours 1 and 3, every Tuesday"),
        ("5,10 1,3,5,7 * * *", "Every day at 01:05, 01:10, 03:05, 03:10, 05:05, 05:10, 07:05 and 07:10"),
        ("1,2,4 1,3,4 * * *", "At minutes 1, 2 and 4 of hours 1, 3 and 4"),
        ("0 0 * * *", "Every day at 00:00"),
        ("0 7 * * 1-5", "Every weekday at 07:00"),
        ("0,30 8,20 * * *", "Every day at 08:00, 08:30, 20:00 and 20:30"),
        ("0 0 * * 0", "Every Sunday at 00:00"),
        ("0 0 * * 7", "Every Sunday at 00:00"),
        ("0 8 * * 1,3,5", "Every Monday, Wednesday and Friday at 08:00"),
        ("0 8 * * tue-thu", "Every Tuesday to Thursday at 08:00"),
        ("0 8 * * 6,0", "Every Saturday and Sunday at 08:00"),
        ("0 18 * * 5L", "On the last Friday of every month at 18:00"),
        ("0 0 * * 1#2,3#1", "On the first Wednesday and second Monday of every month at 00:00"),
        ("0 0 * 3 2,1#2", "Every Tuesday in March and on the second Monday of March at 00:00"),
        ("0 0 1 * *", "On the 1st of every month at 00:00"),
        ("0 0 1,22,23,31 * *", "On the 1st, 22nd, 23rd and 31st of every month at 00:00"),
        ("0 4 8-14 * *", "On the 8th to 14th of every month at 04:00"),
        ("0 0 L * *", "On the last day of every month at 00:00"),
        ("0 0 LW * *", "On the last weekday of every month at 00:00"),
        ("0 0 15,L * *", "On the 15th and last day of every month at 00:00"),
        ("0 0 29 2 *", "On the 29th of February at 00:00"),
        ("0 0 1 1-3,7 *", "On the 1st of January to March and July at 00:00"),
        ("5 0 * 8 *", "Every day in August at 00:05"),
        ("0 0 * 2 1-5", "Every weekday in February at 00:00"),
        ("0 0 13 * 5", "On the 13th of every month and also every Friday at 00:00"),
        ("0 0 13 1 5", "On the 13th of January and also every Friday in January at 00:00"),
        ("0 0 */15 * 1", "Every Monday, if that is the 1st, 16th or 31st of the month at 00:00"),
        ("0 0 1-31 * 1", "Every day at 00:00"),
        ("0 0 1 * 0-6", "Every day at 00:00"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("* * * * * *", "Every second"),
        ("5 * * * * *", "At second 5 of every minute"),
        ("*/10 30 1-20 * * *", "Every 10 seconds of minute 30 of hours 1 to 20"),
        ("* * 9 * * *", "Every second of every minute of hour 9"),
        ("15 30 7 * * *", "Every day at 07:30:15"),
        ("0 30 7 * * *", "Every day at 07:30"),
    ],
)  # fmt: skip
def test_a_cron_expression_in_words(expression: str, sentence: str) -> None:
    assert (
        describe(CronTrigger(expression=expression, timezone="Europe/Paris")) == f"{sentence}, Europe/Paris"
    )


@pytest.mark.parametrize(
    "every,sentence",
    [(1, "second"), (45, "45 seconds"), (60, "minute"), (90, "90 seconds"), (300, "5 minutes"), (3_600, "hour"),
     (5_400, "90 minutes"), (86_400, "24 hours"), (172_800, "2 days"), (90_000, "25 hours")],
)  # fmt: skip
def test_an_interval_in_words(every: int, sentence: str) -> None:
    assert describe(IntervalTrigger(every=every, anchor=START)) == f"Every {sentence}"


@pytest.mark.parametrize(
    "trigger,sentence",
    [
        (OnceTrigger(at=START), "Once, on 1 March 2026 at 12:00 UTC"),
        (
            IntervalTrigger(
                every=90, anchor=START, starts_at=START, ends_at=START + timedelta(days=30, seconds=5)
            ),
            "Every 90 seconds, from 1 March 2026 at 12:00 UTC, until 31 March 2026 at 12:00:05 UTC",
        ),
        (
            CronTrigger(expression="0 7 * * *", ends_at=START),
            "Every day at 07:00, UTC, until 1 March 2026 at 12:00 UTC",
        ),
    ],
)
def test_moments_and_bounds_in_words(trigger: Trigger, sentence: str) -> None:
    assert describe(trigger) == sentence


def test_what_cannot_be_read_is_not_described() -> None:
    with pytest.raises(TimingError, match="minute 75 is not between 0 and 59"):
        describe(CronTrigger(expression="75 * * * *"))


def _meaning(fields: CronFields) -> object:
    """What fires: times of day, and days for every shape that a month can have."""
    walls = WallTimes(fields)
    shapes = [(length, first) for length in (28, 29, 30, 31) for first in range(7)]
    days = tuple(walls._mask(length, first) for length, first in shapes)
    return fields.seconds, fields.minutes, fields.hours, fields.months, days


_MINUTES = (
    "*",
    "0",
    "5",
    "*/2",
    "*/7",
    "*/15",
    "1-59/2",
    "0-30",
    "0,30",
    "5,35",
    "1,2,4",
    "1-5,30",
    "7,9,11,13",
    "0-29/2",
)
_HOURS = (
    "*",
    "0",
    "9",
    "*/2",
    "*/5",
    "*/6",
    "*/12",
    "9-17",
    "9,10",
    "1-4",
    "1,3,5,7",
    "0-22/2",
    "1-23/2",
    "8,20,22",
)
_SECONDS = ("0", "*", "5", "*/10", "*/7", "0,30", "1-4")
_OF_MONTH = ("*", "1", "29", "1,15", "8-14", "*/2", "*/15", "1-31", "L", "LW", "L,LW", "1,L", "1,LW", "30-31")
_OF_WEEK = (
    "*",
    "0",
    "7",
    "1-5",
    "6,0",
    "*/2",
    "1#1",
    "5L",
    "1,1#1",
    "1#1,2#1",
    "0-6",
    "5,5L",
    "1#1,1#2",
    "1-5,6#1",
    "2-4",
)
_MONTHS = ("*", "1", "2", "1-3", "*/2", "4,6,9,11")


def test_two_expressions_in_the_same_words_fire_at_the_same_times() -> None:
    seen: dict[str, tuple[object, str]] = {}
    expressions = [f"{' '.join(times)} * * *" for times in product(_SECONDS, _MINUTES, _HOURS)]
    for of_month, month, of_week in product(_OF_MONTH, _MONTHS, _OF_WEEK):
        expressions += [f"{time} {of_month} {month} {of_week}" for time in ("0 7", "*/15 *")]
    for expression in expressions:
        try:
            sentence = describe(CronTrigger(expression=expression))
        except TimingError:
            continue
        meaning = _meaning(read_fields(expression))
        assert seen.setdefault(sentence, (meaning, expression))[0] == meaning, (expression, seen[sentence][1])
    assert len(seen) > 2_000


@settings(deadline=None)
@given(strategies.triggers)
def test_everything_that_is_accepted_has_one_plain_sentence(trigger: Trigger) -> None:
    sentence = describe(trigger)

    assert sentence.isprintable()
    assert sentence[0].isupper()
    assert "  " not in sentence
    assert " ," not in sentence
    assert not sentence.endswith((" ", ",", "."))
