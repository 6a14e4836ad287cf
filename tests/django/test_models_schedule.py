"""The row of a schedule: what is stored, what it answers, what the engine is told."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from schedules.environment import IntervalOverrideError
from schedules.models import Kind, Schedule
from schedules.spec import digest
from schedules.timing import CronTrigger, IntervalTrigger, OnceTrigger

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FUNC = "tests.shop.jobs.sync_orders"


def make(**fields: object) -> Schedule:
    defaults: dict[str, object] = {"name": "news", "func": FUNC, "kind": "interval", "interval": 60}
    return Schedule(**{**defaults, "created_at": NOW, **fields})


def test_choices_are_stored_as_the_words_of_the_design() -> None:
    def words(field: str) -> list[str]:
        return [value for value, _label in Schedule._meta.get_field(field).flatchoices]

    assert words("kind") == ["interval", "cron", "once"]
    assert words("misfire_policy") == ["fire_once", "skip", "fire_all"]
    assert words("overlap_policy") == ["skip", "buffer_one", "buffer_all", "terminate_other", "allow_all"]


def test_a_new_row_has_the_defaults_of_the_design(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    schedule = Schedule()
    assert isinstance(schedule.pk, uuid.UUID)
    assert schedule.pk.version == 4
    assert (schedule.args, schedule.kwargs, schedule.tags) == ([], {}, [])
    assert (schedule.timezone, schedule.queue, schedule.enabled) == ("Europe/Paris", "default", True)
    assert (schedule.misfire_policy, schedule.overlap_policy) == ("fire_once", "skip")
    assert (schedule.failure_threshold, schedule.grace, schedule.version) == (1, None, 1)


class TestSpec:
    def test_an_interval_is_anchored_at_the_first_save(self) -> None:
        assert make().to_spec().plan.trigger == IntervalTrigger(every=60, anchor=NOW)

    def test_an_interval_is_anchored_at_its_start_where_it_has_one(self) -> None:
        start, end = NOW + timedelta(hours=1), NOW + timedelta(days=1)
        trigger = make(starts_at=start, ends_at=end).to_spec().plan.trigger
        assert trigger == IntervalTrigger(every=60, anchor=start, starts_at=start, ends_at=end)

    def test_cron_is_read_in_the_zone_of_the_schedule(self) -> None:
        schedule = make(kind="cron", interval=None, cron="0 7 * * 1-5", timezone="Europe/Paris")
        assert schedule.to_spec().plan.trigger == CronTrigger(
            expression="0 7 * * 1-5", timezone="Europe/Paris"
        )

    def test_once_is_its_moment(self) -> None:
        schedule = make(kind="once", interval=None, run_at=NOW)
        assert schedule.to_spec().plan.trigger == OnceTrigger(at=NOW)

    def test_everything_the_engine_needs_is_in_it(self, settings: Settings) -> None:
        settings.SCHEDULES_MISFIRE_THRESHOLD = 7
        settings.SCHEDULES_MAX_CATCHUP = 8
        schedule = make(
            args=[1, "two"],
            kwargs={"full": True},
            description="Pull orders.",
            queue="low",
            timeout=90,
            result_ttl=-1,
            jitter=5,
            max_runs=3,
            misfire_policy="fire_all",
            catchup_window=600,
            overlap_policy="buffer_one",
            retry_max=3,
            retry_min_backoff=10,
            retry_max_backoff=25,
        )
        spec = schedule.to_spec()
        assert (spec.id, spec.name, spec.func) == (str(schedule.pk), "news", FUNC)
        assert (spec.args, spec.kwargs, spec.description) == ((1, "two"), {"full": True}, "Pull orders.")
        assert (spec.timeout, spec.result_ttl, spec.source) == (90, -1, "row")
        assert (spec.retry_max, spec.retry_intervals) == (3, (10, 20, 25))
        plan = spec.plan
        assert (plan.queue, plan.jitter, plan.max_runs) == ("low", 5, 3)
        assert (plan.overlap_policy, plan.policies.misfire_policy) == ("buffer_one", "fire_all")
        assert (plan.policies.catchup_window, plan.policies.misfire_threshold) == (600, 7)
        assert plan.policies.max_catchup == 8
        assert type(plan.overlap_policy) is str

    @pytest.mark.django_db
    def test_a_row_gives_the_same_spec_before_and_after_it_is_saved(self) -> None:
        schedule = make(
            args=["é", 1], kwargs={"b": 1, "a": [None]}, created_at=NOW.replace(microsecond=123456)
        )
        before = digest(schedule.to_spec())
        schedule.save()
        assert digest(Schedule.objects.get().to_spec()) == before

    @pytest.mark.django_db
    def test_the_keepers_notes_and_other_fields_that_are_not_the_engines_leave_it_alone(self) -> None:
        schedule = make()
        schedule.save()
        before = digest(schedule.to_spec())
        Schedule.objects.update(
            next_run_at=NOW,
            last_run_at=NOW,
            last_status="failed",
            failures_in_a_row=3,
            alarm="failing",
            alarm_at=NOW,
            tags=["a"],
            grace=5,
            keep_days=1,
            notify_email="ops@example.com",
            version=2,
        )
        assert digest(Schedule.objects.get().to_spec()) == before

    def test_a_schedule_without_slots_has_no_spec_and_says_why(self) -> None:
        with pytest.raises(ValueError, match=r"'news' has no slots\. The interval is 0"):
            make(interval=0).to_spec()

    def test_a_pause_goes_into_the_plan(self) -> None:
        schedule = make()
        schedule.pause(at=NOW, until=NOW + timedelta(hours=1))
        assert schedule.to_spec().plan.paused_until == NOW + timedelta(hours=1)

    def test_slots_of_a_pause_that_was_ended_are_not_made_up_for(self) -> None:
        schedule = make()
        schedule.pause(at=NOW, reason="tax rates")
        schedule.resume(at=NOW + timedelta(days=2))
        assert schedule.to_spec().plan.paused_until == NOW + timedelta(days=2)
        assert (schedule.paused_at, schedule.paused_until, schedule.pause_reason) == (None, None, "")

    def test_resuming_what_is_not_paused_changes_nothing(self) -> None:
        schedule = make()
        before = schedule.to_spec()
        schedule.resume(at=NOW)
        assert schedule.to_spec() == before


class TestNotScheduled:
    @pytest.mark.parametrize("interval, reason", [(0, "is 0"), (-5, "is -5"), (None, "is empty")])
    def test_an_interval_of_zero_or_less_or_none(self, interval: int | None, reason: str) -> None:
        schedule = make(interval=interval)
        assert not schedule.is_scheduled
        assert not schedule.wanted
        assert reason in schedule.not_scheduled_because

    @pytest.mark.parametrize("kind", [Kind.CRON, Kind.ONCE])
    def test_a_trigger_without_its_field(self, kind: str) -> None:
        assert not make(kind=kind, interval=None).is_scheduled

    def test_the_environment_overrides_the_interval(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "15")
        for interval in (60, 0, None):
            schedule = make(name="breaking-news", interval=interval)
            assert schedule.wanted
            assert schedule.to_spec().plan.trigger == IntervalTrigger(every=15, anchor=NOW)

    @pytest.mark.parametrize("kind", ["interval", "cron", "once"])
    def test_a_negative_variable_switches_any_kind_off(
        self, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        schedule = make(kind=kind, cron="0 7 * * *", run_at=NOW)
        assert schedule.wanted
        monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", "-1")
        assert not schedule.wanted
        assert schedule.not_scheduled_because.startswith("SCHEDULE_NEWS_INTERVAL is -1")

    def test_a_positive_variable_does_not_make_a_cron_schedule_an_interval(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", "15")
        schedule = make(kind="cron", interval=None, cron="0 7 * * *", timezone="UTC")
        assert schedule.to_spec().plan.trigger == CronTrigger(expression="0 7 * * *")

    def test_a_variable_that_cannot_be_read_is_an_error_and_takes_no_schedule_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", "often")
        assert make().wanted
        with pytest.raises(IntervalOverrideError, match="SCHEDULE_NEWS_INTERVAL is 'often'"):
            make().to_spec()


class TestWanted:
    def test_the_intent_the_pause_and_the_moment_decide(self) -> None:
        hour = timedelta(hours=1)
        open_ended, until = make(), make()
        open_ended.pause(at=NOW)
        until.pause(at=NOW, until=NOW + hour)
        for schedule, wanted, active, active_later in (
            (make(), True, True, True),
            (make(enabled=False), False, False, False),
            (make(interval=-1), False, False, False),
            (open_ended, False, False, False),
            (until, True, False, True),
        ):
            assert schedule.wanted is wanted
            assert schedule.is_active(NOW) is active
            assert schedule.is_active(NOW + hour) is active_later

    @pytest.mark.django_db
    def test_querysets_ask_the_same(self) -> None:
        rows = {name: make(name=name) for name in ("on", "off", "paused", "until", "over")}
        rows["off"].enabled = False
        rows["paused"].pause(at=NOW)
        rows["until"].pause(at=NOW, until=NOW + timedelta(hours=1))
        rows["over"].pause(at=NOW, until=NOW)
        Schedule.objects.bulk_create(rows.values())
        assert {row.name for row in Schedule.objects.wanted()} == {n for n, row in rows.items() if row.wanted}
        assert {row.name for row in Schedule.objects.paused(NOW)} == {
            name for name, row in rows.items() if row.is_paused(NOW)
        }

    @pytest.mark.django_db
    def test_a_tag_is_found_whole(self) -> None:
        make(name="a", tags=["shop", 'a"b']).save()
        make(name="b", tags=["workshop", "Größe"]).save()
        assert [row.name for row in Schedule.objects.tagged("shop")] == ["a"]
        assert [row.name for row in Schedule.objects.tagged("Größe")] == ["b"]
        assert [row.name for row in Schedule.objects.tagged('a"b')] == ["a"]
        assert not Schedule.objects.tagged("hop").exists()
        assert not Schedule.objects.tagged("Shop").exists()
        assert not Schedule.objects.tagged("%").exists()


@pytest.mark.django_db
class TestDatabase:
    @pytest.mark.parametrize(
        "fields",
        [
            {"kind": "weekly"},
            {"kind": "cron"},
            {"kind": "cron", "cron": ""},
            {"kind": "once"},
            {"misfire_policy": "later"},
            {"overlap_policy": "maybe"},
            {"starts_at": NOW, "ends_at": NOW},
            {"timeout": 0},
            {"timeout": -2},
            {"max_runs": 0},
            {"result_ttl": -2},
            {"jitter": -1},
            {"catchup_window": -1},
            {"retry_max": -1},
            {"retry_min_backoff": -1},
            {"retry_min_backoff": 10, "retry_max_backoff": 9},
            {"grace": 0},
            {"failure_threshold": 0},
            {"keep_days": 0},
            {"keep_runs": 0},
        ],
    )
    def test_the_database_refuses_it_from_a_hand_that_goes_past_the_validation(
        self, fields: dict[str, object]
    ) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            make(**fields).save()
        make().save()
        with pytest.raises(IntegrityError), transaction.atomic():
            Schedule.objects.update(**fields)

    def test_names_are_unique(self) -> None:
        make().save()
        with pytest.raises(IntegrityError):
            make().save()

    def test_a_row_that_is_not_scheduled_can_be_saved(self) -> None:
        for interval in (0, -5, None):
            make(name=f"every {interval}", interval=interval).save()
        assert Schedule.objects.count() == 3

    def test_a_row_made_with_what_issue_two_names_is_whole(self) -> None:
        schedule = Schedule.objects.create(name="n", func=FUNC, kind="cron", cron="* * * * *")
        assert Schedule.objects.get().to_spec() == replace(schedule.to_spec())
