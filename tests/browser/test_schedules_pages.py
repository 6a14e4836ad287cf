"""The pages of schedules in a browser: few touches, no inline code, readable for all."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from schedules.models import Schedule
from tests.support.samples import make_samples

LIST = reverse("admin:schedules_schedule_changelist")
ADD = reverse("admin:schedules_schedule_add")
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"

pytestmark = pytest.mark.usefixtures("redis")


@pytest.fixture
def open_page(page: Page, client: Client, live_server: LiveServer) -> Page:
    """A page of a superuser."""
    client.force_login(User.objects.create_superuser("ada"))
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    return page


@pytest.fixture
def admin_page(open_page: Page) -> Page:
    """The same under a policy that allows no inline script and no inline style; what breaks it is an error."""

    def with_policy(route: Route) -> None:
        if route.request.resource_type != "document":
            route.continue_()
            return
        # The browser follows redirects itself: their cookies must reach it.
        answer = route.fetch(max_redirects=0)
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})

    open_page.route("**/admin/schedules/**", with_policy)
    return open_page


def pages_of(made: dict[str, Schedule]) -> tuple[str, ...]:
    orders = made["Sync orders"]
    return (
        LIST,
        ADD,
        change_page(orders),
        change_page(made["Breaking news"]),
        reverse("admin:schedules_schedule_run", args=[orders.pk]),
        reverse("admin:schedules_schedule_pause", args=[orders.pk]),
    )


def change_page(schedule: Schedule) -> str:
    return reverse("admin:schedules_schedule_change", args=[schedule.pk])


def test_weekdays_at_half_past_four_in_berlin_take_four_fields_and_the_preview_is_right(
    admin_page: Page, live_server: LiveServer
) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    page.get_by_label("Name:", exact=True).fill("Stock")
    page.get_by_label("Function:", exact=True).select_option("tests.shop.jobs.sync_stock")
    page.get_by_label("Cron expression").fill("30 4 * * mon-fri")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    preview = page.locator("#sch-preview")
    expect(preview).to_contain_text("Every weekday at 04:30")
    rows = preview.locator("tbody time")
    expect(rows).to_have_count(10)
    for text in rows.all_text_contents():
        assert "04:30 CE" in text
        assert text[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri")
    first = rows.first.get_attribute("datetime")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    schedule = Schedule.objects.get(name="Stock")
    assert (schedule.cron, schedule.timezone) == ("30 4 * * mon-fri", "Europe/Berlin")
    expect(page.locator(f'.sch-list time[datetime="{first}"]')).to_be_visible()


def test_only_the_fields_of_the_chosen_kind_are_shown(admin_page: Page, live_server: LiveServer) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    expect(page.get_by_label("Cron expression")).to_be_visible()
    page.get_by_label("Every", exact=True).check()
    expect(page.get_by_label("Cron expression")).to_be_hidden()
    page.get_by_role("button", name="Weekdays").click()
    expect(page.get_by_label("Cron expression")).to_have_value("0 4 * * mon-fri")
    expect(page.get_by_label("URL")).to_be_hidden()
    page.get_by_label("An HTTP request").check()
    expect(page.get_by_label("URL")).to_be_visible()
    expect(page.get_by_label("Positional arguments")).to_be_hidden()


def test_a_mistake_is_told_while_it_is_typed_and_nothing_is_lost(
    admin_page: Page, live_server: LiveServer
) -> None:
    page = admin_page
    page.goto(live_server.url + ADD)
    page.get_by_label("Cron expression").fill("75 * * * *")
    expect(page.locator("#sch-preview .sch-note[data-level=error]")).to_be_visible()
    page.get_by_label("Cron expression").fill("15 * * * *")
    expect(page.locator("#sch-preview tbody tr")).to_have_count(10)
    expect(page.get_by_label("Cron expression")).to_have_value("15 * * * *")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    open_page: Page, live_server: LiveServer, scheme: str, width: int
) -> None:
    page = open_page
    made = make_samples(timezone.now())
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    found = []
    for url in pages_of(made):
        page.goto(live_server.url + url)
        results = Axe().run(
            page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
        )
        if results.violations_count:
            found.append(f"{url}\n{results.generate_report()}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
    assert not found, "\n".join(found)


def test_no_page_needs_inline_code(admin_page: Page, live_server: LiveServer) -> None:
    # The fixture fails on every error in the console: a blocked script or style is one.
    for url in pages_of(make_samples(timezone.now())):
        answer = admin_page.goto(live_server.url + url)
        assert answer is not None
        assert answer.status == 200
        assert "content-security-policy" in answer.headers
