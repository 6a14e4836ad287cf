"""`manage.py schedules_status` and `create_schedule_groups`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
import redis as redis_py
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command

from schedules.engine import Scheduler
from schedules.models import Schedule
from tests.support.redis_server import RedisServer

FUNC = "tests.shop.jobs.sync_orders"


def status(*options: str) -> tuple[int, str]:
    """Return exit code and output."""
    out = StringIO()
    try:
        call_command("schedules_status", *options, stdout=out)
    except SystemExit as leaving:
        return int(leaving.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def _well(redis: redis_py.Redis) -> None:
    Scheduler(queue_name="default", connection=redis).heartbeat()
    redis.sadd("rq:workers", "rq:worker:w")
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    redis.hset("rq:worker:w", mapping={"queues": "default", "last_heartbeat": stamp})


@pytest.mark.django_db(transaction=True)
class TestStatus:
    @pytest.mark.usefixtures("_well")
    def test_exit_code_0_where_all_is_well(self) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60, args=[30])
        code, text = status()
        assert code == 0
        assert "Workers: default 1" in text
        assert "In sync: 1 schedule" in text

    def test_exit_code_1_with_the_code_and_the_remedy(self, redis: redis_py.Redis) -> None:
        code, text = status()
        assert code == 1
        assert "✕ S102 No scheduler is running." in text
        assert "    python manage.py rqscheduler" in text

    @pytest.mark.usefixtures("_well")
    def test_what_the_pages_only_count_is_looked_at_row_by_row(self) -> None:
        Schedule.objects.create(name="news", func=FUNC, interval=60, args=[30])
        Schedule.objects.update(interval=90)
        code, text = status()
        assert code == 1
        assert "S104 Redis differs from the database: 0 missing, 1 old, 0 left over." in text

    def test_json_has_the_same_codes(self, redis: redis_py.Redis) -> None:
        code, text = status("--json")
        body: dict[str, Any] = json.loads(text)
        assert (code, body["status"]) == (1, "wrong")
        assert body["findings"][0]["code"] == "S102"
        assert body["health"]["scheduler"]["level"] == "error"
        assert body["schedules"] == {"total": 0, "active": 0, "paused": 0}

    def test_redis_away_is_told_and_no_traceback(
        self, redis: redis_py.Redis, redis_server: RedisServer
    ) -> None:
        redis_server.stop()
        try:
            code, text = status()
        finally:
            redis_server.start()
        assert code == 1
        assert "S101" in text
        assert "Scheduler: unknown" in text


@pytest.mark.django_db
class TestGroups:
    def test_operators_look_and_act_and_editors_do_everything(self) -> None:
        out = StringIO()
        call_command("create_schedule_groups", stdout=out)
        named = {
            group.name: set(group.permissions.values_list("codename", flat=True))
            for group in Group.objects.all()
        }
        ours = Permission.objects.filter(content_type__app_label="schedules")
        assert named["Schedule editors"] == set(ours.values_list("codename", flat=True))
        assert named["Schedule operators"] == {
            *("view_schedule", "view_run", "view_payload", "run_schedule", "pause_schedule", "stop_run"),
        }
        assert "Schedule operators: made" in out.getvalue()

    def test_again_it_adds_what_lacks_and_takes_nothing_away(self) -> None:
        call_command("create_schedule_groups", stdout=StringIO())
        group = Group.objects.get(name="Schedule operators")
        group.permissions.remove(Permission.objects.get(codename="stop_run"))
        own = Permission.objects.get(codename="view_user")
        group.permissions.add(own)
        out = StringIO()
        call_command("create_schedule_groups", stdout=out)
        assert "Schedule operators: 1 permissions added" in out.getvalue()
        assert group.permissions.filter(codename__in=("stop_run", "view_user")).count() == 2
        assert Group.objects.count() == 2

    def test_before_migrate_it_says_what_to_do(self) -> None:
        Permission.objects.filter(codename="stop_run").delete()
        with pytest.raises(CommandError, match=r"no permission stop_run: run `manage\.py migrate` first"):
            call_command("create_schedule_groups", stdout=StringIO())
