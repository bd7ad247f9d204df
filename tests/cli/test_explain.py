"""`minicaffe explain`: datasheet, definitions, an example with numbers, and the derivation's place."""

import functools
import re
import textwrap

import numpy as np
import pytest

from minicaffe import kernels, layout, rng
from minicaffe.cli import explain, terminal
from minicaffe.cli.__main__ import main
from minicaffe.layer import registered_types
from minicaffe.layers import datasheet, worked_example

READS_OR_WRITES = {"Data", "HDF5Data", "HDF5Output", "ImageData", "Input", "MemoryData", "Python", "WindowData"}
COMPUTING = [name for name in registered_types() if name not in READS_OR_WRITES]


def shown(name, what):
    """An array of a type's example."""
    example = worked_example.worked_example(name)
    return dict([*example.given, *example.forward, *example.backward])[what]


def test_page_of_a_type_with_kernels(capsys, monkeypatch):
    """The parts in their order: datasheet, definitions, the layer's code, the example, the derivation."""
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["explain", "lrn"]) == 0
    printed = capsys.readouterr().out

    parts = ["LRN: minicaffe/layers/normalization/lrn.py\n", "Forward   s[i] = k + α/m", "\nParams    lrn_param:",
             "kernels.lrn in minicaffe/kernels/definitions/lrn.py:\n  def lrn(",
             "LRNLayer.forward in minicaffe/layers/normalization/lrn.py:\n  def forward(", "\nExample\n", "\n  Given\n",
             "derived in docs/maths/normalization.md#lrn"]
    places = [printed.index(part) for part in parts]
    assert sorted(places) == places


def test_page_of_a_type_whose_maths_is_in_its_file(monkeypatch):
    """Without kernels the formula as code is the layer's own."""
    monkeypatch.setenv("COLUMNS", "120")
    page = explain.page("BNLL")

    assert "Definitions" not in page
    assert "BNLLLayer.value in minicaffe/layers/activation/bnll.py:\n  def value(self, x, y):\n" in page


@pytest.mark.parametrize("name", registered_types())
def test_every_type_has_an_example_or_words(name):
    """Types that only read or write say in words why there are no numbers; all others have tops, or diffs at least."""
    example = worked_example.worked_example(name)

    assert bool(example.prototxt) == (name in COMPUTING)
    assert bool([*example.forward, *example.backward]) == (name in COMPUTING)
    assert example.words.endswith(".")


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("name", registered_types())
def test_pages_fit(name, columns, monkeypatch):
    """No line is wider than the terminal, but for words of code that have no blank, and all can be shown in ASCII."""
    monkeypatch.setenv("COLUMNS", str(columns))
    page = explain.page(name)
    terminal.prepare()

    assert [] == [line for line in page.split("\n") if len(line) > columns and " " in line.strip()]
    assert not re.search(r"\\u[0-9a-f]{4}", page.encode("ascii", terminal.ERRORS).decode("ascii"))


@pytest.mark.parametrize(("name", "near"), [("Convolutoin", "'Convolution'"), ("qqqq", "minicaffe layers lists all")])
def test_unknown_type(name, near, capsys):
    """A misspelt type is one error, which names those that resemble it."""
    assert main(["explain", name]) == 1
    assert re.search(f"there is no layer type '{name}'\n  hint: .*{near}", capsys.readouterr().err)


@pytest.mark.parametrize(("name", "what", "values"), [
    ("Convolution", "y", [6, 6]),
    ("Convolution", "dx", [1, 2, 0, 0, -1, -2]),
    ("InnerProduct", "dw", [1, 2, 3, 8, 10, 12]),
    ("BatchNorm", "variance after", [2, 8, 32]),
    ("LRN", "y", [1 / 6, 2 / 15, 3 / 14]),
    ("Pooling", "dx", [0, 0, 0, 0, 11, 0]),
    ("LSTMUnit", "c", [1, np.tanh(1) / 2]),
    ("EuclideanLoss", "L", [3.5]),
    ("HingeLoss", "L", [1]),
    ("Silence", "dx", [0] * 6),
    ("Threshold", "y", [0, 0, 0, 0, 1, 1]),
])
def test_numbers_by_hand(name, what, values):
    """Numbers that the words of the examples work out, or that a reader does in the head."""
    assert shown(name, what).ravel() == pytest.approx(values)


@pytest.mark.parametrize("name", ["LSTM", "RNN", "MVN", "Softmax", "SoftmaxWithLoss", "Scale", "Swish", "PReLU"])
def test_diffs_are_the_slopes_of_the_numbers_shown(name):
    """dx times a small step in x is what the weighted sum of the tops changes by."""
    example = worked_example.worked_example(name)
    values = dict(example.given)
    diffs = dict(example.backward)
    bottom = next(iter(values))
    step = 1e-6 * np.random.default_rng(2).normal(size=values[bottom].shape)

    def weighted_top(x):
        moved = worked_example.run(example.prototxt, {**values, bottom: x})
        return sum(float((diffs.get(f"d{top}", 1.0) * array).sum()) for top, array in moved.forward)

    change = weighted_top(values[bottom] + step) - weighted_top(values[bottom] - step)
    assert change == pytest.approx(2 * float((diffs[f"d{bottom}"] * step).sum()), rel=1e-5, abs=1e-14)


