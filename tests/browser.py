"""Open pages in a real browser, from the disk, without a network. The tests that do so are slow ones."""

import re
import shutil
from contextlib import contextmanager

import pytest
from extras import needs

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
PATIENCE = 180_000  # milliseconds that a start or a wait may take; a busy machine needs more than Playwright's 30 s


@contextmanager
def browser():
    """A browser without a window; the test is skipped where none is installed."""
    playwright = needs("playwright.sync_api")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("needs a browser: apt install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def opened(chromium, file, *, width=1280, height=900, scheme="light"):
    """A page opened from the disk. What its scripts complain of, and whatever it asks of a network, fails the test."""
    context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page, faults = context.new_page(), []
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: faults.append(asked.url) if re.match("(?!file:|data:|blob:)", asked.url) else None)
    page.goto(file.resolve().as_uri())
    yield page
    context.close()
    assert [] == faults


OVERFLOWING = """() => {
  const wide = document.documentElement.clientWidth, found = [];
  const clipped = e => { for (let p = e.parentElement; p; p = p.parentElement) {
    if (getComputedStyle(p).overflowX !== "visible") return true; } return false; };
  for (const e of document.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > wide + 1 && !clipped(e)) found.push(e.tagName + "." + e.getAttribute("class"));
  }
  return found.concat(document.documentElement.scrollWidth > wide ? ["the page scrolls sideways"] : []);
}"""


def overflowing(page):
    """What reaches over the right edge of the page, and is in nothing that scrolls by itself."""
    return page.evaluate(OVERFLOWING)
