"""Every page of the app for a browser that asks for German: whole, and without a word of English that is ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from schedules.admin.figures import forget_figures
from schedules.models import Run, RunStatus, Schedule
from schedules.services import SchedulerService
from tests.django.test_admin_basic import filled
from tests.django.test_rights import addresses
from tests.django.test_rights import filled as address_of
from tests.support.ledger_rows import TRACEBACK
from tests.support.redis_server import RedisServer
from tests.support.samples import make_samples
from tests.support.visible_texts import EnglishIn, visible_texts

GERMAN = {"accept-language": "de-DE,de;q=0.9,en;q=0.5"}
ADD = reverse("admin:schedules_schedule_add")
LIST = reverse("admin:schedules_schedule_changelist")
RUNS = reverse("admin:schedules_run_changelist")
PREVIEW = reverse("admin:schedules_schedule_preview")
TEST = reverse("admin:schedules_schedule_test")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture(scope="module")
def english_in() -> EnglishIn:
    return EnglishIn("de")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a test client asks for stays the language of this thread, and figures are kept for a minute."""
    forget_figures()
    yield
    forget_figures()
    translation.deactivate()


@pytest.fixture
def german(admin_client: Client) -> Client:
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = GERMAN["accept-language"]
    return admin_client


@pytest.fixture
def schedules() -> dict[str, Schedule]:
    """One schedule of each sort, with a run of each status and each trigger."""
    now = timezone.now()
    made = make_samples(now)
    made["far"] = Schedule.objects.create(
        name="Far", func="tests.shop.jobs.gone", kind="cron", cron="0 0 31 * 5", timezone="Europe/Paris",
        starts_at=now + timedelta(days=900), ends_at=now + timedelta(days=2000), max_runs=9, jitter=30,
    )  # fmt: skip
    made["idle"] = Schedule.objects.create(name="Idle", func="tests.shop.jobs.sync_stock", interval=0)
    Schedule.objects.filter(name="Sync orders").update(failures_in_a_row=2, alarm="failing")
    orders = made["Sync orders"]
    for number, status in enumerate(RunStatus.values):
        ran = status not in ("queued", "skipped", "missed", "canceled")
        run = Run(
            schedule=orders, schedule_name=orders.name, func=orders.func, queue="high", status=status,
            trigger=("manual", "retry", "catchup")[number % 3], started_by="ann", attempt=1 + number % 2,
            scheduled_for=now - timedelta(minutes=number, seconds=3), enqueued_at=now - timedelta(minutes=number),
            started_at=now - timedelta(minutes=number) + timedelta(seconds=1.25) if ran else None,
            finished_at=now + timedelta(seconds=5) if ran and status != "running" else None,
            worker="w-1", job_id=f"job-{status}", slots=1 + 2 * (status == "missed"),
            scheduled_until=now if status == "missed" else None,
            next_attempt_at=now + timedelta(minutes=5) if status == "queued" else None,
            exception="ValueError: orders table is locked" if status in ("failed", "abandoned") else "",
            reason="" if status in ("succeeded", "running", "queued") else "Its worker said so.",
            traceback=TRACEBACK if status == "failed" else "", payload='{"args": [30], "kwargs": {}}',
        )  # fmt: skip
        run.measure()
        run.save()
    SchedulerService.register([orders.to_spec()])
    return made


def is_german(response: Any, english_in: EnglishIn, where: str) -> str:
    html: str = response.content.decode()
    assert response.status_code == 200, where
    if "<html" in html:
        assert '<html lang="de"' in html, where
    found = english_in(visible_texts(html))
    assert found == [], where
    return html


def pages(schedules: dict[str, Schedule]) -> Iterator[str]:
    """Yield every address that can be looked at, as the URL configuration has them, for every row."""
    runs = list(Run.objects.filter(trigger__in=("manual", "retry", "catchup")))
    for address in addresses():
        if not address.startswith("/admin/schedules"):
            continue
        rows: list[Any] = runs if address.startswith("/admin/schedules/run/") else list(schedules.values())
        for row in rows if "<" in address else rows[:1]:
            yield address_of(address, {"object_id": str(row.pk), "job_id": "not-yet"})


