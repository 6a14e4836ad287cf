"""Every page of the admin that is ours, with the way to it: for tests that walk all of them, and for pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from django.urls import URLPattern, URLResolver, get_resolver, reverse
from playwright.sync_api import Page

from schedules.models import Run, RunStatus, Schedule
from tests.support.a_shop import API, NEVER_RAN, PAUSED

Step = Callable[[Page], None]


def _nothing(page: Page) -> None:
    """There is nothing more to do: the address is the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminPage:
    """One page, as it looks to somebody."""

    name: str
    """Also the name of its picture."""
    view: str
    """The name of its address in the URL configuration."""
    of: str | int | None = None
    """What the address is about: the name of a schedule, the status of a run, or the text itself."""
    query: str = ""
    then: Step = field(default=_nothing)
    """What leads on to the page from its address."""
    leads_to: str = ""
    """The name of the address where that ends, if it is another one."""
    is_pictured: bool = False
    is_pictured_narrow: bool = False

    @property
    def path(self) -> str:
        """The address, for the rows that there are now."""
        return reverse(self.view, args=[] if self.of is None else [self._key()]) + self.query

    def _key(self) -> Any:
        if self.of in RunStatus.values:
            runs = Run.objects.filter(status=self.of).exclude(output="", status__in=("succeeded", "failed"))
            return runs.order_by("-scheduled_for").values_list("pk", flat=True)[0]
        found = Schedule.objects.filter(name=self.of).values_list("pk", flat=True).first()
        return found or self.of


def _choose(action: str, count: int = 3) -> Step:
    def choose(page: Page) -> None:
        boxes = page.locator("input.action-select")
        for place in range(count):
            boxes.nth(place).check()
        page.get_by_label("Action:").select_option(action)
        page.get_by_role("button", name="Go", exact=True).click()
        page.wait_for_load_state()

    return choose


def _fill_in(page: Page) -> None:
    page.get_by_label("Name:", exact=True).fill("Stock report Hamburg")
    function = page.get_by_label("Function:", exact=True)
    function.select_option(function.locator("option").nth(-2).get_attribute("value"))
    page.get_by_label("Cron expression").fill("30 4 * * mon-fri")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.locator("#sch-preview tbody tr").nth(9).wait_for()
    page.locator("#sch-preview").get_by_text("Every weekday at 04:30").wait_for()


def _fill_in_request(page: Page) -> None:
    page.get_by_label("An HTTP request").check()
    page.get_by_label("Name:", exact=True).fill("Refresh delivery slots")
    page.get_by_label("URL").fill(API)
    page.get_by_label("Cron expression").fill("*/15 2 * * *")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.locator("#sch-preview [data-code]").first.wait_for()


def _save_with_mistakes(page: Page) -> None:
    page.get_by_label("Cron expression").fill("61 4 * * *")
    page.get_by_label("Positional arguments").fill('["Hamburg", 2, 3]')
    page.get_by_label("Time zone").fill("Europe/Berlim")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".errornote").wait_for()


def _test_request(page: Page) -> None:
    page.get_by_label("An HTTP request").check()
    page.get_by_label("URL").fill(API)
    page.get_by_role("button", name="Send a test request").click()
    page.locator("#sch-test-answer .sch-pill").wait_for()


def _test_request_without_script(page: Page) -> None:
    page.get_by_label("An HTTP request").check()
    page.get_by_label("URL").fill(API)
    with page.expect_navigation():
        page.evaluate(
            "() => { const form = document.getElementById('schedule_form');"
            " form.action = document.getElementById('sch-test-button').formAction;"
            " HTMLFormElement.prototype.submit.call(form); }"
        )


SCHEDULE: Final = "admin:schedules_schedule_"
RUN: Final = "admin:schedules_run_"
FAILING: Final = "Rebuild search index"
STOCK: Final = "Nightly stock report"

