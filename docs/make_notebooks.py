"""Make notebooks of the sources in docs/notebooks (`make notebooks`), with the outputs that stand in them.

    python docs/make_notebooks.py [NAME ...]          write NAME.ipynb beside NAME.py, of all sources or of some
    python docs/make_notebooks.py --run [NAME ...]    run the cells of NAME.py, and write what they print into it

A source is a Python program, in the percent format of jupytext:

    # %% [markdown]    begins a cell of text, whose lines begin with `# `
    # %%               begins a cell of code; below the code, each line that it prints stands behind `#> `

tests/test_notebooks.py compares what the cells print with what stands below them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parent / "notebooks"
TEXT, CODE, PRINTED = "# %% [markdown]", "# %%", "#>"


@dataclass
class Cell:
    """A cell of a notebook.

    kind      TEXT or CODE
    source    the text without its `# `, or the code
    output    what the code prints, as it stands in the source
    line      the number of the line below the mark with which the cell begins
    """

    kind: str
    source: str
    output: str
    line: int


def read(path: Path) -> list[Cell]:
    """Return the cells of a source."""
    cells: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line in (TEXT, CODE):
            cells.append((line, number + 1, []))
        elif cells:
            cells[-1][2].append(line)
        else:
            raise ValueError(f"{path.name}:{number}: a source begins with {TEXT!r} or {CODE!r}, got {line!r}")
    return [_cell(path, *cell) for cell in cells]


def write(path: Path, cells: Sequence[Cell]) -> None:
    """Write cells as a source."""
    path.write_text("\n".join(map(_as_source, cells)), encoding="utf-8", newline="\n")


def run(path: Path, cells: Sequence[Cell]) -> Iterator[str]:
    """Run the cells of code in one process, in the folder of the source. Yield what each of them prints."""
    main = ModuleType("__main__")  # as in a kernel, a net may name a Python layer of this module
    for cell in cells:
        if cell.kind == CODE:
            printed = io.StringIO()
            code = compile("\n" * (cell.line - 1) + cell.source, str(path), "exec")  # errors name the source's lines
            with _inside(path.parent, main), contextlib.redirect_stdout(printed):
                exec(code, vars(main))
            yield printed.getvalue()


def notebook(cells: Sequence[Cell], outputs: bool = True) -> dict[str, Any]:
    """Return what is in an .ipynb file."""
    python = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": [_as_json(cell, outputs) for cell in cells], "metadata": python, "nbformat": 4,
            "nbformat_minor": 4}


def _cell(path: Path, kind: str, line: int, lines: list[str]) -> Cell:
    while lines and not lines[-1]:
        lines = lines[:-1]
    code = [text for text in lines if not text.startswith(PRINTED)]
    printed = lines[len(code):]
    if not lines or not all(text.startswith(PRINTED) for text in printed):
        raise ValueError(f"{path.name}:{line}: what a cell prints stands below all of its code")
    output = "".join(text.removeprefix(PRINTED).removeprefix(" ") + "\n" for text in printed)
    if kind == CODE:
        return Cell(kind, "\n".join(code).strip("\n"), output, line)
    if printed or not all(text == "#" or text.startswith("# ") for text in code):
        raise ValueError(f"{path.name}:{line}: each line of a cell of text begins with '# '")
    return Cell(kind, "\n".join(text[2:] for text in code), "", line)


def _as_source(cell: Cell) -> str:
    if cell.kind == TEXT:
        body = "".join(f"# {line}".rstrip() + "\n" for line in cell.source.splitlines())
    else:
        body = cell.source + "\n" + "".join(f"{PRINTED} {line}".rstrip() + "\n" for line in cell.output.splitlines())
    return f"{cell.kind}\n{body}"


def _as_json(cell: Cell, outputs: bool) -> dict[str, Any]:
    lines = cell.source.splitlines(keepends=True)
    if cell.kind == TEXT:
        return {"cell_type": "markdown", "metadata": {}, "source": lines}
    printed = [{"name": "stdout", "output_type": "stream", "text": cell.output.splitlines(keepends=True)}]
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "source": lines,
            "outputs": printed if outputs and cell.output else []}


@contextlib.contextmanager
def _inside(folder: Path, main: ModuleType) -> Iterator[None]:
    before = Path.cwd(), sys.modules["__main__"], sys.path[:]
    os.chdir(folder)
    sys.modules["__main__"] = main
    try:
        yield
    finally:
        os.chdir(before[0])
        sys.modules["__main__"], sys.path[:] = before[1:]


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run the cells, and write what they print into the source")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the sources' names without .py (default: all)")
    args = parser.parse_args()
    for path in [FOLDER / f"{name}.py" for name in args.names] or sorted(FOLDER.glob("*.py")):
        cells = read(path)
        if args.run:
            code = [cell for cell in cells if cell.kind == CODE]
            for cell, printed in zip(code, run(path, cells), strict=True):
                cell.output = printed
            write(path, cells)
        else:
            made = path.with_suffix(".ipynb")
            made.write_text(json.dumps(notebook(cells), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(made)


if __name__ == "__main__":
    main()
