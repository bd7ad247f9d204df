"""The HTML around everything that a notebook shows of minicaffe's objects."""

from __future__ import annotations

from collections.abc import Sequence

from minicaffe.pages import asset, clean


def frame(title: str, *parts: str) -> str:
    """Return parts, which are HTML, below a title, which is plain text. The style sheet is for these alone."""
    style = asset("minicaffe.notebook", "notebook.css")
    return f'<div class="minicaffe"><style>{style}</style><p class="title">{clean(title)}</p>{"".join(parts)}</div>'



def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows of plain text as a table. The first row is its head; the columns of `right` are aligned to the right.
    """
    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(f'<{tag}{" class=right" if k in right else ""}>{clean(cell)}</{tag}>'
                       for k, cell in enumerate(cells))

    head, *others = rows
    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in others)
    return f'<div class="scroll"><table><thead><tr>{row(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Return names with their values, which are HTML, one pair below the other; nothing where there are none."""
    if not rows:
        return ""
    return "".join(["<dl>", *(f"<dt>{clean(name)}</dt><dd>{value}</dd>" for name, value in rows), "</dl>"])
