"""The preview is the engine's word: the same slots, the same warnings, in the schedule's zone."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from schedules.admin.preview import preview_of_query
from schedules.models import Schedule
from schedules.spec import plan_from_wire, plan_to_wire
from schedules.timing import next_slot
from tests.support.samples import FUNC

PREVIEW = reverse("admin:schedules_schedule_preview")
ZONES = {
    # Zone, and the days of 2026 around which its clocks change.
    "Europe/Berlin": ((3, 29), (10, 25)),
    "America/New_York": ((3, 8), (11, 1)),
    "Australia/Lord_Howe": ((4, 5), (10, 4)),
    "America/Santiago": ((4, 5), (9, 6)),
    "Africa/Casablanca": ((2, 15), (3, 22)),
    "Asia/Kolkata": ((3, 29), (10, 25)),
}

pytestmark = pytest.mark.django_db


def expressions(count: int) -> list[str]:
    chance = random.Random(20261123)

    def part(low: int, high: int) -> str:
        first, last = sorted(chance.sample(range(low, high + 1), 2))
        return chance.choice(
            ("*", str(first), f"*/{chance.randint(2, 12)}", f"{first}-{last}", f"{first},{last}")
        )

    found = []
    for _ in range(count):
        days = chance.choice(("*", "*", "*", str(chance.randint(1, 28)), "L"))
        weekdays = chance.choice(("*", "*", "mon-fri", "sun", "6#2")) if days == "*" else "*"
        found.append(f"{part(0, 59)} {part(0, 23)} {days} * {weekdays}")
    return found


def slots_of_the_engine(schedule: Schedule, now: datetime, count: int) -> list[datetime]:
    """Go from slot to slot by the plan as the engine reads it from Redis."""
    trigger = plan_from_wire(plan_to_wire(schedule.to_spec().plan)).trigger
    slots: list[datetime] = []
    after = now
    while len(slots) < count:
        found = next_slot(trigger, after)
        if found is None:
            break
        slots.append(found)
        after = found
    return slots


@pytest.mark.parametrize("zone", ZONES)
def test_the_kth_row_is_the_kth_slot_of_the_engine_around_both_clock_changes(zone: str) -> None:
    for place, (month, day) in enumerate(ZONES[zone]):
        now = datetime(2026, month, day, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(hours=6)
        for expression in expressions(500)[place::2]:
            query = {"kind": "cron", "cron": expression, "timezone": zone}
            preview = preview_of_query(query, stored=None, now=now)
            assert preview.problems == (), expression
            schedule = Schedule(name="n", func=FUNC, created_at=now, **query)
            assert list(preview.slots) == slots_of_the_engine(schedule, now, 10), (expression, zone)
            for row in preview.rows:
                local = row.slot.astimezone(ZoneInfo(zone))
                assert f"{local:%H:%M}" in row.local, (expression, zone)


class TestWhatIsShown:
    def test_times_are_in_the_zone_of_the_schedule_whatever_the_zone_of_the_page(
        self, admin_client: Client
    ) -> None:
        query = {"kind": "cron", "cron": "30 4 * * mon-fri", "timezone": "Europe/Berlin"}
        with timezone.override("Asia/Tokyo"):
            html = admin_client.get(PREVIEW, query).content.decode()
        rows = re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', html)
        assert len(rows) == 10
        for exact, shown in rows:
            local = datetime.fromisoformat(exact).astimezone(ZoneInfo("Europe/Berlin"))
            assert (local.hour, local.minute) == (4, 30)
            assert f"04:30 {local.tzname()}" in shown
        assert "Every weekday at 04:30" in html

    def test_every_warning_of_the_timing_is_shown(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)

        def codes(cron: str, zone: str = "Europe/Berlin") -> list[str]:
            query = {"kind": "cron", "cron": cron, "timezone": zone}
            return [each.code for each in preview_of_query(query, stored=None, now=now).cautions]

        assert codes("30 2 * * *") == ["gap", "overlap"]
        assert codes("0 0 13 * fri", "UTC") == ["day_or"]
        assert codes("0 0 31 * *", "UTC") == ["short_months"]
        assert codes("* * * * * *", "UTC") == ["too_frequent"]

    def test_what_cannot_be_read_is_told_and_nothing_else_is_shown(self, admin_client: Client) -> None:
        html = admin_client.get(
            PREVIEW, {"kind": "cron", "cron": "75 * * * *", "timezone": "Mars/Base", "max_runs": "x"}
        ).content.decode()
        assert html.count("<li>") == 3
        assert "<table" not in html
        html = admin_client.get(
            PREVIEW, {"kind": "cron", "cron": "0 0 30 2 *", "timezone": "UTC"}
        ).content.decode()
        assert 'data-level="error"' in html

    def test_nothing_yet_is_no_error(self, admin_client: Client) -> None:
        html = admin_client.get(PREVIEW, {"kind": "cron", "timezone": "UTC"}).content.decode()
        assert "its next runs are shown here" in html
        assert 'data-level="error"' not in html

    @pytest.mark.parametrize("junk", ["<script>alert(1)</script>", "\0", "9" * 5000, "‮", "🚀" * 300])
    def test_junk_is_harmless(self, admin_client: Client, junk: str) -> None:
        names = ("kind", "cron", "interval", "timezone", "run_at", "starts_at", "max_runs", "jitter", "id")
        for kind in ("cron", "interval", "once", junk):
            query = dict.fromkeys(names, junk) | {"kind": kind}
            response = admin_client.get(PREVIEW, query)
            assert response.status_code == 200
            assert b"<script>" not in response.content

    def test_no_more_rows_than_runs_are_left(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        query = {"kind": "interval", "interval": "15m", "timezone": "UTC", "max_runs": "3"}
        preview = preview_of_query(query, stored=None, now=now)
        assert len(preview.rows) == 3
        assert preview.rows[0].relative == "in 15 minutes"

    def test_a_change_says_how_the_next_run_moves(self, admin_client: Client) -> None:
        schedule = Schedule.objects.create(
            name="n", func=FUNC, args=[1], kind="cron", cron="0 4 * * *", timezone="UTC"
        )
        query = {"id": str(schedule.pk), "kind": "cron", "timezone": "UTC"}
        same = admin_client.get(PREVIEW, query | {"cron": "0 4 * * *"}).content.decode()
        assert "Next run moves" not in same
        moved = admin_client.get(PREVIEW, query | {"cron": "0 5 * * *"}).content.decode()
        assert re.search(r"Next run moves: \w{3} 04:00 UTC → \w{3} 05:00 UTC", moved)


class TestRights:
    @pytest.mark.parametrize("right", ["view_schedule", "add_schedule", "change_schedule"])
    def test_whoever_may_see_or_add_may_preview(self, client: Client, right: str) -> None:
        user = User.objects.create_user("ann", is_staff=True)
        client.force_login(user)
        assert client.get(PREVIEW).status_code == 403
        user.user_permissions.set(Permission.objects.filter(codename=right))
        assert client.get(PREVIEW).status_code == 200

    def test_a_stranger_is_sent_to_the_login(self, client: Client) -> None:
        assert client.get(PREVIEW).status_code == 302


def test_many_others_in_the_same_minute_are_told(admin_client: Client) -> None:
    query = {"kind": "cron", "cron": "0 4 * * *", "timezone": "UTC"}
    (first, *_rest) = preview_of_query(query, stored=None, now=timezone.now()).slots
    rows = [
        Schedule.objects.create(
            name=f"s{n}", func=FUNC, interval=60, next_run_at=first + timedelta(seconds=9 * n)
        )
        for n in range(7)  # the last one is a minute later
    ]
    Schedule.objects.create(name="off", func=FUNC, interval=60, next_run_at=first, enabled=False)
    Schedule.objects.filter(pk=rows[6].pk).update(next_run_at=first + timedelta(seconds=60))
    assert "6 other schedules start in the same minute" in admin_client.get(PREVIEW, query).content.decode()
    html = admin_client.get(PREVIEW, {**query, "id": str(rows[0].pk)}).content.decode()
    assert "5 other schedules" in html
    Schedule.objects.filter(pk__in=[rows[0].pk, rows[1].pk]).delete()
    assert "other schedules" not in admin_client.get(PREVIEW, query).content.decode()


def test_zones_in_use_come_first_and_old_names_are_left_out(admin_client: Client) -> None:
    for n, zone in enumerate(("Asia/Tokyo", "Asia/Tokyo", "US/Pacific")):
        Schedule.objects.create(name=f"z{n}", func=FUNC, interval=60, timezone=zone)
    html = admin_client.get(reverse("admin:schedules_schedule_add")).content.decode()
    zones = re.findall(r'<option value="([^"]+)"></option>', html.partition('id="sch-zones"')[2])
    assert zones[:2] == ["Asia/Tokyo", "US/Pacific"]  # one that is old, but in use
    assert len(zones) == len(set(zones)) > 300
    assert not {"US/Eastern", "Etc/GMT+5", "Brazil/East"} & set(zones)
    assert {"UTC", "Europe/Berlin", "America/New_York"} <= set(zones)
