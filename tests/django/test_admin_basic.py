"""The first pages of the admin: what is shown, what can be done, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from schedules.models import Run, Schedule

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FUNC = "tests.shop.jobs.sync_orders"
LIST = "admin:schedules_schedule_changelist"
ADD = "admin:schedules_schedule_add"
CHANGE = "admin:schedules_schedule_change"

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(name="news", func=FUNC, args=["top-secret"], interval=60, timezone="UTC")


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def filled(**fields: Any) -> dict[str, Any]:
    return {
        "name": "orders",
        "enabled": "on",
        "func": FUNC,
        "args": "[30]",
        "kwargs": '{"full": true}',
        "queue": "default",
        "tags": '["shop"]',
        "kind": "interval",
        "interval": "90",
        "timezone": "Europe/Paris",
        "jitter": "0",
        "misfire_policy": "fire_once",
        "overlap_policy": "skip",
        "retry_max": "0",
        "retry_min_backoff": "5",
        "retry_max_backoff": "3600",
        "failure_threshold": "1",
        **fields,
    }


def errors_in(response: Any) -> dict[str, list[str]]:
    return {name: list(errors) for name, errors in response.context["adminform"].form.errors.items()}


class TestForm:
    def test_a_schedule_is_saved_as_it_was_filled_in(self, admin_client: Client) -> None:
        response = admin_client.post(reverse(ADD), filled())
        assert response.status_code == 302
        schedule = Schedule.objects.get(name="orders")
        assert (schedule.func, schedule.args, schedule.kwargs) == (FUNC, [30], {"full": True})
        assert (schedule.kind, schedule.interval, schedule.cron, schedule.run_at) == (
            "interval",
            90,
            None,
            None,
        )
        assert (schedule.timezone, schedule.tags, schedule.enabled) == ("Europe/Paris", ["shop"], True)

    def test_what_another_kind_needs_is_emptied(self, admin_client: Client) -> None:
        admin_client.post(reverse(ADD), filled(kind="cron", cron="30 4 * * mon-fri"))
        schedule = Schedule.objects.get(name="orders")
        assert (schedule.kind, schedule.cron, schedule.interval) == ("cron", "30 4 * * mon-fri", None)

    def test_all_errors_are_shown_at_once_at_their_fields(self, admin_client: Client) -> None:
        response = admin_client.post(
            reverse(ADD),
            filled(
                name="", args="{}", kwargs="[", kind="cron", cron="75 * * * *", timeout="0", retry_max="x"
            ),
        )
        assert response.status_code == 200
        assert set(errors_in(response)) == {"name", "args", "kwargs", "cron", "timeout", "retry_max"}

    def test_the_function_is_chosen_from_those_that_are_allowed(self, admin_client: Client) -> None:
        html = admin_client.get(reverse(ADD)).content.decode()
        assert f'<option value="{FUNC}" data-doc="Pull new orders from the shop."' in html
        assert "Daily digest (tests.shop.marked.digest)" in html
        assert "subprocess" not in html

    @pytest.mark.parametrize("func", ["os.system", "subprocess.run", "builtins.eval", "tests.shop.jobs.run"])
    def test_a_function_that_is_not_allowed_is_refused_with_the_reason(
        self, admin_client: Client, func: str
    ) -> None:
        errors = errors_in(admin_client.post(reverse(ADD), filled(func=func)))
        assert list(errors) == ["func"]
        assert "cannot be scheduled" in errors["func"][0]

    def test_a_function_that_has_gone_stays_in_the_form(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.update(func="tests.shop.jobs.gone")
        html = admin_client.get(reverse(CHANGE, args=[schedule.pk])).content.decode()
        assert '<option value="tests.shop.jobs.gone" selected>tests.shop.jobs.gone (not found)' in html

    def test_only_superusers_type_a_function_and_only_by_a_setting(
        self, admin_client: Client, client: Client, settings: Settings
    ) -> None:
        def is_typed(browser: Client) -> bool:
            return b'<input type="text" name="func"' in browser.get(reverse(ADD)).content

        assert not is_typed(admin_client)
        settings.SCHEDULES_FREE_TARGETS = True
        assert is_typed(admin_client)
        assert not is_typed(staff(Client(), "add_schedule", "view_schedule"))

    def test_an_interval_of_zero_is_saved_and_the_page_says_that_it_will_not_run(
        self, admin_client: Client
    ) -> None:
        response = admin_client.post(reverse(ADD), filled(interval="0"), follow=True)
        assert Schedule.objects.get().interval == 0
        assert "“orders” is saved and will not run. The interval is 0" in response.content.decode()
        assert "Not scheduled" in response.content.decode()

    def test_a_change_is_logged_with_its_fields(self, admin_client: Client, schedule: Schedule) -> None:
        admin_client.post(reverse(CHANGE, args=[schedule.pk]), filled(name="news"))
        assert LogEntry.objects.get().get_change_message().startswith("Changed ")


class TestRights:
    def test_arguments_are_shown_only_to_those_who_may_see_them(
        self, client: Client, schedule: Schedule
    ) -> None:
        staff(client, "change_schedule", "change_target")
        page = reverse(CHANGE, args=[schedule.pk])
        assert b"top-secret" not in client.get(page).content
        assert client.get(reverse(LIST), {"q": "top-secret"}).context["cl"].result_count == 0
        User.objects.get().user_permissions.add(Permission.objects.get(codename="view_payload"))
        assert b"top-secret" in client.get(page).content
        assert client.get(reverse(LIST), {"q": "top-secret"}).context["cl"].result_count == 1

    def test_saving_without_seeing_the_arguments_keeps_them(self, client: Client, schedule: Schedule) -> None:
        staff(client, "change_schedule", "change_target")
        client.post(reverse(CHANGE, args=[schedule.pk]), filled(name="renamed", args="[1]"))
        schedule.refresh_from_db()
        assert (schedule.name, schedule.args) == ("renamed", ["top-secret"])

    def test_function_and_arguments_are_changed_only_with_the_right_to_it(
        self, client: Client, schedule: Schedule
    ) -> None:
        staff(client, "change_schedule", "view_payload")
        response = client.post(
            reverse(CHANGE, args=[schedule.pk]),
            filled(name="renamed", func="tests.shop.marked.digest", args="[1]", kwargs="{}"),
        )
        assert response.status_code == 302
        schedule.refresh_from_db()
        assert (schedule.name, schedule.func, schedule.args) == ("renamed", FUNC, ["top-secret"])

    def test_an_error_at_a_field_that_this_user_does_not_see_is_told_at_the_top(
        self, client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.update(func="tests.shop.jobs.gone", args={"no": "list"})
        staff(client, "change_schedule")
        response = client.post(reverse(CHANGE, args=[schedule.pk]), filled(name="renamed"))
        assert response.status_code == 200
        top = " ".join(errors_in(response)["__all__"])
        assert "function: tests.shop.jobs.gone" in top
        assert "positional arguments: " in top

    def test_without_a_permission_every_page_is_closed(self, client: Client, schedule: Schedule) -> None:
        run = Run.objects.create(schedule=schedule, scheduled_for=NOW)
        staff(client)
        for url in (
            reverse(LIST),
            reverse(ADD),
            reverse(CHANGE, args=[schedule.pk]),
            reverse("admin:schedules_schedule_delete", args=[schedule.pk]),
            reverse("admin:schedules_run_changelist"),
            reverse("admin:schedules_run_add"),
            reverse("admin:schedules_run_change", args=[run.pk]),
            reverse("admin:schedules_run_delete", args=[run.pk]),
        ):
            assert client.get(url).status_code == 403, url
            assert client.post(url, {}).status_code == 403, url


class TestActions:
    def test_enable_and_disable_ask_and_then_change_the_intent_and_are_logged(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        off = Schedule.objects.create(name="off", func=FUNC, interval=60, enabled=False)
        both = [str(schedule.pk), str(off.pk)]
        data = {"action": "disable", "_selected_action": both}
        asked = admin_client.post(reverse(LIST), data).content.decode()
        assert "Disable 1 schedule?" in asked  # the other one is off already
        assert Schedule.objects.filter(enabled=True).exists()
        told = admin_client.post(reverse(LIST), {**data, "confirmed": "1"}, follow=True).content.decode()
        assert "1 schedule is disabled now." in told
        assert "state=disabled" in told
        assert not Schedule.objects.filter(enabled=True).exists()
        data = {"action": "enable", "_selected_action": both, "confirmed": "1"}
        admin_client.post(reverse(LIST), data)
        admin_client.post(reverse(LIST), data)  # a double click: nothing is left to do
        assert Schedule.objects.filter(enabled=True).count() == 2
        assert sorted(entry.get_change_message() for entry in LogEntry.objects.all()) == [
            "Changed enabled (no → yes).",
            "Changed enabled (no → yes).",
            "Changed enabled (yes → no).",
        ]

    def test_those_who_may_only_look_have_no_actions(self, client: Client, schedule: Schedule) -> None:
        staff(client, "view_schedule")
        assert b'name="action"' not in client.get(reverse(LIST)).content
        client.post(
            reverse(LIST), {"action": "disable", "_selected_action": [str(schedule.pk)], "confirmed": "1"}
        )
        schedule.refresh_from_db()
        assert schedule.enabled


class TestLists:
    def test_the_list_of_schedules_says_when_and_in_what_state(
        self, admin_client: Client, schedule: Schedule
    ) -> None:
        Schedule.objects.create(name="c", func=FUNC, kind="cron", cron="0 7 * * *", timezone="Europe/Paris")
        Schedule.objects.create(name="o", func=FUNC, kind="once", run_at=NOW, enabled=False)
        paused = Schedule(name="p", func=FUNC, interval=5)
        paused.pause(at=NOW, reason="<b>tax</b>")
        paused.save()
        html = admin_client.get(reverse(LIST)).content.decode()
        for text in (
            "Every minute",
            "Every day at 07:00",
            "Once, Sun 1 Mar 2026 12:00 UTC",
            "Disabled",
            "&lt;b&gt;tax&lt;/b&gt;",
        ):
            assert text in html

    @pytest.mark.parametrize("rows", [1, 40])
    def test_the_lists_ask_as_many_queries_for_many_rows_as_for_one(
        self, admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, rows: int
    ) -> None:
        for n in range(rows):
            owner = Schedule.objects.create(name=f"s{n}", func=FUNC, interval=60)
            Run.objects.create(schedule=owner, schedule_name=owner.name, scheduled_for=NOW)
        for name in (LIST, "admin:schedules_run_changelist"):
            with django_assert_max_num_queries(8):
                assert admin_client.get(reverse(name)).status_code == 200

    def test_a_run_can_be_read_and_not_written(self, admin_client: Client, schedule: Schedule) -> None:
        run = Run.objects.create(
            schedule=schedule,
            schedule_name="news",
            scheduled_for=NOW,
            status="failed",
            exception="ValueError: <script>",
            traceback="Traceback",
            output="said",
        )
        page = reverse("admin:schedules_run_change", args=[run.pk])
        html = admin_client.get(page).content.decode()
        assert "ValueError: &lt;script&gt;" in html
        assert "said" in html
        assert admin_client.post(page, {"status": "succeeded"}).status_code == 403
        assert admin_client.get(reverse("admin:schedules_run_add")).status_code == 403

    def test_what_a_run_carries_is_shown_only_to_those_who_may_see_it(
        self, client: Client, schedule: Schedule
    ) -> None:
        secrets = {name: f"secret-{name}" for name in ("payload", "result", "traceback", "output")}
        run = Run.objects.create(schedule=schedule, schedule_name="news", scheduled_for=NOW, **secrets)
        page = reverse("admin:schedules_run_change", args=[run.pk])
        assert b"secret-" not in staff(client, "view_run").get(page).content
        User.objects.get().user_permissions.add(Permission.objects.get(codename="view_payload"))
        html = client.get(page).content.decode()
        assert all(secret in html for secret in secrets.values())