@pytest.mark.parametrize("engine", [name for name in kernels.available_engines() if name != "numpy"])
def test_all_engines_print_the_same(engine):
    """The numbers are rounded so far that no engine and no machine prints others."""
    before, texts = kernels.engine(), []
    try:
        for name in ("numpy", engine):
            kernels.use_engine(name)
            texts.append([worked_example.as_text(worked_example.worked_example(t)) for t in COMPUTING])
    finally:
        kernels.use_engine(before)

    assert texts[0] == texts[1]


def test_examples_leave_the_random_numbers_alone():
    """What a program draws after an example is what it would have drawn before."""
    rng.seed(5)
    expected = rng.generator().random()
    rng.seed(5)
    worked_example.worked_example("Dropout")
    assert rng.generator().random() == expected


@pytest.mark.parametrize(("array", "rows"), [
    ([1, 10, 0.25], ["1  10  0.25"]),
    ([[1, -2], [10, 3]], [" 1  -2", "10   3"]),
    ([[[1, 2]], [[3, 4]]], ["[0]  1  2", "[1]  3  4"]),
    (1 / 3, ["0.3333"]),
    ([-1e-9, 123456, 0.0012345678], ["0  123456  0.001235"]),
])
def test_arrays_as_text(array, rows):
    """Columns stand below each other, several matrices have their places, and digits are few."""
    assert worked_example._rows(np.array(array, float)) == rows


def test_wide_rows_go_below_the_name():
    """Where a row does not fit beside the name, the rows get lines of their own."""
    example = worked_example.Example("", "", forward=[("y", np.arange(12.0))])
    assert worked_example.as_text(example, 30) == ["Forward", "  y  (12,)",
                                                   "      0  1  2  3  4  5  6  7  8  9  10  11"]


def test_labels_are_written_from_the_code():
    """The label Computed is put behind Backward, replaced where it is wrong, and taken away where nothing is called."""
    from test_docs import generator

    sheet = textwrap.indent("class A(Layer):\n\nForward   y\nBackward  dx\nWhere x.\n\nBottom    x\n", "    ")
    right = sheet.replace("Where x.\n", "Where x.\n    Computed  kernels.a: b.py;\n              kernels.c: d.py\n")
    write = generator().with_computed

    assert write(sheet, "Computed  kernels.a: b.py;\n          kernels.c: d.py") == right
    assert write(right, "Computed  kernels.e: f.py") == sheet.replace("Where x.\n",
                                                                      "Where x.\n    Computed  kernels.e: f.py\n")
    assert write(right, "") == sheet


def test_path_of_a_definition():
    """A kernel's definition is found where it stands, without its decorator."""
    source = datasheet.definition("relu")
    assert source.path.startswith("minicaffe/kernels/definitions/")
    assert source.text.startswith("def relu(")


def test_what_definitions_share_is_shown():
    """A function that a text calls is found among those known by name, even where a cache is laid around it."""
    known = {"cached": functools.cache(shown), "relu": kernels.relu, "shown": shown, "len": len}
    assert list(datasheet._called("cached(relu(shown(x)), len(x))", known, __name__)) == ["cached", "shown"]


def test_helpers_of_a_layer_are_shown():
    """Where the maths is in a private function of the layer's file, that function is shown too."""
    assert "_last_largest" in [source.name for source in datasheet.own_code("ArgMax")]
    assert "SwishLayer._gate" in [source.name for source in datasheet.own_code("Swish")]


@pytest.mark.parametrize(("name", "in_page"), [
    ("LRN", "kernels.window_sum in minicaffe/kernels/definitions/lrn.py:"),
    ("Pooling", "window_pixels in minicaffe/kernels/definitions/im2col.py:"),
    ("TanH", "Elementwise.backward in minicaffe/layer/bases.py:"),
    ("Convolution", "ConvolutionBase.images in minicaffe/layers/vision/_convolution.py:"),
    ("SigmoidCrossEntropyLoss", "focal_slope in minicaffe/layers/loss/_focal.py:"),
    ("SigmoidCrossEntropyLoss", "log_sigmoid in minicaffe/layers/loss/_focal.py:"),
    ("SigmoidCrossEntropyLoss", "NormalizedLoss._divisor in minicaffe/layers/loss/_normalized_loss.py:"),
    ("SigmoidCrossEntropyLoss", "Cells.weigh in minicaffe/layers/loss/_cells.py:"),
    ("SPP", "planes in minicaffe/layers/vision/_pooling.py:"),
])
def test_page_has_what_the_code_calls_elsewhere(name, in_page, monkeypatch):
    """A reader of the page finds the whole formula: what a definition calls, and what the layer's bases do."""
    monkeypatch.setenv("COLUMNS", "120")
    assert in_page in explain.page(name)


@pytest.mark.parametrize(("name", "computed"), [
    ("Log", {"Elementwise": "minicaffe/layer/bases.py"}),
    ("SigmoidCrossEntropyLoss", {"times": "minicaffe/layers/loss/_cells.py",
                                 "Cells": "minicaffe/layers/loss/_cells.py",
                                 "focal_loss": "minicaffe/layers/loss/_focal.py",
                                 "focal_slope": "minicaffe/layers/loss/_focal.py",
                                 "NormalizedLoss": "minicaffe/layers/loss/_normalized_loss.py"}),
    ("Python", {}),
])
def test_computed_names_what_a_layer_shares_with_others(name, computed):
    """Formulas that stand outside the layer's file but in no kernel are one step away, too."""
    assert datasheet.computed_by(name) == computed


def test_a_comment_that_does_not_fit_stays_a_comment():
    """A narrow terminal breaks a line of code at a blank; what goes on of a comment begins with # again."""
    assert layout.code("# one two three four", 16) == ["  # one two", "  # three four"]
