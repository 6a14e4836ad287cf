"""What keeps somebody from using a page: found by axe, by measuring, and by walking it with the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import axe_playwright_python
from playwright.sync_api import Page

AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
WCAG: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")

RUN_AXE: Final = """
async (tags) => {
  document.getAnimations().forEach((one) => one.finish());  // colours on their way are nobody's colours
  const options = { resultTypes: ["violations"], preload: false, iframes: false };
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, ...options });
  return found.violations.map((one) =>
    `${one.id} ×${one.nodes.length}: ${one.nodes[0].html.slice(0, 160)} ` +
    (one.nodes[0].failureSummary || "").slice(0, 240));
}
"""

CUT_OFF: Final = """
() => {
  const wide = document.documentElement.clientWidth;
  const found = [];
  const sideways = document.documentElement.scrollWidth - wide;
  if (sideways > 0) found.push(`the page is ${sideways} px wider than the screen`);
  const some = (element, is) => element && (is(getComputedStyle(element)) || some(element.parentElement, is));
  const scrolls = (element) => some(element, (style) => /auto|scroll/.test(style.overflowX));
  const isHidden = (element) => some(element, (style) => style.clipPath !== "none");
  for (const element of document.querySelectorAll("#content *, #sch-banners *")) {
    if (element.matches("input, select, textarea, option, svg *") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const out = box.right > wide + 1 || box.left < -1;
    const cut = /hidden|clip/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1
      && style.webkitLineClamp === "none";
    if ((out || cut) && style.visibility !== "hidden" && !isHidden(element) && !scrolls(element.parentElement)) {
      found.push(`${out ? "out of the screen" : "cut off"}: ${element.outerHTML.slice(0, 120)}`);
    }
  }
  return found.slice(0, 5);
}
"""

WALK: Final = """
() => {
  const controls = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]");
  // Of a group of radio buttons, Tab reaches the chosen one; the arrows the others.
  const isOther = (one) => one.type === "radio" && !one.checked
    && document.querySelector(`input[type=radio][name="${one.name}"]:checked`);
  const all = [...controls].filter((one) => !one.disabled && one.tabIndex >= 0 && one.type !== "hidden"
    && one.checkVisibility({ visibilityProperty: true }) && !isOther(one));
  const found = [];
  let before = null;
  const main = document.getElementById("content-main") || document.getElementById("content");
  for (const one of all) {
    const short = one.outerHTML.slice(0, 120);
    if (one.tabIndex > 0) found.push(`has an order of its own: ${short}`);
    one.focus({ focusVisible: true });
    if (document.activeElement !== one) { found.push(`cannot be reached: ${short}`); continue; }
    const style = getComputedStyle(one);
    if (style.outlineStyle === "none" || style.outlineWidth === "0px") found.push(`its focus is not seen: ${short}`);
    // The admin itself puts the buttons that end a column's sorting before its name, and shows them behind it.
    if (!main || !main.contains(one) || one.closest(".sortoptions")) continue;
    const box = one.getBoundingClientRect();
    const place = { top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left, right: box.right };
    // The next one lies below, or on the same line further on, or in the next column.
    const isBeside = before && place.top < before.bottom - 4 && place.bottom > before.top + 4;
    const goesUp = before && place.bottom <= before.top && place.left < before.right;
    const goesBack = isBeside && place.right <= before.left;
    if (goesUp || goesBack) found.push(`is out of order: ${short}`);
    before = place;
  }
  document.activeElement.blur();
  scrollTo(0, 0);
  return found;
}
"""


def axe(page: Page) -> list[str]:
    """Return what axe finds by WCAG 2.2 A and AA."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    found: list[str] = page.evaluate(RUN_AXE, list(WCAG))
    return found


def cut_off(page: Page) -> list[str]:
    """Return what of the page cannot be seen without scrolling sideways."""
    found: list[str] = page.evaluate(CUT_OFF)
    return found


def walked(page: Page) -> list[str]:
    """Return what is wrong with the order, the reach or the visible focus of what a keyboard can use."""
    found: list[str] = page.evaluate(WALK)
    return found


def skipped(page: Page) -> list[str]:
    """Return what is wrong with the first link of a page that has just been opened: past the menus, to the content."""
    if page.evaluate("!!document.activeElement.closest('#content form')"):
        return []  # a form to be filled in begins in its first field
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.className") != "skip-to-content-link":
        return ["the first Tab does not lead to the skip link"]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    # Where the content has nothing to stop at, the page begins again.
    passes = (
        "document.activeElement.closest('#content, #sch-banners') || document.activeElement === document.body"
    )
    if not page.evaluate(f"!!({passes})"):
        there: str = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        return [f"after the skip link, Tab leads to {there}"]
    return []
