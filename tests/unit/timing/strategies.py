"""What hypothesis draws from: expressions in every form that is accepted, zones, triggers, moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger, TimingError, Trigger, check_cron

ZONES = (
    "UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut",
    "Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca", "Antarctica/Troll", "Etc/GMT-14", "Asia/Kathmandu",
)  # fmt: skip
_MONTHS = ("jan", "FEB", "Mar", "oct", "DEC")
_DAYS = ("sun", "MON", "Tue", "fri", "SAT")

zones = st.sampled_from(ZONES)
seconds = st.integers(
    int(datetime(2005, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2040, 1, 1, tzinfo=UTC).timestamp())
)
moments = st.builds(
    lambda unix, micro: datetime.fromtimestamp(unix, UTC) + timedelta(microseconds=micro),
    seconds,
    st.one_of(st.just(0), st.integers(0, 999_999)),
)


def _numbers(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, high)
    terms = [
        number.map(str),
        ranges,
        st.builds("{}/{}".format, ranges, step),
        st.builds("{}/{}".format, number, step),
    ]
    if names:
        terms.append(st.sampled_from(names))
    listed = st.lists(st.one_of(terms), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.builds("*/{}".format, step), listed)


_of_month = st.one_of(_numbers(1, 31), st.sampled_from(["L", "LW", "1,L", "LW,15"]))
_of_week = st.one_of(
    _numbers(0, 7, _DAYS),
    st.builds("{}#{}".format, st.one_of(st.integers(0, 7), st.sampled_from(_DAYS)), st.integers(1, 5)),
    st.integers(0, 7).map("{}L".format),
)
_five = st.tuples(_numbers(0, 59), _numbers(0, 23), _of_month, _numbers(1, 12, _MONTHS), _of_week)
_six = st.builds(lambda second, rest: (second, *rest), _numbers(0, 59), _five)


def _can_fire(expression: str) -> bool:
    try:
        check_cron(expression, "UTC")
    except TimingError as error:
        assert "can never fire" in str(error), expression  # noqa: PT017
        return False
    return True


expressions = st.one_of(
    _five.map(" ".join),
    _six.map(" ".join),
    st.sampled_from(["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"]),
).filter(_can_fire)

_bound = st.one_of(st.none(), moments)
cron_triggers = st.builds(
    CronTrigger, expression=expressions, timezone=zones, starts_at=_bound, ends_at=_bound
)
open_cron_triggers = st.builds(CronTrigger, expression=expressions, timezone=zones)
interval_triggers = st.builds(
    IntervalTrigger,
    every=st.one_of(st.integers(1, 100_000), st.integers(1, 3_660 * 86_400)),
    anchor=moments,
    starts_at=_bound,
    ends_at=_bound,
)
once_triggers = st.builds(OnceTrigger, at=moments, starts_at=_bound, ends_at=_bound)
triggers: st.SearchStrategy[Trigger] = st.one_of(interval_triggers, cron_triggers, once_triggers)
