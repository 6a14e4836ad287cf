"""The ledger: one row for every slot, and the questions that it answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from pytest_django import DjangoAssertNumQueries

from schedules.models import Run, Schedule, Statistics
from schedules.models.statistics import measure_here, percentile

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="news", func="tests.shop.jobs.sync_orders", interval=60)


def add(schedule: Schedule | None, slot: datetime = NOW, **fields: Any) -> Run:
    return Run.objects.create(schedule=schedule, schedule_name="news", scheduled_for=slot, **fields)


def test_statuses_and_triggers_are_stored_as_the_words_of_the_design() -> None:
    def words(field: str) -> list[str]:
        return [value for value, _label in Run._meta.get_field(field).flatchoices]

    assert words("status") == [
        "queued",
        "running",
        "succeeded",
        "failed",
        "skipped",
        "missed",
        "canceled",
        "abandoned",
    ]
    assert words("trigger") == ["schedule", "manual", "catchup", "retry"]


class TestOnce:
    def test_a_slot_is_in_the_ledger_once_whether_on_time_or_caught_up(self, schedule: Schedule) -> None:
        add(schedule)
        for trigger in ("schedule", "catchup"):
            with pytest.raises(IntegrityError), transaction.atomic():
                add(schedule, trigger=trigger)

    def test_manual_starts_and_other_schedules_use_up_no_slot(self, schedule: Schedule) -> None:
        other = Schedule.objects.create(name="other", func=schedule.func, interval=60)
        for owner, trigger in (
            (schedule, "schedule"),
            (schedule, "manual"),
            (schedule, "manual"),
            (schedule, "retry"),
            (other, "schedule"),
            (None, "schedule"),
            (None, "schedule"),
        ):
            add(owner, trigger=trigger)
        assert Run.objects.count() == 7

    def test_a_job_is_in_the_ledger_once(self, schedule: Schedule) -> None:
        add(schedule, job_id="a_1")
        with pytest.raises(IntegrityError), transaction.atomic():
            add(None, job_id="a_1")
        add(None)
        add(None)

    def test_an_event_that_comes_twice_finds_its_row_by_the_job(self, schedule: Schedule) -> None:
        for status in ("queued", "running", "running"):
            row = Run(schedule=schedule, scheduled_for=NOW, job_id="a_1", status=status)
            Run.objects.bulk_create(
                [row], update_conflicts=True, unique_fields=["job_id"], update_fields=["status"]
            )
        assert [run.status for run in Run.objects.all()] == ["running"]

    @pytest.mark.parametrize("fields", [{"status": "late"}, {"trigger": "cron"}, {"slots": 0}])
    def test_words_and_numbers_that_are_none_of_the_ledgers_are_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            add(None, **fields)


class TestOutliving:
    def test_runs_outlive_their_schedule_and_carry_its_name(self, schedule: Schedule) -> None:
        run = add(schedule)
        schedule.delete()
        run.refresh_from_db()
        assert (run.schedule, run.schedule_name) == (None, "news")

    def test_an_event_of_a_schedule_that_was_just_deleted_breaks_nothing(self, schedule: Schedule) -> None:
        gone = Schedule(pk=schedule.pk, name="news")
        schedule.delete()
        add(gone)
        assert Run.objects.select_related("schedule").get().schedule is None

    def test_a_run_outlives_the_one_that_it_repeats(self, schedule: Schedule) -> None:
        first = add(schedule, status="failed")
        second = add(schedule, trigger="retry", retry_of=first)
        first.delete()
        second.refresh_from_db()
        assert second.retry_of is None


class TestMeasure:
    def test_delay_is_planned_to_started_and_duration_started_to_ended(self) -> None:
        run = Run(scheduled_for=NOW, started_at=NOW + MINUTE, finished_at=NOW + 3 * MINUTE)
        run.measure()
        assert (run.delay, run.duration) == (60.0, 120.0)

    def test_what_has_not_begun_or_ended_is_not_measured(self) -> None:
        run = Run(scheduled_for=NOW, finished_at=NOW)
        run.measure()
        assert (run.delay, run.duration) == (None, None)

    def test_a_retry_keeps_the_delay_of_the_first_attempt(self) -> None:
        run = Run(scheduled_for=NOW, started_at=NOW + MINUTE)
        run.measure()
        run.attempt, run.started_at = 2, NOW + 60 * MINUTE
        run.measure()
        assert run.delay == 60.0


def test_arguments_are_read_back_or_not_kept() -> None:
    assert Run(payload='{"args": [1], "kwargs": {"a": 2}}').arguments == ([1], {"a": 2})
    for payload in ("", '{"args": [1], "kw', "[]", "{}", "null", '{"args": 1, "kwargs": {}}'):
        assert Run(payload=payload).arguments is None


class TestQuestions:
    def test_last_runs_of_a_schedule(self, schedule: Schedule) -> None:
        runs = [add(schedule, NOW + n * MINUTE) for n in range(3)]
        add(None)
        assert list(Run.objects.last_of(schedule)) == runs[::-1]

    def test_failures_since_by_their_end(self, schedule: Schedule) -> None:
        for n, status in enumerate(("failed", "abandoned", "failed", "succeeded", "missed")):
            add(schedule, NOW + n * MINUTE, status=status, finished_at=NOW + n * MINUTE)
        found = [(run.status, run.scheduled_for) for run in Run.objects.failed_since(NOW + MINUTE)]
        assert found == [("failed", NOW + 2 * MINUTE), ("abandoned", NOW + MINUTE)]

    def test_what_is_running_and_what_waits(self, schedule: Schedule) -> None:
        for n, status in enumerate(("running", "queued", "succeeded", "running", "canceled")):
            add(schedule, NOW - n * MINUTE, status=status)
        assert [run.scheduled_for for run in Run.objects.running()] == [NOW - 3 * MINUTE, NOW]
        assert [run.status for run in Run.objects.queued()] == ["queued"]
        assert [run.status for run in Run.objects.open()] == ["running", "queued", "running"]

    def test_slots_missed_between_two_times_with_those_that_one_row_stands_for(
        self, schedule: Schedule
    ) -> None:
        for n in range(5):
            add(schedule, NOW + n * MINUTE, status="missed")
        add(schedule, NOW - MINUTE, status="skipped")
        outage = add(
            schedule,
            NOW - 100 * MINUTE,
            status="missed",
            scheduled_until=NOW + MINUTE / 2,
            slots=101,
        )
        between = Run.objects.missed_between(NOW + MINUTE, NOW + 3 * MINUTE)
        assert [run.scheduled_for for run in between] == [NOW + MINUTE, NOW + 2 * MINUTE]
        assert Run.objects.missed_between(NOW - 50 * MINUTE, NOW).get() == outage
        assert outage in Run.objects.missed_between(NOW, NOW + MINUTE)

    def test_whether_the_ledger_has_a_slot(self, schedule: Schedule) -> None:
        add(schedule, NOW)
        add(schedule, NOW + MINUTE, trigger="manual")
        add(schedule, NOW + 10 * MINUTE, status="missed", scheduled_until=NOW + 20 * MINUTE, slots=11)
        has = [n for n in range(25) if Run.objects.has_slot(schedule, NOW + n * MINUTE)]
        assert has == [0, *range(10, 21)]


class TestStatistics:
    @pytest.fixture
    def busy(self, schedule: Schedule) -> Schedule:
        for n in range(1, 21):
            add(
                schedule,
                NOW + n * MINUTE,
                status="failed" if n % 5 == 0 else "succeeded",
                duration=float(n),
                delay=n / 10,
            )
        add(schedule, NOW + 30 * MINUTE, status="abandoned")
        add(schedule, NOW + 31 * MINUTE, status="missed")
        add(schedule, NOW + 32 * MINUTE, status="running", delay=9.0)
        add(schedule, NOW - MINUTE, status="failed", duration=1000.0, delay=1000.0)
        add(None, NOW + MINUTE, status="failed", duration=1000.0, delay=1000.0)
        return schedule

    def test_rate_and_percentiles_over_a_window_in_one_query(
        self, busy: Schedule, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(1):
            found = Run.objects.statistics(busy, NOW)
        assert (found.runs, found.succeeded, found.failed) == (23, 16, 5)
        assert found.success_rate == pytest.approx(16 / 21)
        assert found.duration_p50 == pytest.approx(10.5)
        assert found.duration_p95 == pytest.approx(19.05)
        assert found.delay_p50 == pytest.approx(1.1)
        assert found.delay_p95 == pytest.approx(2.0)

    def test_both_ways_to_measure_agree(self, busy: Schedule) -> None:
        runs = Run.objects.filter(schedule=busy)
        here, there = measure_here(runs), runs.measured()
        assert (here.runs, here.succeeded, here.failed) == (there.runs, there.succeeded, there.failed)
        for name in ("duration_p50", "duration_p95", "delay_p50", "delay_p95"):
            assert getattr(here, name) == pytest.approx(getattr(there, name))

    def test_nothing_to_measure_is_none_and_not_zero(self, schedule: Schedule) -> None:
        found = Run.objects.statistics(schedule, NOW)
        assert found == Statistics()
        assert found.success_rate is None
        assert found.duration_p50 is None

    def test_percentiles_are_those_of_postgresql(self) -> None:
        assert percentile([], 0.5) is None
        assert percentile([3.0], 0.95) == 3.0
        assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
        assert percentile([1.0, 2.0, 3.0, 4.0], 0.95) == pytest.approx(3.85)
        assert percentile([1.0, 2.0], 1.0) == 2.0


def index_of(question: QuerySet[Any]) -> str:
    """The plan of the database, where it is free to scan the table only if it has no index that serves."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # The table of a test is so small that a scan would always be cheaper.
            # Of a handful of rows any plan is cheap; of millions only an index in the order that is asked for.
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
    return question.explain()


