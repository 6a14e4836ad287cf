"""S100 to S111: each is found when it is so, and not otherwise; what is unknown is never a finding."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.core.checks import run_checks
from django.db import OperationalError
from django.db.models import QuerySet
from django.template import Context, Template
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings
from redis.connection import AbstractConnection as Connection

from schedules.engine import Scheduler, keys, presence
from schedules.engine.presence import Presence
from schedules.health import Facts, Finding, Level, findings, gather, summary
from schedules.health.facts import DatabaseFacts, LateRun
from schedules.health.redis_facts import QueueFacts, RedisFacts, WorkerFacts
from schedules.models import Run, Schedule
from schedules.sync import Synchronizer
from tests.support.redis_server import RedisServer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FUNC = "tests.shop.jobs.sync_orders"


def a_scheduler(**changes: Any) -> Presence:
    fields: dict[str, Any] = {
        "name": "a", "host": "web-1", "pid": 1, "at": NOW.timestamp() - 4, "skew": 0.01, "zone_data": "2026a",
    }  # fmt: skip
    return Presence(**fields | changes)


def a_worker(**changes: Any) -> WorkerFacts:
    fields: dict[str, Any] = {
        "name": "w", "host": "worker-3", "queues": ("default",), "is_busy": False, "seen_at": NOW,
    }  # fmt: skip
    return WorkerFacts(**fields | changes)


def facts(
    *, redis: dict[str, Any] | None = None, database: dict[str, Any] | None = None, **changes: Any
) -> Facts:
    """Facts of an installation in which all is well, with changes."""
    well: dict[str, Any] = {
        "address": "127.0.0.1:6379",
        "latency": 0.0003,
        "now": NOW,
        "schedulers": (a_scheduler(),),
        "workers": (a_worker(),),
        "queues": {"default": QueueFacts(length=0, oldest=None), "low": QueueFacts(length=0, oldest=None)},
        "registered": 2,
        "keeps_on_disk": True,
    }
    rows: dict[str, Any] = {"schedules": 2, "active": 2, "wanted": 2, "queues": {"default": 2}}
    return Facts(
        now=NOW,
        redis=RedisFacts(**well | (redis or {})),
        database=DatabaseFacts(**rows | (database or {})),
        zone_data="2026a",
        **changes,
    )


def found(**changes: Any) -> list[Finding]:
    return findings(facts(**changes))


def only(**changes: Any) -> Finding:
    (finding,) = found(**changes)
    return finding


class TestFindings:
    def test_nothing_is_found_where_all_is_well(self) -> None:
        assert found() == []

    def test_s100_the_database_is_away(self) -> None:
        finding = only(database={"problem": "connection refused", "wanted": 99, "queues": {}})
        assert (finding.code, finding.level, finding.is_wrong) == ("S100", Level.ERROR, True)

    def test_s101_redis_is_away_and_nothing_else_is_claimed(self) -> None:
        away = RedisFacts(address="cache:6379", problem="refused", last_contact=NOW - timedelta(minutes=3))
        (finding,) = findings(replace(facts(), redis=away))
        assert (finding.code, finding.level, finding.is_wrong) == ("S101", Level.ERROR, True)
        assert "cache:6379 (refused)" in finding.text
        assert "Last contact 3 minutes ago." in finding.text

    def test_s102_no_scheduler_names_the_last_one_and_the_command(self) -> None:
        silent = a_scheduler(at=NOW.timestamp() - 190)
        finding = only(redis={"schedulers": (silent,)})
        assert (finding.code, finding.command) == ("S102", "python manage.py rqscheduler")
        assert "for 3 minutes (last: web-1)" in finding.text
        assert only(redis={"schedulers": ()}).text.startswith("No scheduler is running.")
        assert only(redis={"schedulers": (a_scheduler(has_stopped=True),)}).code == "S102"

    def test_s103_a_queue_in_use_without_a_worker(self) -> None:
        waiting = QueueFacts(length=23, oldest=NOW - timedelta(minutes=12))
        finding = only(
            redis={"queues": {"default": QueueFacts(length=0, oldest=None), "low": waiting}},
            database={"queues": {"default": 1, "low": 4}},
        )
        assert (finding.code, finding.command) == ("S103", "python manage.py rqworker low")
        assert "4 schedules send there" in finding.text
        assert "23 jobs wait. The oldest was due 12 minutes ago." in finding.text

    def test_s103_is_silent_on_queues_of_another_redis_and_on_unused_ones(self) -> None:
        assert found(database={"queues": {"default": 1, "elsewhere": 1}}) == []

    def test_s104_counts_what_redis_lacks_but_not_what_cannot_run(self) -> None:
        assert "Redis lacks 3 schedules" in only(database={"wanted": 5}).text
        broken = {"a.b": ("a.b does not exist.", 3)}
        assert [finding.code for finding in found(database={"wanted": 5}, broken=broken)] == ["S105"]

    def test_s104_leaves_out_what_the_environment_switches_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCHEDULE_NEWS_INTERVAL", "0")
        monkeypatch.setenv("SCHEDULE_MAIL_INTERVAL", "60")
        assert found(database={"wanted": 3}) == []

    def test_s105_names_the_function_and_how_many_are_affected(self) -> None:
        finding = only(broken={"shop.jobs.gone": ("shop.jobs.gone does not exist.", 2)})
        assert (finding.code, finding.is_wrong) == ("S105", True)
        assert "2 schedules are affected" in finding.text

    def test_s106_a_slot_that_is_not_dispatched_or_has_not_started(self) -> None:
        finding = only(
            redis={"overdue": (("id", NOW - timedelta(hours=1)),)}, overdue_names={"id": "nightly"}
        )
        assert (finding.code, finding.is_wrong) == ("S106", False)
        assert "nightly was due at 1 Mar 11:00 UTC" in finding.text
        late = LateRun(name="mail", scheduled_for=NOW - timedelta(minutes=9), queue="low")
        assert "No worker listens on its queue." in only(database={"late": (late,)}).text
        crowd = {"default": QueueFacts(length=40, oldest=None)}
        late = replace(late, queue="default")
        assert "40 jobs wait in its queue." in only(database={"late": (late,)}, redis={"queues": crowd}).text

    def test_s107_two_schedulers_are_fine(self) -> None:
        both = (a_scheduler(), a_scheduler(name="b", host="web-2"))
        assert (only(redis={"schedulers": both}).code, only(redis={"schedulers": both}).level) == (
            "S107",
            Level.INFO,
        )

    def test_s108_a_clock_that_is_wrong(self) -> None:
        assert "web-1 is 47 s behind" in only(redis={"schedulers": (a_scheduler(skew=-47.2),)}).text
        ahead = a_worker(seen_at=NOW + timedelta(seconds=47))
        assert "worker-3 is 47 s ahead" in only(redis={"workers": (ahead,)}).text

    def test_s109_a_redis_that_can_lose_data(self) -> None:
        assert "allkeys-lru" in only(redis={"may_evict": "allkeys-lru"}).text
        assert "nothing on disk" in only(redis={"keeps_on_disk": False}).text
        assert found(redis={"keeps_on_disk": None}) == []

    def test_s110_everything_is_paused(self) -> None:
        finding = only(
            database={"active": 0, "paused": 2, "queues": {}},
            pause=("DB maintenance", NOW, NOW + timedelta(hours=3)),
        )
        assert finding.code == "S110"
        assert finding.text == (
            "All schedules are paused since 1 Mar 12:00 UTC. Reason: “DB maintenance”. "
            "They go on at 1 Mar 15:00 UTC."
        )

    def test_s111_time_zone_rules_that_differ(self) -> None:
        assert (
            "(2025b) and of this process (2026a)"
            in only(redis={"schedulers": (a_scheduler(zone_data="2025b"),)}).text
        )

    def test_the_worst_comes_first(self) -> None:
        levels = [finding.level for finding in found(redis={"schedulers": (), "may_evict": "volatile-lru"})]
        assert levels == [Level.ERROR, Level.WARNING]


def test_what_is_unknown_is_shown_as_unknown() -> None:
    away = replace(facts(), redis=RedisFacts(address="x", problem="refused"))
    parts = summary(away, findings(away))
    assert [part.level for part in parts] == ["error", "unknown", "unknown", "unknown"]
    assert [part.level for part in summary(facts(), [])] == ["ok"] * 4


# --- Gathered from a real Redis -------------------------------------------------------------------------------


@pytest.fixture
def scheduler(redis: redis_py.Redis) -> Scheduler:
    scheduler = Scheduler(queue_name="default", connection=redis)
    scheduler.heartbeat()
    return scheduler


def a_living_worker(redis: redis_py.Redis, *queues: str) -> None:
    key = f"rq:worker:{'-'.join(queues)}"
    redis.sadd("rq:workers", key)
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    redis.hset(key, mapping={"queues": ",".join(queues), "last_heartbeat": stamp, "hostname": "h"})


def counting(trips: list[str], send: Any) -> Any:
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        trips.append("there and back")
        return send(self, *args, **kwargs)

    return counted


def codes() -> list[str]:
    return sorted({finding.code for finding in findings(gather())} - {"S109"})


@pytest.mark.django_db(transaction=True)
class TestGathering:
    def test_an_empty_installation_has_no_scheduler_and_needs_no_worker(self, redis: redis_py.Redis) -> None:
        assert codes() == ["S102"]

    def test_all_is_well_with_a_scheduler_and_a_worker(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60)
        assert codes() == ["S103"]
        a_living_worker(redis, "default", "high")
        redis.sadd("rq:workers", "rq:worker:dead")  # its hash has expired
        assert codes() == []
        assert len(gather().redis.workers) == 1

    def test_a_flush_is_seen_as_missing_schedules(self, redis: redis_py.Redis, scheduler: Scheduler) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60)
        Schedule.objects.create(name="off", func=FUNC, interval=0)
        a_living_worker(redis, "default")
        redis.delete(keys.INDEX)
        assert codes() == ["S104"]
        Synchronizer().reconcile()
        assert codes() == []

    def test_an_edit_that_redis_has_not_seen_is_found_by_an_exact_look(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60, args=[30])
        a_living_worker(redis, "default")
        Schedule.objects.update(interval=90)
        assert codes() == []
        assert [f.code for f in findings(gather(exact=True)) if f.code != "S109"] == ["S104"]

    def test_a_function_that_is_gone_or_does_not_take_the_arguments(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60)
        a_living_worker(redis, "default")
        Schedule.objects.update(kwargs={"unheard_of": 1})
        assert codes() == []
        assert "S105" in [f.code for f in findings(gather(exact=True))]
        Schedule.objects.update(func="tests.shop.jobs.gone")
        assert codes() == ["S105"]

    def test_a_run_that_waits_longer_than_the_grace_is_late(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        Run.objects.create(schedule_name="news", scheduled_for=datetime.now(UTC) - timedelta(minutes=6))
        assert codes() == ["S106"]

    def test_an_entry_that_nobody_dispatches_is_late(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        schedule = Schedule.objects.create(name="news", func=FUNC, interval=60)
        a_living_worker(redis, "default")
        redis.zadd(keys.SCHEDULED, {str(schedule.pk): time.time() - 3600})
        (finding,) = (f for f in findings(gather()) if f.code == "S106")
        assert finding.text.startswith("news was due at ")

    def test_pausing_all_is_told_with_its_reason(self, redis: redis_py.Redis, scheduler: Scheduler) -> None:
        schedule = Schedule(name="news", func=FUNC, interval=60)
        schedule.pause(at=datetime.now(UTC), reason="moving house")
        schedule.save()
        (finding,) = (f for f in findings(gather()) if f.code == "S110")
        assert "moving house" in finding.text

    def test_a_stopped_scheduler_is_remembered_until_another_signs(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        scheduler.register_death()
        assert codes() == ["S102"]
        other = Scheduler(queue_name="default", connection=redis)
        other.heartbeat()
        assert [one.name for one in presence.read(redis.hgetall(keys.SCHEDULERS))] == [other.name]

    def test_a_sign_that_cannot_be_read_is_left_out(
        self, redis: redis_py.Redis, scheduler: Scheduler
    ) -> None:
        redis.hset(keys.SCHEDULERS, mapping={"x": "{", "y": "[]", "z": '{"name": 1}'})
        assert len(gather().redis.schedulers) == 1

    def test_it_costs_one_pipeline_and_two_queries_for_many_rows_as_for_one(
        self,
        redis: redis_py.Redis,
        scheduler: Scheduler,
        django_assert_num_queries: DjangoAssertNumQueries,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        gather()  # connects
        for n in range(30):
            Schedule.objects.create(name=f"s{n}", func=FUNC, interval=60, queue="low" if n % 2 else "default")
        trips: list[str] = []
        monkeypatch.setattr(
            Connection, "send_packed_command", counting(trips, Connection.send_packed_command)
        )
        with django_assert_num_queries(2):
            gather()
        assert len(trips) == 1

    def test_a_database_that_is_away_is_a_finding_and_no_error(
        self, redis: redis_py.Redis, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Any) -> Iterator[Any]:
            raise OperationalError("no such host")

        monkeypatch.setattr(QuerySet, "__iter__", refuse)
        assert codes() == ["S100"]


@pytest.mark.django_db
class TestShown:
    def test_health_answers_503_with_codes_and_no_detail(
        self, client: Client, redis: redis_py.Redis, settings: Settings
    ) -> None:
        Schedule.objects.create(name="hush", func="tests.shop.jobs.gone", interval=60, args=["secret"])
        response = client.get("/health")
        assert response.status_code == 503
        assert set(response.json()["codes"]) >= {"S102", "S103", "S105"}
        for hidden in ("hush", "secret", "gone", str(settings.REDIS_URL), "sock"):
            assert hidden not in response.content.decode()
        assert client.post("/health").status_code == 405

    def test_health_answers_200_when_all_is_well(self, client: Client, redis: redis_py.Redis) -> None:
        Scheduler(queue_name="default", connection=redis).heartbeat()
        response = client.get("/health")
        assert (response.status_code, response.json()["status"]) == (200, "ok")

    def test_the_checks_of_a_deploy_say_the_same(self, redis: redis_py.Redis) -> None:
        ids = [message.id for message in run_checks(include_deployment_checks=True)]
        assert "schedules.S102" in ids
        assert "schedules.S102" not in [message.id for message in run_checks()]

    def test_banners_are_three_at_most_and_escaped(self, redis: redis_py.Redis) -> None:
        for n in range(4):
            Schedule.objects.create(name=f"s{n}", func=f"shop.<b>{n}", interval=60)
        page = Template("{% load schedules_health %}{% schedules_banners %}{% schedules_health_line %}")
        html = page.render(Context({"request": RequestFactory().get("/")}))
        assert html.count('<div class="sch-banner"') == 3
        assert "more notes" in html
        assert "<b>1" not in html
        assert "&lt;b&gt;1" in html


class TestRedisAway:
    @pytest.fixture(params=["gone", "hanging"])
    def _away(
        self, request: pytest.FixtureRequest, redis: redis_py.Redis, redis_server: RedisServer
    ) -> Iterator[None]:
        gather()
        if request.param == "gone":
            redis_server.stop()
            yield
            redis_server.start()
        else:
            redis_server.sigstop()
            yield
            redis_server.sigcont()

    @pytest.mark.django_db
    @pytest.mark.usefixtures("_away")
    def test_it_is_told_within_a_second_and_the_rest_is_unknown(self, client: Client) -> None:
        began = time.monotonic()
        response = client.get("/health")
        assert time.monotonic() - began < 1
        assert response.status_code == 503
        body = json.loads(response.content)
        assert body["codes"] == ["S101"]
        assert (body["redis"], body["scheduler"], body["in_sync"]) == ("error", "unknown", "unknown")
