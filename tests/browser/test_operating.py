"""Somebody operates the real thing with a browser: web server, scheduler and worker are processes on a Redis."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from schedules.timing import CronTrigger, upcoming
from tests.acceptance.conftest import empty_database, make_product, product, shared_product  # noqa: F401
from tests.acceptance.pages import Admin
from tests.acceptance.product import Product
from tests.browser.conftest import log_in, watch
from tests.support.waiting import wait_for

JOBS = "tests.acceptance.newsroom.jobs"
LIST = "/admin/schedules/schedule/"
ADD = f"{LIST}add/"
RUNS = "/admin/schedules/run/"
SOON = 20_000
"""Milliseconds within which something comes by itself: pages ask every few seconds, health every ten."""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def admin(shared_product: Product) -> Admin:  # noqa: F811
    """Somebody who is logged in, and prepares what the browser then finds."""
    shared_product.ensure("redis", "web", "rqscheduler", "rqworker")
    return shared_product.admin()


@pytest.fixture
def browsed(page: Page, product: Product, admin: Admin) -> Page:  # noqa: F811
    """The same person's browser, on the list."""
    log_in(page, product.url, admin.session.cookies["sessionid"])
    page.goto(product.url + LIST)
    return page


def row_of(page: Page, name: str) -> object:
    return page.locator(".sch-list tr", has=page.get_by_role("link", name=name, exact=True))