PAGES: Final[tuple[AdminPage, ...]] = (
    AdminPage(name="dashboard", view="dashboard", is_pictured=True, is_pictured_narrow=True),
    AdminPage(name="list", view=f"{SCHEDULE}changelist", is_pictured=True, is_pictured_narrow=True),
    AdminPage(name="list-filtered", view=f"{SCHEDULE}changelist", query="?state=attention&q=o"),
    AdminPage(name="list-none-match", view=f"{SCHEDULE}changelist", query="?q=nowhere"),
    AdminPage(name="add", view=f"{SCHEDULE}add", then=_fill_in, is_pictured=True, is_pictured_narrow=True),
    AdminPage(name="add-empty", view=f"{SCHEDULE}add"),
    AdminPage(name="add-request", view=f"{SCHEDULE}add", then=_fill_in_request, is_pictured=True),
    AdminPage(name="test-request", view=f"{SCHEDULE}add", then=_test_request, is_pictured=True),
    AdminPage(
        name="test-request-page",
        view=f"{SCHEDULE}add",
        leads_to=f"{SCHEDULE}test",
        then=_test_request_without_script,
    ),
    AdminPage(name="change", view=f"{SCHEDULE}change", of=FAILING, is_pictured=True),
    AdminPage(name="change-paused", view=f"{SCHEDULE}change", of=PAUSED),
    AdminPage(name="change-never-ran", view=f"{SCHEDULE}change", of=NEVER_RAN),
    AdminPage(
        name="change-mistakes",
        view=f"{SCHEDULE}change",
        of=STOCK,
        then=_save_with_mistakes,
        is_pictured=True,
    ),
    AdminPage(name="history", view=f"{SCHEDULE}history", of=FAILING, is_pictured=True),
    AdminPage(name="delete", view=f"{SCHEDULE}delete", of=STOCK, is_pictured=True),
    AdminPage(name="run-now", view=f"{SCHEDULE}run", of=STOCK, is_pictured=True),
    AdminPage(name="pause", view=f"{SCHEDULE}pause", of=STOCK, is_pictured=True),
    AdminPage(name="resume", view=f"{SCHEDULE}resume", of=PAUSED, is_pictured=True),
    AdminPage(name="many-run-now", view=f"{SCHEDULE}changelist", then=_choose("run_now")),
    AdminPage(name="many-pause", view=f"{SCHEDULE}changelist", then=_choose("pause"), is_pictured=True),
    AdminPage(
        name="many-resume", view=f"{SCHEDULE}changelist", query="?state=paused", then=_choose("resume", 1)
    ),
    AdminPage(name="many-enable", view=f"{SCHEDULE}changelist", then=_choose("enable")),
    AdminPage(name="many-disable", view=f"{SCHEDULE}changelist", then=_choose("disable")),
    AdminPage(name="pause-all", view=f"{SCHEDULE}pause_all", is_pictured=True),
    AdminPage(name="resume-all", view=f"{SCHEDULE}resume_all"),
    AdminPage(name="resync", view=f"{SCHEDULE}resync", is_pictured=True),
    AdminPage(name="many-copy", view=f"{SCHEDULE}changelist", then=_choose("copy")),
    AdminPage(name="many-delete", view=f"{SCHEDULE}changelist", then=_choose("remove")),
    AdminPage(name="runs", view=f"{RUN}changelist", is_pictured=True, is_pictured_narrow=True),
    AdminPage(name="runs-none-match", view=f"{RUN}changelist", query="?q=nowhere"),
    AdminPage(name="run-failed", view=f"{RUN}change", of="failed", is_pictured=True, is_pictured_narrow=True),
    AdminPage(name="run-succeeded", view=f"{RUN}change", of="succeeded", is_pictured=True),
    AdminPage(name="run-running", view=f"{RUN}change", of="running"),
    *(
        AdminPage(name=f"run-{status}", view=f"{RUN}change", of=status)
        for status in ("queued", "skipped", "missed", "canceled", "abandoned")
    ),
    AdminPage(name="run-awaited", view=f"{RUN}of_job", of="a-job-to-come", is_pictured=True),
    AdminPage(name="run-again", view=f"{RUN}again", of="failed", is_pictured=True),
    AdminPage(name="run-stop", view=f"{RUN}stop", of="running", is_pictured=True),
    AdminPage(name="run-history", view=f"{RUN}history", of="succeeded"),
    AdminPage(name="run-delete", view=f"{RUN}delete", of="succeeded"),
)
"""With the rows of `make_shop`."""

EMPTY_PAGES: Final[tuple[AdminPage, ...]] = (
    AdminPage(name="first-steps", view="dashboard", is_pictured=True),
    AdminPage(name="list-empty", view=f"{SCHEDULE}changelist", is_pictured=True),
    AdminPage(name="runs-empty", view=f"{RUN}changelist"),
)
"""Without any row."""

AWAY_PAGES: Final[tuple[AdminPage, ...]] = (
    AdminPage(name="redis-away", view=f"{SCHEDULE}changelist", is_pictured=True),
)
"""While Redis is away."""

PICTURED: Final = tuple(page for page in (*PAGES, *EMPTY_PAGES, *AWAY_PAGES) if page.is_pictured)
"""Left out is what looks as another page does, or is Django's own."""


def names_of_pictures() -> list[str]:
    """Return the names of all files in docs/pictures."""
    return [
        f"{page.name}{suffix}-{scheme}.png"
        for page in PICTURED
        for suffix in (("", "-narrow") if page.is_pictured_narrow else ("",))
        for scheme in ("light", "dark")
    ]


NO_PAGES: Final = {
    f"{SCHEDULE}preview": "a part of the form's page",
    f"{RUN}add": "nobody writes the ledger by hand: 403",
    f"{SCHEDULE}health": "a part of every page",
    "admin:app_list": "leads to the dashboard",
}


def addresses_of_the_admin() -> set[str]:
    """Return the names of all addresses under the admin that lead to this app, by the URL configuration."""
    found = {"dashboard"}
    for entry in get_resolver().url_patterns:
        if isinstance(entry, URLResolver) and entry.namespace == "admin":
            found |= set(_names(entry.url_patterns))
    return found


def _names(patterns: list[Any]) -> list[str]:
    names: list[str] = []
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            name = pattern.name or ""
            if name.startswith("schedules_") or name == "app_list":
                names.append(f"admin:{name}")
        else:
            names += _names(pattern.url_patterns)
    return names
