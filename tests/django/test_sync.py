"""Rows and Redis: what is saved is scheduled, what is rolled back leaves no trace, what is equal is not touched."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import redis as redis_py
from django.core.management import CommandError, call_command
from django.db import transaction

from schedules.engine import keys
from schedules.models import Schedule
from schedules.services import SchedulerService
from schedules.services.connection import forget_connections
from schedules.sync import Synchronizer, is_in_sync
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)

ID = UUID("cc1dface-9213-4eed-8cb2-0edba6b2159c")


@pytest.fixture(autouse=True)
def _redis(redis: redis_py.Redis) -> redis_py.Redis:
    forget_connections()
    return redis


def make(**changes: Any) -> Schedule:
    """Return an unsaved interval schedule."""
    fields = {
        "name": "nightly",
        "func": "scheduler_project.jobs.greet",
        "kind": "interval",
        "interval": 60,
        "args": ["you"],
    }
    return Schedule(**(fields | changes))


def sync(*options: str) -> str:
    out = io.StringIO()
    call_command("sync_schedules", *options, stdout=out)
    return out.getvalue()


def test_a_saved_row_is_scheduled_from_its_anchor() -> None:
    row = make()
    row.save()
    due = SchedulerService.next_run(row.pk)
    assert due == row.created_at.replace(microsecond=0) + timedelta(seconds=60)


def test_a_changed_row_follows_and_a_disabled_or_deleted_one_is_gone() -> None:
    row = make()
    row.save()
    row.interval = 30
    row.save()
    assert SchedulerService.next_run(row.pk) == row.created_at.replace(microsecond=0) + timedelta(seconds=30)
    row.enabled = False
    row.save()
    assert SchedulerService.next_run(row.pk) is None
    row.enabled = True
    row.save()
    assert SchedulerService.next_run(row.pk) is not None
    pk = row.pk
    row.delete()
    assert SchedulerService.next_run(pk) is None


def test_a_rolled_back_transaction_leaves_no_trace(redis: redis_py.Redis) -> None:
    with transaction.atomic():
        make().save()
        transaction.set_rollback(True)
    assert redis.keys("*") == []


@pytest.mark.parametrize("interval", [0, -5])
def test_an_interval_of_zero_or_less_is_saved_and_not_scheduled(interval: int) -> None:
    row = make()
    row.save()
    row.interval = interval
    row.save()
    assert SchedulerService.next_run(row.pk) is None
    assert not row.is_scheduled


def test_a_paused_row_is_taken_out_and_its_resumption_makes_up_for_nothing() -> None:
    row = make()
    row.save()
    now = datetime.now(UTC)
    row.pause(at=now, reason="maintenance")
    row.save()
    assert SchedulerService.next_run(row.pk) is None
    row.resume(at=now)
    row.save()
    due = SchedulerService.next_run(row.pk)
    assert due is not None
    assert due > now


def test_saving_with_redis_away_succeeds_and_takes_effect_when_it_is_back(redis_server: RedisServer) -> None:
    row = make()
    redis_server.stop()
    try:
        row.save()
        assert is_in_sync(row) is None
    finally:
        redis_server.start()
    assert is_in_sync(row) is False
    assert Synchronizer().reconcile().added == [str(row.pk)]
    assert is_in_sync(row) is True


def test_when_a_row_is_due_next_is_noted_for_the_lists() -> None:
    row = make()
    row.save()
    row.refresh_from_db()
    assert row.next_run_at == SchedulerService.next_run(row.pk)
    row.enabled = False
    row.save()
    row.refresh_from_db()
    assert row.next_run_at is None
    Schedule.objects.filter(pk=row.pk).update(enabled=True)
    sync()
    row.refresh_from_db()
    assert row.next_run_at == SchedulerService.next_run(row.pk)


def test_sync_adds_changes_removes_and_keeps() -> None:
    kept, changed, removed = make(name="kept"), make(name="changed"), make(name="removed")
    for row in (kept, changed, removed):
        row.save()
    # Behind the signals' back, as raw SQL would.
    Schedule.objects.filter(pk=changed.pk).update(interval=7)
    Schedule.objects.filter(pk=removed.pk).delete()
    Schedule.objects.bulk_create([make(name="new")])
    SchedulerService.unregister([str(removed.pk)])
    removed.save(force_insert=True)
    Schedule.objects.filter(pk=removed.pk)._raw_delete("default")
    assert sync("--dry-run").splitlines() == [
        "would be added: new",
        "would be changed: changed",
        f"would be removed: {removed.pk}",
        "1 added, 1 changed, 1 removed, 1 kept",
    ]
    with pytest.raises(SystemExit) as exit_info:
        sync("--check")
    assert exit_info.value.code == 1
    assert sync().splitlines()[-1] == "1 added, 1 changed, 1 removed, 1 kept"
    assert sync("--check") == "0 added, 0 changed, 0 removed, 3 kept\n"


def test_sync_never_touches_what_rows_did_not_put_there(redis: redis_py.Redis) -> None:
    SchedulerService.schedule_periodic(id=ID, interval=60, func="tests.support.jobs.add", args=(1,))
    job = SchedulerService.schedule_at(
        execution_time=datetime.now(UTC) + timedelta(hours=1), func="tests.support.jobs.add", args=(1,)
    )
    assert sync() == "0 added, 0 changed, 0 removed, 0 kept\n"
    assert redis.zcard(keys.SCHEDULED) == 2
    assert SchedulerService.next_run(ID) is not None
    assert redis.exists(job.key)


def test_sync_does_not_push_an_unchanged_schedule_later() -> None:
    row = make()
    row.save()
    before = SchedulerService.next_run(row.pk)
    sync()
    row.save()
    assert SchedulerService.next_run(row.pk) == before


def test_one_bad_row_does_not_keep_the_others_from_being_synced() -> None:
    good, bad = make(name="good"), make(name="bad", kind="cron", interval=None, cron="0 4 * * *")
    Schedule.objects.bulk_create([good, bad])
    Schedule.objects.filter(pk=bad.pk).update(cron="99 * * * *")
    with pytest.raises(CommandError, match=r"bad: .*99"):
        sync()
    assert SchedulerService.next_run(good.pk) is not None


def test_a_function_that_may_not_be_scheduled_is_refused_at_sync_too() -> None:
    row = make()
    row.save()
    Schedule.objects.filter(pk=row.pk).update(func="os.system", args=["true"])
    with pytest.raises(CommandError, match=r"nightly: .*os\.system"):
        sync()
    assert SchedulerService.next_run(row.pk) is None


def test_the_environment_overrides_the_interval_at_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    row = make(name="breaking-news")
    row.save()
    monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "13")
    assert sync().startswith("changed: breaking-news")
    assert SchedulerService.next_run(row.pk) == row.created_at.replace(microsecond=0) + timedelta(seconds=13)
    monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "-1")
    sync()
    assert SchedulerService.next_run(row.pk) is None
    monkeypatch.setenv("SCHEDULE_BREAKING_NEWS_INTERVAL", "often")
    with pytest.raises(CommandError, match=r"SCHEDULE_BREAKING_NEWS_INTERVAL is 'often'"):
        sync()


def test_a_flush_is_healed_and_a_settled_slot_is_not_run_again(redis: redis_py.Redis) -> None:
    row = make(starts_at=datetime.now(UTC) - timedelta(hours=1))
    row.save()
    settled = datetime.now(UTC).replace(microsecond=0)
    Schedule.objects.filter(pk=row.pk).update(last_slot_at=settled, runs_dispatched=3)
    redis.flushall()
    Synchronizer().reconcile()
    due = SchedulerService.next_run(row.pk)
    assert due is not None
    assert due > settled


def test_what_is_kept_costs_no_new_specs(django_assert_num_queries: Any) -> None:
    Schedule.objects.bulk_create([make(name=f"schedule {n}") for n in range(600)])
    synchronizer = Synchronizer()
    synchronizer.reconcile()
    synchronizer.compare()
    with django_assert_num_queries(1):
        assert synchronizer.compare().kept == 600


def test_what_is_changed_between_comparing_and_applying_is_taken_as_it_is_then() -> None:
    edited, disabled, same, gone = (make(name=name) for name in ("edited", "disabled", "same", "gone"))
    Schedule.objects.bulk_create([edited, disabled, same, gone])
    synchronizer = Synchronizer()
    difference = synchronizer.compare()
    edited.interval, disabled.enabled = 90, False
    Schedule.objects.bulk_update([edited, disabled], ["interval", "enabled"])
    later = datetime.now(UTC) + timedelta(seconds=1)
    Schedule.objects.filter(pk__in=[edited.pk, disabled.pk]).update(updated_at=later)
    Schedule.objects.filter(pk=gone.pk).delete()
    assert str(same.pk) in synchronizer.apply(difference).added
    assert (is_in_sync(edited), is_in_sync(disabled), is_in_sync(same)) == (True, True, True)
    assert SchedulerService.next_run(disabled.pk) is None
    assert SchedulerService.next_run(gone.pk) is None


@pytest.mark.parametrize("how", ["saved", "deleted"])
def test_a_row_that_is_saved_or_deleted_while_others_are_applied_is_not_set_back(how: str) -> None:
    row = make(name="row")
    row.save()
    SchedulerService.unregister([str(row.pk)], source="row")
    synchronizer = Synchronizer()
    difference = synchronizer.compare()
    assert difference.added == [str(row.pk)]
    if how == "saved":
        row.interval = 77
        row.save()
    else:
        row.delete()
    synchronizer.apply(difference)
    if how == "saved":
        assert is_in_sync(row)
    else:
        assert SchedulerService.next_run(difference.added[0]) is None


@pytest.mark.parametrize("part", ["plan", "state", "template", "job", "score", "index"])
def test_a_part_of_an_entry_that_is_gone_is_found_among_many_and_healed(
    redis: redis_py.Redis, part: str
) -> None:
    rows = [make(name=f"schedule {n}") for n in range(30)]
    Schedule.objects.bulk_create(rows)
    synchronizer = Synchronizer()
    synchronizer.reconcile()
    key = str(rows[7].pk)
    if part == "score":
        redis.zrem(keys.SCHEDULED, key)
    elif part == "index":
        redis.hdel(keys.INDEX, key)
    else:
        redis.delete(getattr(keys, part)(key))
    assert is_in_sync(rows[7]) is False
    healed = synchronizer.reconcile()
    assert [*healed.added, *healed.changed] == [key]
    assert is_in_sync(rows[7]) is True
    assert synchronizer.compare().is_empty


def test_comparing_many_takes_a_handful_of_commands(redis: redis_py.Redis) -> None:
    Schedule.objects.bulk_create([make(name=f"schedule {n}") for n in range(1200)])
    synchronizer = Synchronizer()
    synchronizer.reconcile()
    before = redis.info("stats")["total_commands_processed"]
    assert synchronizer.compare().kept == 1200
    assert redis.info("stats")["total_commands_processed"] - before - 1 <= 3


@pytest.fixture(autouse=True)
def _reconnect_afterwards() -> Iterator[None]:
    yield
    forget_connections()
