"""The notebooks of docs/notebooks: what their cells print is compared with what stands below them."""

import importlib.util
import json
import math
import re
import sys
import traceback
from pathlib import Path

import pytest
from extras import needs

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("make_notebooks", ROOT / "docs" / "make_notebooks.py")
made = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)  # dataclasses look there
SPEC.loader.exec_module(made)

SOURCES = sorted(made.FOLDER.glob("*.py"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
NUMBER = re.compile(r"(-?\d+\.(\d+)(?:e([+-]?\d+))?)")  # what is not matched is compared as text, whole numbers too


def agree(expected, printed):
    """Whether two outputs are the same.

    The text and the whole numbers must be equal. A number with digits behind its point may differ by one in the last
    digit that is shown, for processors and versions of numpy round the last bits of a sum in their own ways. Blanks at
    the end of a line do not count, because editors remove them.
    """
    expected, printed = (re.sub(" +$", "", text, flags=re.MULTILINE) for text in (expected, printed))
    ours, theirs = list(NUMBER.finditer(expected)), list(NUMBER.finditer(printed))
    return (NUMBER.sub("", expected) == NUMBER.sub("", printed) and len(ours) == len(theirs)
            and all(_near(*pair) for pair in zip(ours, theirs, strict=True)))


def _near(one, other):
    last = 10.0 ** (int(one[3] or 0) - len(one[2]))
    return len(one[2]) == len(other[2]) and math.isclose(float(one[1]), float(other[1]), rel_tol=0, abs_tol=1.01 * last)


def check(path, code, outputs):
    """Compare the outputs of all cells of code with those in the source."""
    assert len(code) == len(outputs)
    for cell, printed in zip(code, outputs, strict=True):
        assert agree(cell.output, printed), (f"{path.name}:{cell.line}: stands below the cell:\n{cell.output}"
                                             f"printed:\n{printed}")


def code_of(cells):
    return [cell for cell in cells if cell.kind == made.CODE]


def test_there_are_five():
    """No source is lost, and each begins with a title."""
    assert ["batch_norm", "break_a_gradient", "lenet", "logistic_regression", "lstm"] == [p.stem for p in SOURCES]
    for path in SOURCES:
        assert made.read(path)[0].source.startswith("# ")


@EACH
def test_cells_print_what_stands_below_them(path):
    """The cells are run in order, in this process."""
    cells = made.read(path)

    check(path, code_of(cells), list(made.run(path, cells)))


@pytest.mark.slow
@EACH
def test_a_kernel_prints_the_same(path):
    """The notebook runs as Jupyter runs it. Nothing but text comes out, and nothing on stderr."""
    for package in ("nbclient", "ipykernel"):
        needs(package)
    import nbformat
    from nbclient import NotebookClient

    cells = made.read(path)
    book = nbformat.reads(json.dumps(made.notebook(cells, outputs=False)), as_version=4)
    nbformat.validate(book)
    NotebookClient(book, timeout=600, startup_timeout=600, kernel_name="python3",
                   resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [cell.outputs for cell in book.cells if cell.cell_type == "code"]
    other = [output for some in outputs for output in some if output.get("name") != "stdout"]

    assert [] == other
    check(path, code_of(cells), ["".join(output.text for output in some) for some in outputs])


@EACH
def test_cells_teach_in_small_steps(path):
    """A cell of code is short, all cells but some print, and text stands between them."""
    cells = made.read(path)
    code = code_of(cells)

    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert max(len(cell.output.splitlines()) for cell in code) <= 25
    assert len([cell for cell in code if not cell.output]) <= 1
    assert len(cells) >= 1.5 * len(code)


@EACH
def test_the_source_is_read_and_written_alike(path, tmp_path):
    """`--run` changes nothing but outputs."""
    made.write(tmp_path / path.name, made.read(path))

    assert path.read_text(encoding="utf-8") == (tmp_path / path.name).read_text(encoding="utf-8")


def test_a_notebook_has_the_outputs_of_its_source():
    """An .ipynb file holds the cells with what stands below them, and nothing is run for it."""
    cells = [made.Cell(made.TEXT, "# A title\n\n$x$", "", 2), made.Cell(made.CODE, "print(1)", "1\n", 5)]
    text, code = made.notebook(cells)["cells"]

    assert ("markdown", ["# A title\n", "\n", "$x$"]) == (text["cell_type"], text["source"])
    assert ["print(1)"] == code["source"]
    assert [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}] == code["outputs"]
    assert [] == made.notebook(cells, outputs=False)["cells"][1]["outputs"]


@pytest.mark.parametrize("text", [
    "print(1)\n", "# %%\n", "# %%\n#> 1\nprint(1)\n", "# %% [markdown]\nno mark\n", "# %% [markdown]\n# a\n#> b\n"])
def test_what_is_no_source(text, tmp_path):
    """A cell without a mark, an empty one, an output above its code, and text that is no comment are refused."""
    (tmp_path / "a.py").write_text(text)

    with pytest.raises(ValueError, match=r"^a\.py:\d: "):
        made.read(tmp_path / "a.py")


def test_an_error_names_the_line_of_the_source(tmp_path):
    """The cells before one that fails have run."""
    (tmp_path / "a.py").write_text("# %% [markdown]\n# text\n\n# %%\nprint(1)\n\n# %%\nx = 1\n1 / 0\n")
    cells = made.read(tmp_path / "a.py")
    running = made.run(tmp_path / "a.py", cells)

    assert "1\n" == next(running)
    with pytest.raises(ZeroDivisionError) as error:
        next(running)
    assert 9 == traceback.extract_tb(error.tb)[-1].lineno


@pytest.mark.parametrize(("expected", "printed", "same"), [
    ("L = 0.693\n", "L = 0.694\n", True), ("L = 0.693\n", "L = 0.695\n", False), ("1.25e-03\n", "1.26e-03\n", True),
    ("1.25e-03\n", "1.25e-04\n", False), ("3 flowers\n", "4 flowers\n", False), ("nan\n", "0.1\n", False),
    ("0.1 0.2\n", "0.1\n", False), ("0.10\n", "0.1\n", False), ("-0.5\n", "0.5\n", False), ("a\n", "a\nb\n", False),
    ("a\nb\n", "a  \nb\n", True), ("a b\n", "a  b\n", False),
    ("0.2\nyes\n", "0.2\nno\n", False), ("[ 1. -2.]\n", "[ 2. -2.]\n", False)])
def test_what_agrees(expected, printed, same):
    """Text and whole numbers are compared exactly, and the last digit of others with one to spare."""
    assert same == agree(expected, printed)