class TestEveryPage:
    def test_all_that_can_be_looked_at(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn
    ) -> None:
        seen = set()
        for address in dict.fromkeys(pages(schedules)):
            response = german.get(address, follow=True)
            if response.status_code in (403, 404, 405):  # POST alone, or nothing that can be done to this row
                continue
            seen.add(response.resolver_match.url_name)
            is_german(response, english_in, address)
        assert {
            *("schedules_schedule_add", "schedules_schedule_change", "schedules_schedule_changelist"),
            *("schedules_schedule_delete", "schedules_schedule_history", "schedules_schedule_preview"),
            *("schedules_schedule_run", "schedules_schedule_pause", "schedules_schedule_resume"),
            *(
                "schedules_run_change",
                "schedules_run_changelist",
                "schedules_run_again",
                "schedules_run_stop",
            ),
            *("schedules_run_of_job", "schedules_run_delete", "dashboard"),
        } <= seen

    def test_the_first_page_of_the_admin(self, german: Client, english_in: EnglishIn) -> None:
        html = is_german(german.get(reverse("admin:index")), english_in, "index")
        assert "Zeitpläne" in html

    @pytest.mark.parametrize(
        "address",
        [f"{LIST}?state=paused", f"{LIST}?state=attention", f"{LIST}?q=nothing-like-it", f"{LIST}?queue=high",
         f"{LIST}?tag=shop", f"{RUNS}?state=failed", f"{RUNS}?q=nothing-like-it", f"{RUNS}?since=7d&trigger=manual",
         f"{RUNS}?end=1", "/admin/schedules/?window=week", "/admin/schedules/?window=month"],
    )  # fmt: skip
    def test_lists_that_are_filtered(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn, address: str
    ) -> None:
        is_german(german.get(address), english_in, address)

    def test_before_there_is_anything(self, german: Client, english_in: EnglishIn) -> None:
        for address in (LIST, RUNS, "/admin/schedules/"):
            is_german(german.get(address), english_in, address)

    def test_with_redis_away(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn, redis_server: RedisServer
    ) -> None:
        redis_server.stop()
        for address in (LIST, RUNS, "/admin/schedules/", ADD):
            html = is_german(german.get(address), english_in, address)
            assert "Redis ist unter" in html
        saved = german.post(ADD, filled(name="orders-again"), follow=True)
        assert "Redis antwortet im Moment nicht" in is_german(saved, english_in, "saved without Redis")
        away = german.get("/admin/django_rq/dashboard/")
        assert away.status_code == 503
        assert english_in(visible_texts(away.content.decode())) == []


class TestForms:
    @pytest.mark.parametrize(
        "fields",
        [
            {"name": "", "interval": "often"},
            {"interval": "1e9"},
            {"kind": "cron", "cron": "75 * * * *", "timezone": "Mars/Olympus"},
            {"kind": "cron", "cron": ""},
            {"kind": "cron", "cron": "0 0 30 2 *"},
            {"kind": "cron", "cron": "* * *"},
            {"kind": "once", "run_at": "2020-01-01T00:00"},
            {"kind": "once", "run_at": "soon"},
            {"func": "os.system", "args": "[", "kwargs": "[]"},
            {"func": "tests.shop.jobs.nothing"},
            {"args": '["de", 1, 2]'},
            {
                "max_runs": "0",
                "jitter": "-1",
                "timeout": "0",
                "retry_max": "-1",
                "grace": "0",
                "keep_days": "0",
            },
            {"retry_min_backoff": "100", "retry_max_backoff": "1", "jitter": "100000"},
            {"starts_at": "2030-01-02T00:00", "ends_at": "2030-01-01T00:00"},
            {"tags": "x" * 60, "notify_email": "nobody", "name": "a\x07b"},
            {"timezone": "Europe/Paris", "kind": "once", "run_at": "2027-03-28T02:30"},
        ],
    )
    def test_what_is_wrong_is_said_in_german(
        self, german: Client, english_in: EnglishIn, fields: dict[str, str]
    ) -> None:
        html = is_german(german.post(ADD, filled(**fields)), english_in, str(fields))
        assert "errorlist" in html

    @pytest.mark.parametrize(
        "fields",
        [
            {"request_url": ""},
            {"request_url": "ftp://x/"},
            {"request_url": "https://user:pw@example.com/"},
            {"request_url": "https://elsewhere.example.com/"},
            {"request_url": "http://169.254.169.254/"},
            {"request_url": "http://127.0.0.1:8000/a//b", "request_headers": "no colon\nX: 1\nX: 2"},
            {"request_headers": "Authorization: Bearer hunter2"},
            {"request_body": "{"},
            {"request_method": "GET", "request_body": "{}"},
            {"request_success": "fine", "request_timeout": "99999"},
        ],
    )
    def test_a_request_too(self, german: Client, english_in: EnglishIn, fields: dict[str, str]) -> None:
        usual = {
            "what": "request", "request_url": "http://127.0.0.1:8000/v1/jobs/x", "request_method": "POST",
            "request_body_kind": "json", "request_success": "2xx", "request_timeout": "5",
        }  # fmt: skip
        data = filled(func="", args="", kwargs="") | usual | fields
        is_german(german.post(ADD, data), english_in, str(fields))
        is_german(german.post(TEST, data), english_in, str(fields))

    def test_a_request_that_nobody_answers(self, german: Client, english_in: EnglishIn) -> None:
        data = {"what": "request", "request_url": "http://127.0.0.1:8000/v1/jobs/x", "request_timeout": "1"}
        html = is_german(german.post(TEST, data), english_in, "test request")
        assert "bekam keine Antwort: die Verbindung wurde verweigert" in html

    def test_an_edit_that_was_overtaken(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn
    ) -> None:
        page = reverse("admin:schedules_schedule_change", args=[schedules["Sync orders"].pk])
        assert german.post(page, filled(name="Sync orders", version="1")).status_code == 302
        late = filled(name="Sync", version="1", interval="300", tags="", enabled="")
        html = is_german(german.post(page, late), english_in, "overtaken")
        assert "nachdem Sie ihn geöffnet hatten" in html

    @pytest.mark.parametrize(
        "query",
        [
            "kind=cron&cron=30 2 * * *&timezone=Europe/Paris",
            "kind=cron&cron=*/10 * * * * *&timezone=UTC",
            "kind=cron&cron=0 0 31 * 5&timezone=Europe/Berlin&jitter=20&max_runs=5",
            "kind=cron&cron=",
            "kind=cron&cron=61 * * * *&timezone=Nowhere",
            "kind=interval&interval=90&timezone=UTC",
            "kind=interval&interval=0&timezone=UTC",
            "kind=once&run_at=2031-01-01T10:00&timezone=America/New_York",
            "kind=once&run_at=2021-01-01T10:00&timezone=UTC",
        ],
    )
    def test_the_preview(self, german: Client, english_in: EnglishIn, query: str) -> None:
        is_german(german.get(f"{PREVIEW}?{query}"), english_in, query)

    def test_the_words_of_a_schedule_and_a_date(self, german: Client) -> None:
        html = german.get(
            f"{PREVIEW}?kind=cron&cron=30 4 * * mon-fri&timezone=Europe/Berlin"
        ).content.decode()
        assert "Montags bis freitags um 04:30 Uhr" in html
        assert re.search(
            r">(Mo|Di|Mi|Do|Fr) \d+\. (Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez) \d{4} 04:30 ", html
        )


