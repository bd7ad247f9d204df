"""Put a page together from its parts."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from minicaffe.log import visible

# No page may fetch anything. A browser refuses what this policy does not name, even if a user's text in a page asks.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, body: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = (), data: Any = None,
         lang: str = "en") -> str:
    """Return a whole page as text.

    title      plain text; all other text that comes from users must be HTML already: see `clean`
    body       HTML, inside of <body>
    styles     texts of style sheets, which follow base.css
    scripts    texts of scripts, which run in order when the body is there
    data       what scripts read as JSON: `JSON.parse(document.getElementById("data").textContent)`
    """
    parts = ["<!DOCTYPE html>", f'<html lang="{lang}">', "<head>", '<meta charset="utf-8">',
             f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
             '<meta name="viewport" content="width=device-width, initial-scale=1">',
             f"<title>{clean(title)}</title>",
             *(f"<style>\n{style}</style>" for style in (asset("minicaffe.pages", "base.css"), *styles)),
             "</head>", "<body>", body]
    if data is not None:
        parts.append(f'<script type="application/json" id="data">{as_json(data)}</script>')
    parts += [f"<script>\n{script}</script>" for script in scripts]
    return "\n".join([*parts, "</body>", "</html>", ""])


def clean(text: str) -> str:
    """Return plain text as HTML or XML. Control characters become visible escapes: in XML they are not allowed."""
    return html.escape(visible(text).encode("utf-8", "replace").decode("utf-8"))


def asset(package: str, name: str) -> str:
    """Return the text of a file that lies in a package, such as a style sheet."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def as_json(data: Any) -> str:
    """Return data as JSON that may stand inside of <script>. NaN and infinities, which JSON lacks, are an error."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")  # else the text "</script>" in a name would end the script
