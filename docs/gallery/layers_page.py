"""docs/layers.html: a card for each layer type, with its drawing."""

from __future__ import annotations

import html

from gallery.registry import caption, check_complete, svg
from minicaffe.layers import datasheet, worked_example
from minicaffe.pages import page
from minicaffe.pages.page import asset

TITLE = "minicaffe: all layers"
INTRO = """\
<p>Every layer type of Caffe, with a drawing. The layers themselves compute the numbers and the curves when this page is
built. In the formulas, x goes in, y comes out, and dx is the gradient of the loss with respect to x. <code>=</code>
overwrites and <code>+=</code> adds: a gradient of weights is added to what earlier passes left.</p>
<p>In the drawings, a cell with a thick border and a background is one that the caption speaks of; it is called lit.
Cells with a dashed violet border are gradients, and a dashed violet arrow is a gradient on its way back. A cell with a
blue border is learned. A cell with a pale dotted border is left out, or it is 0.</p>"""
# the parts of a datasheet that stand open on the card; the others are in the whole datasheet, which opens on a click
OPEN = ("Forward", "Backward", "Bottom", "Top", "Blobs")
LABEL = rf"(?:{'|'.join(datasheet.LABELS)})(?=  |$)"


def generate() -> str:
    """Return the page. A type without a drawing is a DrawingError."""
    families = datasheet.families()
    check_complete(name for types in families.values() for name in types)
    count = sum(map(len, families.values()))
    body = ["<div class='frame'>", _contents(families), "<main>", f"<h1>{TITLE}</h1>", INTRO]
    for family, types in families.items():
        body += [f"<section class='family' id='{family}-layers' aria-labelledby='{family}-heading'>",
                 f"<h2 id='{family}-heading'>{family.capitalize()} layers</h2>"]
        body += [_card(name) for name in types] + ["</section>"]
    body += [f"<p id='nothing' hidden>None of the {count} types has this in its name or its summary.</p>", "</main>",
             "</div>"]
    styles = [asset("gallery", "drawing.css"), asset("gallery", "layers_page.css")]
    return page(TITLE, "\n".join(body), styles=styles, scripts=[asset("gallery", "layers_page.js")])


def _contents(families: dict[str, list[str]]) -> str:
    """The column on the left: the box to filter by, and a link to each type."""
    parts = ["<nav aria-label='Layer types'>",
             "<label for='search'>Filter by words (key <kbd>/</kbd>)</label>",
             "<input id='search' type='search' autocomplete='off' spellcheck='false'>",
             "<p id='count' role='status'></p>"]
    for family, types in families.items():
        parts += [f"<div class='group'><a class='head' href='#{family}-layers'>{family.capitalize()}</a><ul>",
                  *(f"<li data-type='{name}'><a href='#{datasheet.anchor(name)}'>{name}</a></li>" for name in types),
                  "</ul></div>"]
    return "\n".join([*parts, "</nav>"])


def _card(name: str) -> str:
    summary, sheet = datasheet.summary(name), datasheet.datasheet(name)
    words = html.escape(f"{name} {summary}".lower(), quote=True)
    anchor = datasheet.anchor(name)
    parts = [f'<article class="card" id="{anchor}" data-type="{name}" data-words="{words}">',
             f"<h3><a href='#{anchor}'>{name}</a></h3>", f"<p class='summary'>{html.escape(summary)}</p>",
             f"<figure><div class='wide'>{svg(name)}</div><figcaption aria-hidden='true'>{html.escape(caption(name))}"
             "</figcaption></figure>", _words(sheet, summary), _formulas(sheet), _links(name)]
    for message, rows in datasheet.fields(name).items():
        parts.append(_fields(message, rows))
    return "\n".join([*parts, _sample_and_example(name), f"<details><summary>The whole datasheet</summary>"
                      f"<pre class='sheet' tabindex='0'>{html.escape(sheet)}</pre></details>", "</article>"])


def _words(sheet: str, summary: str) -> str:
    """What a datasheet says before its first label, without the summary: mostly what the letters mean."""
    paragraphs = [" ".join(part.split()) for part in datasheet.introduction(sheet).split("\n\n")]
    paragraphs[0] = paragraphs[0].removeprefix(summary).strip()
    return "\n".join(f"<p class='words'>{html.escape(part)}</p>" for part in paragraphs if part)


def _formulas(sheet: str) -> str:
    """The labels of a datasheet that stand open on the card. What follows at the margin is a note to the label."""
    rows = []
    for label, (lines, note) in datasheet.with_notes(sheet).items():
        if label in OPEN:
            below = f"<pre class='note'>{html.escape(note.strip())}</pre>" if note else ""
            text = html.escape("\n".join(lines))
            rows.append(f"<dt>{label}</dt><dd><pre>{text}</pre>{below}</dd>")
    return "\n".join(["<dl class='formulas'>", *rows, "</dl>"])


def _links(name: str) -> str:
    """The places to read on: the file, and the derivation of the formulas."""
    path = datasheet.own_path(name)
    links = [f"<a href='../{path}'>{path}</a>"]
    if where := datasheet.derivation(name):
        links.append(f"<a href='{where.removeprefix('docs/')}'>how the formulas are derived</a>")
    return f"<p class='links'>{' · '.join(links)}</p>"


def _fields(message: str, rows: list[datasheet.Field]) -> str:
    head = "".join(f"<th scope='col'>{title}</th>" for title in ("field", "type", "default", "meaning"))
    cells = [f"<tr><td><code>{row.name}</code></td><td>{html.escape(row.type)}</td><td>{html.escape(row.default)}</td>"
             f"<td>{html.escape(row.comment)}</td></tr>" for row in rows]
    count = f"{len(rows)} field{'s' if len(rows) > 1 else ''}"
    return "\n".join([f"<details class='fields'><summary><code>{message}</code>, {count}</summary>",
                      f"<div class='wide'><table><tr>{head}</tr>", *cells, "</table></div></details>"])


def _sample_and_example(name: str) -> str:
    """The sample and the worked example, side by side where there is room."""
    example = worked_example.worked_example(name)
    assert example is not None
    parts = ["<div class='pair'>", "<section><h4>A sample that runs</h4>",
             f"<pre class='folded'>{html.escape(datasheet.sample(name))}</pre></section>",
             f"<section><h4>An example with numbers</h4><p>{html.escape(example.words)}</p>"]
    if example.prototxt:
        numbers = "\n".join(worked_example.as_text(example))
        parts.append(f"<pre tabindex='0'>{html.escape(example.prototxt)}\n\n{html.escape(numbers)}</pre>")
    return "\n".join([*parts, "</section></div>"])