class TestActions:
    @pytest.mark.parametrize(
        "action", ["run_now", "pause", "resume", "copy", "enable", "disable", "delete_selected"]
    )
    def test_many_are_asked_about_and_done(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn, action: str
    ) -> None:
        chosen = [str(schedule.pk) for schedule in schedules.values()]
        data: dict[str, Any] = {"action": action, "_selected_action": chosen}
        is_german(german.post(LIST, data, follow=True), english_in, action)
        if action in ("run_now", "pause", "resume", "copy"):
            done = {**data, "confirmed": "1", "token": "t", "reason": "Umzug"}
            assert german.post(LIST, {**done, "reason": ""}, follow=True).status_code == 200
            html = is_german(german.post(LIST, {**done, "token": "u"}, follow=True), english_in, action)
            assert "messagelist" in html

    def test_one_is_run_paused_and_resumed(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn
    ) -> None:
        orders = schedules["Sync orders"]
        steps: list[tuple[str, dict[str, str]]] = [
            ("run", {"token": "a"}),
            ("run", {"token": "a"}),
            ("run", {"token": "b", "args": "[", "kwargs": "{}"}),
            ("run", {"token": "b", "args": '["x", 2, 3]', "kwargs": "{}"}),
            ("pause", {"reason": "x", "until": "2020-01-01T00:00"}),
            ("pause", {"reason": "Umzug", "until": ""}),
            ("resume", {}),
        ]
        for verb, data in steps:
            page = reverse(f"admin:schedules_schedule_{verb}", args=[orders.pk])
            is_german(german.post(page, data, follow=True), english_in, f"{verb} {data}")

    def test_a_run_is_repeated_and_stopped(
        self, german: Client, schedules: dict[str, Schedule], english_in: EnglishIn
    ) -> None:
        failed, running = Run.objects.get(job_id="job-failed"), Run.objects.get(job_id="job-running")
        for run, verb in ((failed, "again"), (running, "stop")):
            page = reverse(f"admin:schedules_run_{verb}", args=[run.pk])
            is_german(german.post(page, {"token": "a"}, follow=True), english_in, verb)


