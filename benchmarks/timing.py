"""How fast the arithmetic of schedules is, with its rivals measured in the same run.

    python -m benchmarks.timing

Prints the figures beside their targets and ends with 1 when one is missed. Each figure is the best of
several rounds: other work on the machine makes a round slower, nothing makes it faster.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from schedules.timing import CronTrigger, IntervalTrigger, Policies, check_cron, decide, next_slot
from schedules.timing.cron import cron_times
from schedules.timing.fields import read_fields

ROUNDS = 5
NOW = datetime(2026, 3, 11, 9, 26, 53, 589793, tzinfo=UTC)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Sydney")

# A hundred expressions as they are found in crontabs: distributions' packages, guides, job runners.
EXPRESSIONS = (
    "* * * * *", "*/2 * * * *", "*/5 * * * *", "*/10 * * * *", "*/15 * * * *", "*/20 * * * *", "*/30 * * * *",
    "0,30 * * * *", "5,35 * * * *", "15,45 * * * *", "5-55/10 * * * *", "2-59/5 * * * *", "0-59/15 * * * *",
    "0 * * * *", "1 * * * *", "5 * * * *", "17 * * * *", "39 * * * *", "45 * * * *", "09,39 * * * *",
    "0 */2 * * *", "0 */3 * * *", "0 */4 * * *", "0 */6 * * *", "0 */8 * * *", "0 */12 * * *", "15 */2 * * *",
    "30 */6 * * *", "23 0-20/2 * * *", "0 0,12 * * *", "0 6,18 * * *", "0 8,12,16 * * *", "0 0-23/3 * * *",
    "0 0 * * *", "5 0 * * *", "30 0 * * *", "0 1 * * *", "15 1 * * *", "30 1 * * *", "0 2 * * *",
    "30 2 * * *", "0 3 * * *", "10 3 * * *", "15 3 * * *", "30 3 * * *", "0 4 * * *", "5 4 * * *",
    "25 6 * * *", "0 6 * * *",
    "30 7 * * *", "0 8 * * *", "0 9 * * *", "0 12 * * *", "15 14 * * *", "0 17 * * *", "0 18 * * *",
    "30 22 * * *", "59 23 * * *", "30 7-23 * * *", "*/5 8-20 * * *",
    "0 0 * * 0", "0 3 * * 0", "30 3 * * 0", "47 6 * * 7", "0 4 * * 6", "5 4 * * sun", "0 5 * * 1",
    "0 9 * * 1",
    "0 9 * * MON-FRI", "0 22 * * 1-5", "30 8 * * 1-5", "0 7 * * 1,3,5", "*/15 9-17 * * 1-5",
    "0 9-17 * * MON-FRI", "*/30 8-18 * * 1-6", "0 10 * * 6,0", "30 1 * * 2,4", "10 3 * * 0,6",
    "0 0 1 * *", "0 1 1 * *", "52 6 1 * *", "15 14 1 * *", "0 0 15 * *", "0 0 1,15 * *", "0 12 1-7 * *",
    "0 4 8-14 * *", "0 0 28 * *", "0 0 L * *", "30 6 L * *", "0 0 1 */3 *", "0 0 1 1,4,7,10 *",
    "0 0 1 1 *", "0 0 25 12 *", "0 0 31 10 *", "5 0 * 8 *", "0 0 * * 1#1", "0 18 * * 5#3", "0 0 1 */2 *",
    "0 0 29 2 *", "0 0 13 * 5",
)  # fmt: skip


def best(work: Callable[[], object], calls: int) -> float:
    """Give the seconds that one of `calls` takes, in the best of some rounds."""
    fastest = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest / calls


class Report:
    """Figures with their targets."""

    def __init__(self) -> None:
        self.missed = 0

    def add(self, name: str, figure: str, target: str = "", *, met: bool = True) -> None:
        """Print one figure."""
        self.missed += not met
        wanted = f"  target {target}: {'met' if met else 'MISSED'}" if target else ""
        print(f"  {name:<52} {figure:>14}{wanted}")


def intervals(report: Report) -> float:
    """Measure next_slot of intervals; give its seconds."""
    trigger = IntervalTrigger(every=90, anchor=NOW)
    moments = [NOW + timedelta(seconds=37 * step) for step in range(20_000)]

    def work() -> None:
        for moment in moments:
            next_slot(trigger, moment)

    one = best(work, len(moments))
    report.add("next_slot, interval", f"{1 / one:,.0f} /s", "300,000 /s", met=one <= 1 / 300_000)
    return one


def expressions(report: Report) -> None:
    """Measure cron expressions against croniter and cronsim, each on the same mix, zones and moments."""
    pairs = [(text, ZONES[place % len(ZONES)]) for place, text in enumerate(EXPRESSIONS)]
    triggers = [CronTrigger(expression=text, timezone=zone) for text, zone in pairs]
    local = [NOW.astimezone(ZoneInfo(zone)) for _, zone in pairs]
    moments = [NOW + timedelta(days=37 * step) for step in range(20)]
    slowest: dict[str, float] = {}

    def kept() -> None:
        for trigger in triggers:
            next_slot(trigger, NOW)

    def fresh() -> None:
        cron_times.cache_clear()
        read_fields.cache_clear()
        for trigger in triggers:
            next_slot(trigger, NOW)

    def by_croniter() -> None:
        for (text, _), moment in zip(pairs, local, strict=True):
            croniter(text, moment).get_next(datetime)

    def by_cronsim() -> None:
        for (text, _), moment in zip(pairs, local, strict=True):
            next(CronSim(text, moment))

    kept()
    count = len(pairs)
    ours, first, theirs, sims = (best(work, count) for work in (kept, fresh, by_croniter, by_cronsim))
    for trigger in triggers:

        def one(trigger: CronTrigger = trigger) -> None:
            for moment in moments:
                next_slot(trigger, moment)

        one()
        slowest[trigger.expression] = best(one, len(moments))
    times = theirs / ours
    report.add(f"croniter, parse and next, {count} expressions", f"{theirs * 1e6:.1f} µs")
    report.add("cronsim, parse and next", f"{sims * 1e6:.1f} µs ({theirs / sims:.1f}×)")
    report.add("ours, parsed before", f"{ours * 1e6:.1f} µs ({times:.1f}×)", "6 × croniter", met=times >= 6)
    report.add("ours, parsed for the first time", f"{first * 1e6:.1f} µs ({theirs / first:.1f}×)")
    text, worst = max(slowest.items(), key=lambda item: item[1])
    report.add(f"slowest of them: {text}", f"{worst * 1e6:.1f} µs", "100 µs", met=worst <= 100e-6)
    for text in ("0 0 29 2 *", "0 0 29 2 */7", "0 0 */30 * 5#5", "30 2 * * *", "*/15 2 * * *"):
        single = CronTrigger(expression=text, timezone="Europe/Paris")
        check_cron(text, "Europe/Paris")

        def sparse(single: CronTrigger = single) -> None:
            for moment in moments:
                next_slot(single, moment)

        sparse()
        took = best(sparse, len(moments))
        report.add(f"  {text}", f"{took * 1e6:.1f} µs", "100 µs", met=took <= 100e-6)


def decisions(report: Report, interval_next: float) -> None:
    """Measure decide: what it adds to next_slot, and long outages."""
    policies = Policies()
    interval = IntervalTrigger(every=60, anchor=datetime(2026, 1, 1, tzinfo=UTC))
    due = datetime(2026, 3, 11, 9, 27, tzinfo=UTC)
    last, late = due - timedelta(minutes=1), due + timedelta(milliseconds=3)

    def on_time() -> None:
        for _ in range(20_000):
            decide(interval, policies, due, last, late)

    took = best(on_time, 20_000)
    report.add("decide, one slot on time", f"{took * 1e6:.2f} µs")
    added = took - interval_next
    report.add("  of which beyond next_slot", f"{added * 1e6:.2f} µs", "5 µs", met=added <= 5e-6)

    year = due + timedelta(days=365)
    for name, trigger, most in (
        ("every second", IntervalTrigger(every=1, anchor=due), 1e-3),
        ("* * * * * *", CronTrigger(expression="* * * * * *", timezone="Europe/Paris"), 5e-3),
        ("*/5 * * * *", CronTrigger(expression="*/5 * * * *", timezone="Europe/Paris"), 5e-3),
    ):
        for policy in ("fire_once", "skip", "fire_all"):
            rules = Policies(misfire_policy=policy, catchup_window=86_400)  # type: ignore[arg-type]

            def outage(trigger: IntervalTrigger | CronTrigger = trigger, rules: Policies = rules) -> None:
                for _ in range(20):
                    decide(trigger, rules, due, last, year)

            took = best(outage, 20)
            report.add(
                f"decide, a year away, {name}, {policy}", f"{took * 1e6:.0f} µs", f"{most * 1e3:.0f} ms",
                met=took <= most,
            )  # fmt: skip


def main() -> int:
    """Run all and give the exit status."""
    print(f"Python {platform.python_version()}, {platform.machine()}; best of {ROUNDS} rounds")
    assert len(EXPRESSIONS) == len(set(EXPRESSIONS)) == 100
    report = Report()
    one = intervals(report)
    expressions(report)
    decisions(report, one)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
