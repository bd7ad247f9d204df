"""Put the page of a trace together. Its data is described in format.py; what shows it lies in browser/."""

from __future__ import annotations

from typing import Any

from minicaffe.pages import asset, page

PACKAGE = "minicaffe.trace"
# in this order: each uses only what stands before it when the page opens
SCRIPTS = ("dom.js", "walk.js", "predict.js", "arrays.js", "products.js", "trail.js", "reads.js", "source.js",
           "update.js", "words.js", "keys.js", "page.js", "start.js")
DRAWING = "<!-- drawing -->"


def trace_page(data: dict[str, Any]) -> str:
    """Return the page that walks through the trace `data`, as HTML text without any file beside it."""
    body = asset(PACKAGE, "browser/page.html").replace(DRAWING, data["drawing"])
    held = {key: value for key, value in data.items() if key != "drawing"}  # it stands in the body already
    scripts = [asset(PACKAGE, f"browser/{name}") for name in SCRIPTS]
    return page(f"{data['net']}: forward, backward, update", body, styles=[asset(PACKAGE, "browser/page.css")],
                scripts=scripts, data=held)