class TestMachineReadValues:
    """A decimal comma would break a picture, and a German date a script."""

    def test_pictures_have_points(self, german: Client, schedules: dict[str, Schedule]) -> None:
        numbers = 0
        runs = [
            reverse("admin:schedules_run_change", args=[run.pk])
            for run in Run.objects.exclude(finished_at=None)[:5]
        ]
        for address in ("/admin/schedules/", LIST, *runs):
            html = german.get(address).content.decode()
            for tag in re.findall(r"<(?:svg|rect|line|text|g)\b[^>]*>", html):
                for name, value in re.findall(
                    r'\b(x|y|x1|x2|y1|y2|width|height|rx|viewBox|transform)="([^"]*)"', tag
                ):
                    assert "," not in value, (address, name, value)
                    numbers += bool(re.search(r"\d\.\d", value))
        assert numbers > 20

    def test_moments_and_attributes_for_scripts_stay(
        self, german: Client, schedules: dict[str, Schedule]
    ) -> None:
        for address in ("/admin/schedules/", LIST, RUNS, f"{PREVIEW}?kind=cron&cron=0 4 * * *&timezone=UTC"):
            html = german.get(address).content.decode()
            moments = re.findall(r'datetime="([^"]*)"', html)
            assert moments, address
            assert all(datetime.fromisoformat(moment).utcoffset() is not None for moment in moments)
            for value in re.findall(r'data-(?:refresh|start|state|level|interval|cron)="([^"]*)"', html):
                assert not re.fullmatch(r"\d+,\d+", value)

    def test_the_fields_of_the_form_stay(self, german: Client, schedules: dict[str, Schedule]) -> None:
        page = reverse("admin:schedules_schedule_change", args=[schedules["Year change"].pk])
        html = german.get(page).content.decode()
        (run_at,) = re.findall(r'name="run_at" value="([^"]*)"', html)
        assert datetime.fromisoformat(run_at)
        (timeout,) = re.findall(r'name="request_timeout" value="([^"]*)"', html)
        assert float(timeout) == 30

    def test_figures_for_people_have_commas_and_for_the_next_person_points(
        self, german: Client, schedules: dict[str, Schedule]
    ) -> None:
        shown = " ".join(visible_texts(german.get("/admin/schedules/").content.decode()))
        assert re.search(r"\d,\d %", shown)
        assert re.search(r"\d,\d s", shown)
        german.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        shown = " ".join(visible_texts(german.get("/admin/schedules/").content.decode()))
        assert re.search(r"\d\.\d %", shown)
        assert not re.search(r"\d,\d (%|s)", shown)


class TestEverybodyElse:
    @pytest.mark.parametrize("language", ["", "en", "en-GB,de;q=0.5", "fr", "x" * 600])
    def test_sees_english(self, admin_client: Client, schedules: dict[str, Schedule], language: str) -> None:
        for address in ("/admin/schedules/", LIST, RUNS):
            response: HttpResponse = admin_client.get(address, headers={"accept-language": language})  # type: ignore[assignment]
            html = response.content.decode()
            assert '<html lang="en"' in html
            assert "Zeitpl" not in html

    def test_the_look_for_english_finds_it(
        self, admin_client: Client, schedules: dict[str, Schedule], english_in: EnglishIn
    ) -> None:
        run = Run.objects.get(job_id="job-failed")
        for address, least in (
            ("/admin/schedules/", 30),
            (LIST, 30),
            (RUNS, 40),
            (ADD, 40),
            (reverse("admin:schedules_run_change", args=[run.pk]), 15),
        ):
            html = admin_client.get(address).content.decode()
            assert len(english_in(visible_texts(html))) >= least, address

    def test_an_answer_depends_on_the_language_that_was_asked_for(self, admin_client: Client) -> None:
        response = admin_client.get(LIST, headers=GERMAN)
        assert "accept-language" in response.headers["Vary"].lower()
        assert response.headers["Content-Language"] == "de"


def test_the_log_is_english_whoever_acts(german: Client, schedules: dict[str, Schedule]) -> None:
    from django.contrib.admin.models import LogEntry

    chosen = {"action": "disable", "_selected_action": [str(schedules["Sync orders"].pk)]}
    german.post(LIST, chosen | {"confirmed": "1"})
    german.post(reverse("admin:schedules_schedule_pause", args=[schedules["far"].pk]), {"reason": "Umzug"})
    told = [
        json.loads(entry.change_message)[0]["changed"]["fields"] for entry in LogEntry.objects.order_by("pk")
    ]
    assert told[0] == ["enabled (yes → no)"]
    assert told[1][1] == "pause reason (empty → Umzug)"


def test_what_the_worker_and_the_keeper_wrote_is_shown_as_it_is(
    german: Client, schedules: dict[str, Schedule], redis: redis_py.Redis
) -> None:
    run = Run.objects.get(job_id="job-skipped")
    html = german.get(reverse("admin:schedules_run_change", args=[run.pk])).content.decode()
    assert "Its worker said so." in html
    assert run.scheduled_for.tzinfo is UTC
