"""Rows with HTML, marks that turn text around, NUL, emoji and 100 KB: every page shows them harmlessly."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any, Final

import pytest
import redis as redis_py
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from schedules.admin.figures import forget_figures
from schedules.models import Run, Schedule
from tests.django.test_rights import ours

NUL: Final = "" if settings.DATABASES["default"]["ENGINE"].endswith("postgresql") else "\x00"
"""PostgreSQL keeps no NUL in a text."""
EVIL: Final = (
    f"</td></textarea></title>'\"><evil data-evil=1 onevil=1><script>evil()</script>&lt;evil&gt;{NUL}\x1b[31m\x07"
    "\u202egnp.exe\u2066\u200f\ufeff\u200b 👩‍👩‍👧 {{ evil }} {% evil %}"
)
TRICKS: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
LONG: Final = EVIL + "x" * 50_000 + "<evil>" * 10_000
"""Over 100 KB."""
FORMS: Final = ("/change/", "/run/", "/add/")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


class Page(HTMLParser):
    """What a browser would see: elements, attributes, and the text that is not a value of a form."""

    VALUES: Final = {"value", "content", "data-doc", "data-signature"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.injected: list[str] = []
        self.seen: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _value in attrs]
        if "evil" in tag or any("evil" in name for name in names):
            self.injected.append(self.get_starttag_text() or tag)
        if tag == "script" and "src" not in names:
            self.inside.append("script")
        if tag in ("textarea", "option"):
            self.inside.append(tag)
        for name, value in attrs:
            is_value = name == "value" and tag in ("input", "option", "button")
            if value and not is_value:
                if name in ("href", "src", "action") and value.strip().lower().startswith("javascript"):
                    self.injected.append(value)
                self.seen.append(value)

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] == "script":
            if "evil" in data:
                self.injected.append(data[:80])
        elif not (self.inside and self.inside[-1] == "textarea"):
            # A value in a form must come back as it is; a field is a box of its own, and turns nothing around it.
            self.seen.append(data)


def check(html: str, address: str) -> None:
    page = Page()
    page.feed(html)
    page.close()
    assert not page.injected, (address, page.injected[:3])
    for text in page.seen:
        found = TRICKS.search(text)
        assert found is None, (
            address,
            ascii(found),
            ascii(text[max(0, found.start() - 80) : found.end() + 40]),
        )


@pytest.fixture(autouse=True)
def _rows(redis: redis_py.Redis, admin_user: User) -> None:
    forget_figures()
    now = timezone.now()
    schedules = [
        # Past every validation, as a hand or another program may write them.
        Schedule(
            name=f"{n}{EVIL}"[:200],
            description=LONG,
            func=(f"shop.jobs.{EVIL}" if n else "tests.shop.jobs.sync_orders")[:255],
            args=[LONG.replace("\x00", ""), 1],
            kwargs={EVIL.replace("\x00", ""): LONG.replace("\x00", "")},
            tags=[EVIL.replace("\x00", "")] * 20,
            queue=EVIL[:100],
            notify_email=LONG,
            kind="interval" if n else "cron",
            interval=60 if n else None,
            cron=None if n else EVIL[:255],
            timezone=EVIL[:64] if n == 2 else "UTC",
            paused_at=now if n == 3 else None,
            pause_reason=EVIL[:500],
            next_run_at=now,
            failures_in_a_row=n,
            last_status="failed",
            alarm="failing",
        )
        for n in range(5)
    ]
    Schedule.objects.bulk_create(schedules)
    Run.objects.bulk_create(
        Run(
            schedule=schedule,
            schedule_name=schedule.name,
            scheduled_for=now - timedelta(minutes=n),
            started_at=now - timedelta(minutes=n),
            finished_at=now,
            duration=1.0,
            delay=0.1,
            status="failed" if n % 2 else "succeeded",
            func=schedule.func,
            payload=LONG if n % 3 else '{"args": ["<evil>"], "kwargs": {"\u202e<evil>": "\u202e"}}',
            queue=EVIL[:100],
            worker=EVIL[:200],
            job_id=f"{n}-{schedule.pk}{EVIL}"[:200],
            exception=LONG,
            reason=LONG,
            traceback=f'Traceback (most recent call last):\n  File "{EVIL}", line 3, in {EVIL}\n    {LONG}\n{LONG}',
            result=LONG,
            output=LONG,
            started_by=EVIL[:150],
        )
        for schedule in schedules
        for n in range(12)
    )
    for schedule in schedules:
        for message in (LONG, [{"values": {"name": [LONG, EVIL]}, "payload": {"args": [[LONG], [EVIL]]}}]):
            LogEntry.objects.log_actions(admin_user.pk, [schedule], 2, message)


def test_every_page_of_every_row(admin_client: Client) -> None:
    addresses = {*ours(), "/admin/", "/admin/schedules/?window=week"}
    for schedule in Schedule.objects.all():
        addresses |= {
            reverse(f"admin:schedules_schedule_{verb}", args=[schedule.pk])
            for verb in ("change", "history", "delete", "run", "pause", "resume")
        }
        addresses.add(f"{reverse('admin:schedules_schedule_add')}?copy={schedule.pk}")
        addresses.add(f"{reverse('admin:schedules_run_changelist')}?schedule={schedule.pk}")
    for run in Run.objects.order_by("pk")[:6]:
        addresses |= {
            reverse(f"admin:schedules_run_{verb}", args=[run.pk])
            for verb in ("change", "history", "delete", "again", "stop")
        }
    looked_at = 0
    for address in sorted(addresses):
        answer = admin_client.get(address)
        assert answer.status_code in (200, 301, 302, 403, 404, 405), (address, answer.status_code)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            looked_at += 1
            html = answer.content.decode()
            check(html, address)
            # The form of a schedule has to bring back what it got; a run's page shows the ends of four texts.
            bound = 1_200_000 if any(part in address for part in FORMS) else 400_000
            assert len(html) < bound, (address, len(html))
    assert looked_at > 60


@pytest.mark.parametrize("action", ["run_now", "pause", "resume", "enable", "disable", "copy", "remove"])
def test_every_question_of_the_list(admin_client: Client, action: str) -> None:
    Schedule.objects.filter(failures_in_a_row=4).update(enabled=False)
    chosen = [str(key) for key in Schedule.objects.values_list("pk", flat=True)]
    answer = admin_client.post(
        reverse("admin:schedules_schedule_changelist"), {"action": action, "_selected_action": chosen}
    )
    assert answer.status_code == 200
    check(answer.content.decode(), action)
    assert len(answer.content) < 400_000


@pytest.mark.parametrize(
    "query",
    [
        {"q": EVIL},
        {"state": EVIL},
        {"queue": EVIL, "tag": EVIL},
        {"o": EVIL, "p": EVIL},
        {"window": EVIL},
        {"before": EVIL, "after": EVIL, "since": EVIL, "trigger": EVIL, "schedule": EVIL},
        {"copy": EVIL},
        {"kind": "cron", "cron": EVIL, "timezone": EVIL, "id": EVIL, "run_at": EVIL, "interval": EVIL},
    ],
)
def test_what_stands_in_an_address(admin_client: Client, query: dict[str, Any]) -> None:
    for name in (
        *("schedules_schedule_changelist", "schedules_run_changelist", "schedules_schedule_add"),
        "schedules_schedule_preview",
    ):
        answer = admin_client.get(reverse(f"admin:{name}"), query)
        assert answer.status_code in (200, 302), (name, answer.status_code)
        check(answer.content.decode(), name)


def test_what_is_sent_and_refused(admin_client: Client) -> None:
    fields = ("name", "description", "func", "args", "kwargs", "tags", "queue", "cron", "timezone", "run_at")
    answer = admin_client.post(
        reverse("admin:schedules_schedule_add"), dict.fromkeys(fields, EVIL) | {"kind": "cron"}
    )
    assert answer.status_code == 200
    check(answer.content.decode(), "add")
    schedule = Schedule.objects.order_by("failures_in_a_row")[1]
    for verb, data in {
        "pause": {"reason": EVIL, "until": EVIL},
        "run": {"token": EVIL, "args": f'["{EVIL}', "kwargs": EVIL},
        "change": dict.fromkeys(fields, EVIL) | {"kind": EVIL, "version": EVIL},
    }.items():
        answer = admin_client.post(
            reverse(f"admin:schedules_schedule_{verb}", args=[schedule.pk]), data, follow=True
        )
        assert answer.status_code == 200, verb
        check(answer.content.decode(), verb)
