"""The page docs/entering.md against the code."""

import re

import pytest
from test_docs import ROOT, generator

from minicaffe.convert.onnx_in.dialects import ROUND_MODE, TYPES
from minicaffe.convert.onnx_in.given import READERS
from minicaffe.convert.onnx_in.net import net_of  # noqa: F401 - registers the readers

PAGE = (ROOT / "docs" / "entering.md").read_text(encoding="utf-8")


def test_tables_of_entering_are_what_the_docstrings_say():
    """The tables in docs/entering.md are not stale; `make docs` writes them anew."""
    assert generator().with_operators(PAGE) == PAGE


@pytest.mark.parametrize("op", READERS)
def test_every_operator_says_what_it_becomes(op):
    """In its row of a table, or where several nodes are joined first, in the list below the tables."""
    row = re.search(rf"^\|.*\b{op}\b.*\| .+ \|$", PAGE, re.MULTILINE)
    assert row or f"\n- {generator().first_paragraph(READERS[op])}\n" in PAGE


@pytest.mark.parametrize("fork", TYPES)
def test_dialects_are_described(fork):
    row = re.search(rf"^\| .*`{fork}`.* \|$", PAGE, re.MULTILINE)[0]

    assert {"round_mode" if name == ROUND_MODE else name for name in TYPES[fork]} == {
        name for name in re.findall(r"\w+", row.split("|")[2]) if name == "round_mode" or name in set().union(
            *TYPES.values())}