class TestIndexes:
    def test_each_question_is_answered_by_its_index(self, schedule: Schedule) -> None:
        runs = Run.objects
        for question, index in (
            (runs.order_by("-scheduled_for", "-id")[:50], "run_by_slot"),
            (runs.last_of(schedule)[:20], "run_by_schedule"),
            (runs.filter(schedule=schedule, scheduled_for__gte=NOW).order_by(), "run_by_schedule"),
            (runs.failed_since(NOW), "run_failed"),
            (runs.running(), "run_open"),
            (runs.queued(), "run_open"),
            (runs.missed_between(NOW, NOW + MINUTE), "run_missed"),
            (runs.triggered_by("manual").order_by("-scheduled_for", "-id")[:50], "run_rare_trigger"),
        ):
            assert index in index_of(question), index

    def test_statistics_are_read_from_the_index_alone(self, schedule: Schedule) -> None:
        measured = Run.objects.filter(schedule=schedule, scheduled_for__gte=NOW).order_by()
        plan = index_of(measured.values_list("id", "status", "duration", "delay"))
        assert ("COVERING INDEX" if connection.vendor == "sqlite" else "Index Only Scan") in plan

    def test_pages_need_no_sorting(self, schedule: Schedule) -> None:
        for question in (
            Run.objects.order_by("-scheduled_for", "-id")[:50],
            Run.objects.last_of(schedule)[:20],
            Run.objects.failed_since(NOW)[:20],
        ):
            plan = index_of(question)
            assert "Sort" not in plan
            assert "TEMP B-TREE" not in plan
