"""What commands print at every width: no word is broken, nothing runs over, and a pipe gets a row a line."""

import contextlib

import numpy as np
import pytest

from minicaffe import layout
from minicaffe.cli import layers
from minicaffe.cli.__main__ import COMMANDS, main, parser_of
from minicaffe.io import weights
from minicaffe.io.binary import LayerWeights
from minicaffe.layer import registered_types

ROWS = [("layer", "type", "count"), ("a", "Convolution", "1,024"), ("a_long_name/of_a_layer", "ReLU", "–"),
        ("a_long_name/of_a_layer", "", "7")]
NET = """
layer { name: "input_of_the_whole_net" type: "Input" top: "x"
        input_param { shape { dim: 16 dim: 3 dim: 224 dim: 224 } } }
layer { name: "convolution_of_the_first_block" type: "Convolution" bottom: "x" top: "y"
        convolution_param { num_output: 64 kernel_size: 3 } }
"""


@pytest.fixture(params=[60, 80, 132])
def columns(request, monkeypatch):
    """A terminal's width."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def same_words(one, other):
    """Whether two texts have the same words, however they are broken into lines."""
    assert one.split() == other.split()


@pytest.mark.parametrize("name", registered_types())
def test_datasheets_fit(columns, monkeypatch, name):
    """No line of a datasheet, its fields or its sample is wider than the terminal."""
    page = layers.page(name)
    assert columns >= max(map(len, page.splitlines()))
    same_words(layout.prose(layers.datasheet(name), columns), layers.datasheet(name))
    for rows in layers.fields(name).values():
        for row in rows:
            assert row.comment.split() == [] or row.comment.split()[-1] in page.split()


def test_the_list_fits(columns):
    """Neither is a line of the list."""
    assert columns >= max(map(len, layers.overview().splitlines()))


def test_a_long_sentence_is_filled_and_a_formula_is_not():
    """Lines behind a label are one text; each formula keeps a line of its own, and what fits stays as it is."""
    sheet = "Forward   y = x + 1\n          z = y\n          w = z\n\n" \
            "Errors    LayerError when one thing is\n          wrong, or another"
    assert layout.prose(sheet, 80) == sheet
    assert layout.prose(sheet, 30).split("\n") == [
        "Forward   y = x + 1", "          z = y", "          w = z", "",
        "Errors    LayerError when one", "          thing is wrong, or", "          another"]


@pytest.mark.parametrize(("width", "lines"), [
    (0, ["layer                   type         count", "a                       Convolution  1,024",
         "a_long_name/of_a_layer  ReLU             –", "a_long_name/of_a_layer                   7"]),
    (40, ["a  Convolution", "    count 1,024", "a_long_name/of_a_layer  ReLU", "a_long_name/of_a_layer",
          "    count 7"]),
])
def test_a_table(monkeypatch, width, lines):
    """Columns where there is room, else a row's cells below its name, without those that say nothing."""
    monkeypatch.setattr(layout, "terminal_width", lambda: width)
    assert layout.table(ROWS, right=(2,), lead=2) == lines


def test_code():
    """Long lines are broken at spaces, and what was a comment is one on every line."""
    text = "def f(x):\n    # a comment that is too long\n    return x  # and another one\n    # short"

    assert layout.code(text, 25) == [
        "  def f(x):", "      # a comment that is", "      # too long", "      # and another one", "      return x",
        "      # short"]


def test_one_long_name_gets_a_line_of_its_own(monkeypatch):
    """The other columns stay below each other."""
    monkeypatch.setattr(layout, "terminal_width", lambda: 40)
    rows = [("layer", "type"), ("a", "ReLU"), ("b", "TanH"), ("a_very_long_name_of_a_layer_in_a_net", "ReLU")]
    assert layout.table(rows) == [f"layer{' ' * 29}  type", f"a{' ' * 33}  ReLU", f"b{' ' * 33}  TanH",
                                  "a_very_long_name_of_a_layer_in_a_net", f"{' ' * 34}  ReLU"]


def test_names_cannot_make_lines_or_colours():
    """A cell is one line, and control characters are words."""
    assert layout.table([("layer",), ("a\nb\x1b[31m",)]) == ["layer", r"a\nb\x1b[31m"]


def test_commands_fit(columns, tmp_path, capsys, monkeypatch):
    """summary, weights and their comparison."""
    monkeypatch.chdir(tmp_path)
    with open("net.prototxt", "w") as file:
        file.write(NET)
    blob = np.random.default_rng(1).normal(size=(64, 3, 3, 3)).astype(np.float32)
    weights.write("w.npz", [LayerWeights("convolution_of_the_first_block/and_more", "", [blob, blob]),
                            LayerWeights("relu", "", [])])
    for argv in ("summary net.prototxt --weights", "weights w.npz", "weights w.npz --diff w.npz"):
        assert main(argv.split()) == 0
        printed = capsys.readouterr().out
        assert columns >= max(map(len, printed.splitlines())), printed
        assert "convolution_of_the_first_block" in printed


def test_a_pipe_gets_a_row_a_line(tmp_path, capsys, monkeypatch):
    """Without a terminal and without COLUMNS nothing is broken, so that grep and awk find whole rows."""
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / "net.prototxt").write_text(NET)
    assert main(["summary", str(tmp_path / "net.prototxt")]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("convolution_of"))
    assert row.split()[1:4] == ["Convolution", "16×64×222×222", "1,792"]


def test_a_sentence_that_begins_like_a_label():
    """Two spaces make a label; text that begins with such a word is wrapped as all text is."""
    text = "Backward runs from the last layer to the first one of them.\nIt reads the diffs of the tops."

    assert layout.prose(text, 40).split("\n") == [
        "Backward runs from the last layer to the", "first one of them. It reads the diffs of", "the tops."]


def test_a_name_that_fills_its_column():
    """A space stays between it and its text."""
    assert layout.entry("a_long_name.py", "written", 16, 80) == ["  a_long_name.py written"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits(command, capsys, monkeypatch):
    """At 80 columns no line of a command's help runs over, and its examples keep lines of their own."""
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80, printed
    if command:
        said = parser_of(command)[0].__doc__
        examples = [line for line in said.splitlines() if line.startswith("  minicaffe") and len(line) <= 78]
        assert set(examples) <= set(printed.splitlines())
        assert " ".join(said.split()) in " ".join(printed.split())