def test_weekdays_at_half_past_four_in_berlin_take_four_fields_and_run_as_the_preview_says(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    page = browsed
    page.get_by_role("link", name="Add schedule").click()
    touched = 0
    for label, value in (
        ("Name:", "Weekdays in Berlin"),
        ("Function:", f"{JOBS}.record"),
        ("Cron expression:", "30 4 * * mon-fri"),
        ("Time zone:", "Europe/Berlin"),
    ):
        field = page.get_by_label(label, exact=True)
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
        touched += 1
    assert touched <= 6
    preview = page.locator("#sch-preview")
    expect(preview).to_contain_text("Every weekday at 04:30")
    rows = preview.locator("tbody time")
    expect(rows).to_have_count(10)
    for text in rows.all_text_contents():
        assert "04:30 CE" in text
        assert text[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri")
    shown = [
        datetime.fromisoformat(moment)
        for moment in rows.evaluate_all("all => all.map((one) => one.dateTime)")
    ]
    engine = CronTrigger(expression="30 4 * * mon-fri", timezone="Europe/Berlin")
    assert shown == upcoming(engine, shown[0] - timedelta(seconds=1), 10)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    schedule_id = admin.id_of("Weekdays in Berlin")
    assert product.score(schedule_id) == shown[0].timestamp(), "the scheduler holds the first row"
    expect(page.locator(f'.sch-list time[datetime="{shown[0].astimezone(UTC).isoformat()}"]')).to_be_visible()


def test_run_now_is_asked_first_and_its_end_is_seen_without_a_click(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    gate = product.folder / "gate-of-run-now"
    admin.add(name="By hand", func=f"{JOBS}.work_until_told", args=f'["By hand", "{gate}"]', interval=86_400)
    page = browsed
    page.reload()
    page.get_by_role("link", name="By hand", exact=True).click()
    page.get_by_role("link", name="Run now").click()
    expect(page.get_by_role("heading", name="Run “By hand” now?")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("“By hand” is queued.")).to_be_visible()
    page.get_by_role("link", name="See the run").click()
    pill = page.locator("#content-main .sch-pill").first
    expect(pill).to_have_text("Running", timeout=SOON)
    expect(page.get_by_role("link", name="Stop")).to_be_visible()
    gate.touch()
    expect(pill).to_have_text("OK", timeout=SOON)
    expect(page.locator("dd", has_text="told").last).to_be_visible()
    expect(page.get_by_role("link", name="Stop")).not_to_be_visible()
    page.goto(product.url + LIST)
    expect(row_of(page, "By hand").locator(".sch-pill").first).to_have_text("OK")  # type: ignore[attr-defined]


def test_from_a_failure_on_the_list_it_is_one_click_to_the_traceback(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    schedule_id = admin.add(name="Hopeless", func=f"{JOBS}.fail", args='["Hopeless"]', interval=1)
    wait_for(lambda: product.ran("Hopeless"), seconds=20)
    admin.change(schedule_id, enabled=False)
    page = browsed
    wait_for(lambda: "ValueError: Hopeless cannot work" in admin.get(f"{LIST}?q=Hopeless"), seconds=20)
    page.reload()
    row = row_of(page, "Hopeless")
    expect(row.get_by_text("ValueError: Hopeless cannot work")).to_be_visible()  # type: ignore[attr-defined]
    row.get_by_role("link", name="Failed").click()  # type: ignore[attr-defined]
    expect(page.locator("#content-main h1")).to_have_text("ValueError: Hopeless cannot work")
    expect(page.locator(".sch-traceback")).to_contain_text('raise ValueError(f"{label} cannot work")')
    expect(page.locator(".sch-traceback").get_by_text("in fail")).to_be_visible()


def test_a_pause_with_reason_and_end_is_seen_everywhere_and_ended_by_hand(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    schedule_id = admin.add(name="To rest", func=f"{JOBS}.record", args='["To rest"]', interval=3600)
    page = browsed
    page.reload()
    page.get_by_role("link", name="To rest", exact=True).click()
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Reason").fill("The database moves")
    page.get_by_label("Until").fill("2099-05-01T12:00:00")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("1 schedule is paused.")).to_be_visible()
    standing = page.locator(".sch-standing")
    expect(standing.locator(".sch-pill").first).to_have_text("Paused")
    expect(standing).to_contain_text("until 1 May 2099 12:00 UTC · The database moves")
    page.get_by_role("link", name="See all that are paused").click()
    row = row_of(page, "To rest")
    expect(row).to_contain_text("until 1 May 2099 12:00 UTC · The database moves")  # type: ignore[arg-type]
    assert (product.score(schedule_id) or 0) > time.time() + 10 * 365 * 86_400, "the scheduler waits for it"
    page.get_by_role("link", name="To rest", exact=True).click()
    page.get_by_role("link", name="Resume", exact=True).click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("“To rest” is resumed. Its next planned run is ")).to_be_visible()
    expect(standing.locator(".sch-pill", has_text="Paused")).to_have_count(0)
    expect(standing.locator("time").first).to_be_visible()
    assert 0 < (product.score(schedule_id) or 0) - time.time() <= 3600


def test_redis_goes_away_under_an_open_form_and_nothing_is_lost(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    page = browsed
    page.goto(product.url + ADD)
    page.get_by_label("Name:", exact=True).fill("Filled in meanwhile")
    page.get_by_label("Function:", exact=True).select_option(f"{JOBS}.record")
    page.get_by_label("Positional arguments:").fill('["Filled in meanwhile"]')
    page.get_by_label("Cron expression:").fill("*/7 * * * *")
    page.get_by_label("Description:").fill("Typed before Redis went away")
    product.end("redis")
    banner = page.locator("#sch-banners .sch-banner", has_text="S101")
    expect(banner).to_be_visible(timeout=SOON)
    expect(page.get_by_label("Name:", exact=True)).to_have_value("Filled in meanwhile")
    page.get_by_label("Cron expression:").fill("*/5 * * * *")
    expect(page.locator("#sch-preview")).to_contain_text("Every 5 minutes")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    expect(page.get_by_text("the change waits and is applied when it is back")).to_be_visible()
    expect(banner).to_be_visible()
    for label, value in (
        ("Positional arguments:", '["Filled in meanwhile"]'),
        ("Cron expression:", "*/5 * * * *"),
        ("Description:", "Typed before Redis went away"),
    ):
        expect(page.get_by_label(label)).to_have_value(value)
    page.goto(product.url + LIST)
    expect(banner).to_be_visible()
    expect(page.locator("#sch-health")).to_contain_text("not reachable")

    product.start("redis")
    begun = time.monotonic()
    schedule_id = admin.id_of("Filled in meanwhile")
    wait_for(
        lambda: product.score(schedule_id), seconds=60, what="the scheduler holds what was saved meanwhile"
    )
    expect(banner).to_have_count(0, timeout=SOON)
    expect(page.locator("#sch-banners")).not_to_contain_text("S104", timeout=SOON)
    expect(page.locator("#sch-health")).not_to_contain_text("not reachable")
    assert time.monotonic() - begun < 60


class Keys:
    """Somebody without a mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def to(self, text: str, *, most: int = 150) -> None:
        """Press Tab until what has the focus is called so (a regular expression)."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if re.fullmatch(text, self.called()):
                return
        raise AssertionError(f"Tab does not lead to {text!r}; it is at {self.called()!r}")

    def called(self) -> str:
        """Return the label or the words of what has the focus."""
        called: str = self.page.evaluate(
            "() => { const one = document.activeElement;"
            " return (one.labels && one.labels.length ? one.labels[0].innerText : one.ariaLabel || one.innerText"
            " || one.value || '').trim(); }"
        )
        return called.partition("\n")[0].rstrip(": ")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Replace what stands in the field."""
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def follow(self, text: str) -> None:
        """Go to a link or a button, and press it; the page that follows has come."""
        self.to(text)
        with self.page.expect_event("load"):
            self.press("Enter")


def test_everything_is_done_with_the_keyboard(
    browsed: Page,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    page, keys = browsed, Keys(browsed)
    keys.press("Tab", "Enter")  # past the menus
    keys.follow("Add schedule")
    keys.type("With ten fingers")  # the cursor is there already
    keys.to("Function")
    page.keyboard.type(f"{JOBS}.record")  # chooses the option that begins so
    keys.to("Positional arguments")
    keys.type('["With ten fingers"]')
    keys.to("Cron", most=12)
    keys.press("ArrowRight")  # to "Every"
    keys.to("Every", most=12)
    keys.type("1h")
    expect(page.locator("#sch-preview tbody tr")).to_have_count(10)
    keys.press("Enter")  # as in every form: saves it
    expect(page.get_by_text("was added successfully")).to_be_visible()

    keys.follow("With ten fingers")
    keys.follow("Run now")
    keys.follow("Run now")  # the answer to the question
    expect(page.get_by_text("“With ten fingers” is queued.")).to_be_visible()
    keys.follow("See the run")
    pill = page.locator("#content-main .sch-pill").first
    expect(pill).to_have_text("OK", timeout=SOON)
    keys.follow("Open schedule")

    keys.follow("Pause")
    keys.to("Reason")
    keys.type("lunch")
    keys.press("Enter")
    expect(page.get_by_text("1 schedule is paused.")).to_be_visible()
    keys.follow("Resume")
    keys.follow("Resume")
    expect(page.get_by_text("“With ten fingers” is resumed.")).to_be_visible()

    page.goto(f"{product.url}{LIST}?q=With+ten+fingers")
    keys.to("Action.*")
    page.keyboard.type("Pause")
    keys.to("Select this object for an action.*")
    keys.press("Space")
    keys.press("Shift+Tab")  # back over the head of the table
    while keys.called() != "Go":
        keys.press("Shift+Tab")
    with page.expect_event("load"):
        keys.press("Enter")
    expect(page.get_by_role("heading", name="Pause 1 schedule?")).to_be_visible()
    keys.follow("Cancel")

    keys.follow("Runs")
    keys.to("Trigger.*")
    page.keyboard.type("run now")
    keys.follow("Show")
    assert "trigger=manual" in page.url
    keys.follow("OK")
    assert "state=succeeded" in page.url
    expect(page.get_by_role("link", name="With ten fingers")).to_be_visible()

    page.goto(f"{product.url}/admin/schedules/")
    keys.to("The same as a table")
    keys.press("Space")
    expect(page.locator(".sch-as-table table")).to_be_visible()
    keys.follow("last week")
    assert "window=week" in page.url
    expect(page.locator('a.sch-chip[aria-current="true"]')).to_have_text("last week")


def test_without_javascript_everything_is_done_as_well(
    browser: Browser,
    product: Product,  # noqa: F811
    admin: Admin,
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    faults = watch(page)
    log_in(page, product.url, admin.session.cookies["sessionid"])
    page.goto(product.url + ADD)
    page.get_by_label("Name:", exact=True).fill("Plain")
    page.get_by_label("Function:", exact=True).select_option(f"{JOBS}.record")
    page.get_by_label("Positional arguments:").fill('["Plain"]')
    page.get_by_label("Cron expression:").fill("75 4 * * *")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#sch-preview .sch-note")).to_be_visible()
    page.get_by_label("Cron expression:").fill("15 4 * * *")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#sch-preview tbody tr")).to_have_count(10)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    page.locator(".sch-list").get_by_role("link", name="Plain", exact=True).click()
    page.get_by_role("link", name="Run now").click()
    page.get_by_role("button", name="Run now").click()
    wait_for(lambda: product.ran("Plain"), seconds=20)
    page.get_by_role("link", name="See the run").click()
    pill = page.locator("#content-main .sch-pill").first
    wait_for(lambda: page.reload() and pill.count() and pill.inner_text() == "OK", seconds=20)
    page.get_by_role("link", name="Open schedule").click()
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Reason").fill("no reason")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".sch-standing .sch-pill").first).to_have_text("Paused")
    page.goto(f"{product.url}{LIST}?q=Plain")
    page.get_by_label("Action:").select_option("resume")
    page.locator("input.action-select").check()
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("“Plain” is resumed.")).to_be_visible()
    context.close()
    assert faults == []
