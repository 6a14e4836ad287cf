"""`manage.py runs` and `run_schedule`: what they print, and how they exit."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.core.management import CommandError, call_command
from django.utils import timezone as clock

from schedules.engine import keys
from schedules.keeper import Keeper
from schedules.keeper.listing import Filter, Follower, ListingError, as_line, read_since, read_statuses
from schedules.keeper.starting import run_again, run_schedule
from schedules.models import Run, Schedule
from schedules.services import InvalidCallError
from schedules.services.connection import forget_connections
from tests.support.ledger import read_events

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _service(redis: redis_py.Redis) -> None:
    forget_connections()


def make_schedule(**changes: Any) -> Schedule:
    fields = {
        "name": "nightly",
        "func": "scheduler_project.jobs.greet",
        "interval": 60,
        "args": ["you"],
    } | changes
    return Schedule.objects.bulk_create([Schedule(**fields)])[0]


def make_run(schedule: Schedule | None = None, **changes: Any) -> Run:
    fields = {
        "schedule": schedule,
        "schedule_name": schedule.name if schedule else "",
        "scheduled_for": clock.now() - timedelta(minutes=5),
        "status": "succeeded",
        "job_id": f"job-{Run.objects.count()}",
    } | changes
    return Run.objects.create(**fields)


def runs(*options: str) -> str:
    out = io.StringIO()
    call_command("runs", *options, stdout=out)
    return out.getvalue()


def test_the_newest_runs_are_listed_oldest_first() -> None:
    for number in range(5):
        make_run(scheduled_for=NOW + timedelta(minutes=number), schedule_name=f"run {number}")
    lines = runs("--limit", "3").splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["run 2", "run 3", "run 4"]


def test_runs_are_chosen_by_schedule_status_and_time() -> None:
    nightly, other = make_schedule(), make_schedule(name="other")
    make_run(nightly, status="failed", reason="wanted")
    make_run(nightly, status="failed", scheduled_for=clock.now() - timedelta(days=3))
    make_run(nightly)
    make_run(other, status="failed")
    (line,) = runs("--schedule", "nightly", "--status", "failed,abandoned", "--since", "1d").splitlines()
    assert line.endswith("nightly  wanted")
    assert runs("--schedule", str(other.pk)).count("\n") == 1


def test_the_runs_of_a_deleted_schedule_are_found_by_its_name() -> None:
    make_run(schedule_name="gone")
    make_run(schedule_name="another")
    assert runs("--schedule", "gone").count("\n") == 1


def test_json_is_one_object_a_line() -> None:
    make_run(make_schedule(), status="failed", exception="ValueError: no")
    (line,) = runs("--json").splitlines()
    run = json.loads(line)
    assert (run["schedule_name"], run["status"], run["exception"]) == ("nightly", "failed", "ValueError: no")
    assert datetime.fromisoformat(run["scheduled_for"]).tzinfo is not None


def test_fail_exits_with_1_when_there_are_failures_and_only_then() -> None:
    make_run()
    runs("--fail")
    make_run(status="abandoned")
    with pytest.raises(SystemExit) as ended:
        runs("--fail")
    assert ended.value.code == 1
    runs("--fail", "--status", "succeeded")


@pytest.mark.parametrize("option", [("--status", "broken"), ("--since", "yesterday"), ("--limit", "0")])
def test_what_cannot_be_read_is_named_with_what_is_allowed(option: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=rf"{option[0]} is .*{option[1]}.*: allowed"):
        runs(*option)


def test_spans_and_moments_are_read() -> None:
    assert read_since("90s", now=NOW) == NOW - timedelta(seconds=90)
    assert read_since("2w", now=NOW) == NOW - timedelta(days=14)
    assert read_since("2026-03-01", now=NOW) == datetime(2026, 3, 1, tzinfo=UTC)
    assert read_statuses(["failed, missed", "skipped"]) == ("failed", "missed", "skipped")
    with pytest.raises(ListingError):
        read_since("1y")


def test_following_tells_of_new_runs_and_of_changes_once() -> None:
    first = make_run(status="queued")
    follower = Follower(Filter(), seen=[first])
    assert list(follower.changes()) == []
    second = make_run(status="running")
    assert [run.pk for run in follower.changes()] == [second.pk]
    Run.objects.filter(pk=first.pk).update(status="succeeded")
    assert [(run.pk, run.status) for run in follower.changes()] == [(first.pk, "succeeded")]
    assert list(follower.changes()) == []


def test_a_line_is_cut_to_the_terminal_and_stays_one_line() -> None:
    run = make_run(make_schedule(), reason="first\nsecond " * 20, status="failed")
    assert "\n" not in as_line(run)
    assert len(as_line(run, width=60)) == 60


def test_a_run_by_hand_works_for_a_schedule_without_slots(redis: redis_py.Redis) -> None:
    schedule = make_schedule(interval=0, enabled=False, queue="low")
    job = run_schedule(schedule, started_by="ada")
    assert redis.lrange("rq:queue:low", 0, -1) == [job.id.encode()]
    (event,) = read_events(redis)
    assert (event["e"], event["t"], event["by"], event["q"]) == ("queued", "manual", "ada", "low")
    Keeper(redis).run_once()
    run = Run.objects.get()
    assert (run.schedule, run.trigger, run.started_by) == (schedule, "manual", "ada")
    assert Schedule.objects.get().runs_dispatched == 0
    assert Schedule.objects.get().last_slot_at is None
    assert redis.zcard(keys.SCHEDULED) == 0


def test_a_run_again_has_the_arguments_of_the_first_and_is_linked(redis: redis_py.Redis) -> None:
    schedule = make_schedule(args=["first"])
    keeper = Keeper(redis)
    job = run_schedule(schedule)
    keeper.run_once()
    first = Run.objects.get()
    Schedule.objects.update(args=["second"])
    again = run_again(first, started_by="ada")
    assert again.args == ("first",)
    keeper.run_once()
    second = Run.objects.get(job_id=again.id)
    assert (second.trigger, second.retry_of, second.started_by) == ("retry", first, "ada")
    redis.delete(f"rq:job:{job.id}")  # as after its time in Redis
    assert run_again(first).args == ("first",)


def test_a_run_of_code_is_run_again_while_redis_has_it(redis: redis_py.Redis) -> None:
    from schedules.services import SchedulerService

    job = SchedulerService.schedule_job(func="scheduler_project.jobs.greet", args=("you",))
    keeper = Keeper(redis)
    keeper.run_once()
    run = Run.objects.get()
    assert (run.status, run.func, run.trigger) == ("queued", "scheduler_project.jobs.greet", "manual")
    assert run_again(run).args == ("you",)
    redis.delete(f"rq:job:{job.id}")
    with pytest.raises(InvalidCallError, match="cannot be repeated"):
        run_again(run)


def test_run_schedule_says_where_it_waits_and_names_what_is_unknown() -> None:
    make_schedule()
    out = io.StringIO()
    call_command("run_schedule", "nightly", stdout=out)
    assert out.getvalue().startswith("nightly waits in queue default as job ")
    with pytest.raises(CommandError, match="There is no schedule 'weekly'"):
        call_command("run_schedule", "weekly")
