"""Tables of text as HDF5 files: columns, labels, separators, missing values, and mistakes by line and column."""

import csv
import os

import numpy as np
import pytest
from extras import needs

from minicaffe.data import tables
from minicaffe.data.table_files import convert
from minicaffe.data.tables import Options
from minicaffe.errors import DataError
from minicaffe.io import hdf5

PLANTS = """sepal,"petal, width",name,kind
5.1,0.2,a,rose
4.9,-1e-2,b,lily

6,.7,"c ""d""
e",rose
"""


@pytest.fixture(autouse=True)
def with_h5py():
    needs("h5py")


@pytest.fixture
def made(tmp_path):
    """A function that converts a text and returns the datasets of the file, with what `convert` returned."""
    def make(text, normalize=False, **options):
        (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        result = convert(str(tmp_path / "t.csv"), Options(**options), [str(tmp_path / "t.h5")], normalize=normalize)
        return datasets(tmp_path / "t.h5"), result

    return make


def datasets(path):
    return hdf5.read_file(path, lambda file: {name: hdf5.array(hdf5.member(file, name)) for name in hdf5.names(file)})


def test_columns_and_labels(made, tmp_path):
    """Quoted cells keep separators and line ends, and labels get the numbers of their sorted order, which is kept."""
    found, result = made(PLANTS, label=["kind"], without=["name"])

    assert (np.float32, (3, 2)) == (found["data"].dtype, found["data"].shape)
    np.testing.assert_array_equal(found["data"], np.float32([[5.1, 0.2], [4.9, -0.01], [6, 0.7]]))
    assert [1, 0, 1] == found["label"].tolist()
    assert (["sepal", "petal, width"], ["lily", "rose"], [3]) == (result.columns, result.labels, result.rows)
    h5py = needs("h5py")
    with h5py.File(tmp_path / "t.h5") as file:
        assert ["lily", "rose"] == list(file["label"].attrs["labels"])
        assert ["sepal", "petal, width"] == list(file["data"].attrs["columns"])


@pytest.mark.parametrize(("options", "data", "label"), [
    ({}, [[1, 2, 3], [4, 5, 6]], None),
    ({"label": ["-1"]}, [[1, 2], [4, 5]], [3, 6]),
    ({"label": ["1"], "columns": ["3"]}, [[3], [6]], [1, 4]),
    ({"label": ["3", "1"]}, [[2], [5]], [[3, 1], [6, 4]]),
    ({"label": ["2"], "renumber": True}, [[1, 3], [4, 6]], [0, 1]),
    ({"label": ["2"], "labels": ["9", "5", "2"]}, [[1, 3], [4, 6]], [2, 1]),
])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("form", ["plain", "mark", "line ends", "old line ends", "header"])
def test_forms(form, separator, options, data, label, made, monkeypatch):
    """Columns by number, several labels, all separators, a byte order mark, all line ends, and a header."""
    monkeypatch.setattr(tables, "PIECE", 6)  # the table is cut between the two bytes of Windows' line ends, too
    text = "1,2,3\n4,5,6\n".replace(",", separator)
    text = {"mark": "\ufeff" + text, "line ends": text.replace("\n", "\r\n"), "old line ends": text.replace("\n", "\r"),
            "header": separator.join("abc") + "\n" + text}.get(form, text)
    found, _ = made(text, **options)

    assert data == found["data"].tolist()
    assert (None if label is None else label) == (found["label"].tolist() if "label" in found else None)


def test_renumbered_labels_keep_the_order_of_numbers(made):
    """Labels that are numbers are sorted as numbers: 10 comes after 9."""
    found, result = made("1,10\n2,9\n3,9.5\n", label=["2"], renumber=True)

    assert (["9", "9.5", "10"], [2, 0, 1]) == (result.labels, found["label"].tolist())


def test_a_label_that_turns_out_to_be_a_text(made, monkeypatch):
    """If one of many labels is no number, all of them count as texts; the rows before it are not written twice."""
    monkeypatch.setattr(tables, "BLOCK", 4)
    found, result = made("".join(f"{i},{i % 3}\n" for i in range(11)) + "11,other\n", label=["2"])

    assert ["0", "1", "2", "other"] == result.labels
    assert [*(i % 3 for i in range(11)), 3] == found["label"].tolist()
    assert list(range(12)) == found["data"].ravel().tolist()


def test_missing_values(made):
    """Missing values are an error, or their rows are left out and counted, or a number is filled in."""
    text = "1,2,3\n4,NA,6\n7,8,\n?,11,12\n"
    with pytest.raises(DataError, match=r"t\.csv:2: column 2: the value is missing\n  hint: --missing skip"):
        made(text)
    found, result = made(text, missing="skip")
    assert ([[1, 2, 3]], 3) == (found["data"].tolist(), result.left_out)
    assert [[1, 2, 3], [4, -1, 6], [7, 8, -1], [-1, 11, 12]] == made(text, missing=-1.0)[0]["data"].tolist()
    with pytest.raises(DataError, match=r":3: column 3: the value is missing\n  hint: a label cannot be filled in"):
        made(text, label=["3"], missing=0.0)
    assert 2 == made(text, label=["3"], missing="skip", columns=["2"])[1].left_out


MISTAKES = [
    (PLANTS, {}, r"t\.csv:2: column 3 \('name'\): 'a' is no number\n  hint: if the column is the label"),
    ("a;b\n1;2,5\n", {}, r":2: column 2 \('b'\): '2,5' is no number\n  hint: write --decimal ,"),
    ("1\n2.5\n", {"decimal": ","}, r":2: column 1: '2\.5' is no number"),
    ("1\n1_000\n", {}, ":2: column 1: '1_000' is no number"),
    ("1,2\n3,inf\n", {}, ":2: column 2: 'inf' is no number"),
    ("1,2\n3,1e39\n", {}, ":2: column 2: the number is too large for float32"),
    ("1,2\n\n3\n", {}, ":3: has 1 cell, but the first line has 2\n  hint: another separator"),
    ("1,2\n3,4,5\n", {}, ":2: has 3 cells, but the first line has 2"),
    ('1,2\n3,"4\n', {}, ":2: unexpected end of data\n  hint: is a quote missing"),
    ("", {}, "this table is empty"),
    ("a,b\n", {}, "this table has no row"),
    (b"a,b\n1,\xff\n", {}, "this is no text in UTF-8"),
    ("a,b\n1,2\n".encode("utf-16"), {}, "this is no text in UTF-8"),
    ("a,b\n1,2\n".encode("utf-16-le"), {}, r"this is no text in UTF-8: it holds zero bytes\n  hint: is it UTF-16"),
    ("a,b\n1,2\n", {"label": ["bb"]}, r"--label: there is no column 'bb'; the 2 columns are a, b\n  hint: did you"),
    ("a,b\n1,2\n", {"label": ["3"]}, r"no column '3'.*\n  hint: numbers count from 1, -1 is the last"),
    ("a,a\n1,2\n", {"label": ["a"]}, r"2 columns are called 'a'\n  hint: give the column's number"),
    ("a,b\n1,2\n", {"label": ["a"], "columns": ["a"]}, "column 'a' cannot be data and label"),
    ("a,b\n1,2\n", {"without": ["a", "b"]}, "no column is left for the data"),
    ("1,x\n2,y\n", {"label": ["2"], "labels": ["x", "yy"]}, r":2: column 2: 'y' is none of the 2 labels given\n.*'yy'"),
    ("1,2,x\n", {"label": ["2", "3"]}, ":1: column 3: 'x' is no number\n  hint: of several labels each"),
]


@pytest.mark.parametrize(("text", "options", "words"), MISTAKES)
def test_mistakes(text, options, words, made, tmp_path):
    """A mistake in a table is named with its line and its column, and no file is left behind."""
    with pytest.raises(DataError, match=words):
        made(text, **options)

    assert ["t.csv"] == sorted(os.listdir(tmp_path))


def test_files_that_cannot_be_read_or_written(tmp_path):
    """A missing table, a folder, a pipe and a folder that is not there are one clear error each."""
    (tmp_path / "t.csv").write_text("1,2\n")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(DataError, match="cannot read the table .*pipe: it is a pipe or a device[^\n]*$"):
            convert(str(tmp_path / "pipe"), Options(separator=","), [str(tmp_path / "t.h5")])
    with pytest.raises(DataError, match=r"the table .*s\.csv: No such file.*\n  hint: did you mean 't\.csv'"):
        convert(str(tmp_path / "s.csv"), Options(), [str(tmp_path / "t.h5")])
    with pytest.raises(DataError, match="cannot read the table .*: Is a directory"):
        convert(str(tmp_path), Options(), [str(tmp_path / "t.h5")])
    with pytest.raises(DataError, match=r"cannot write .*nowhere.t\.h5: No such file or directory$"):
        convert(str(tmp_path / "t.csv"), Options(), [str(tmp_path / "nowhere" / "t.h5")])


@pytest.mark.parametrize("part", [0.2, 0.5])
def test_the_part_for_the_test(part, tmp_path, monkeypatch):
    """The second file gets exactly its part of the rows, drawn by the seed; both keep the table's order."""
    monkeypatch.setattr(tables, "BLOCK", 7)
    (tmp_path / "t.csv").write_text("".join(f"{i},{i * 2}\n" for i in range(50)))
    draws = []
    for seed in (1, 1, 2):
        files = [tmp_path / "a.h5", tmp_path / "b.h5"]
        result = convert(str(tmp_path / "t.csv"), Options(label=["2"]), [str(file) for file in files], test_part=part,
                         seed=seed)
        train, test = (datasets(file) for file in files)
        assert [50 - 50 * part, 50 * part] == result.rows
        assert list(range(50)) == sorted([*train["data"].ravel(), *test["data"].ravel()])
        assert (np.diff(train["data"].ravel()) > 0).all()
        assert (test["data"].ravel() * 2 == test["label"]).all()
        draws.append(test["label"].tolist())

    assert draws[0] == draws[1] != draws[2]


def test_normalized_columns(tmp_path, monkeypatch):
    """The training rows have mean 0 and deviation 1; the numbers are kept, and change the test rows too."""
    monkeypatch.setattr(tables, "BLOCK", 7)
    monkeypatch.setattr(hdf5, "CHUNK", 40)
    x = np.random.default_rng(2).normal(1000, [3, 0.5, 20], (60, 3)).round(3)
    x[:, 1] = 4
    (tmp_path / "t.csv").write_text("".join(f"{a},{b},{c}\n" for a, b, c in x))
    result = convert(str(tmp_path / "t.csv"), Options(), [str(tmp_path / "a.h5"), str(tmp_path / "b.h5")],
                     test_part=0.3, normalize=True)
    train, test = datasets(tmp_path / "a.h5"), datasets(tmp_path / "b.h5")

    np.testing.assert_allclose([[0] * 3, [1, 0, 1]], [train["data"].mean(0), train["data"].std(0)], atol=1e-4)
    back = np.concatenate([one["data"] * one["deviation"] + one["mean"] for one in (train, test)])
    np.testing.assert_allclose(np.sort(back, 0), np.sort(x, 0), atol=1e-3)
    assert ["column 2"] == result.constant


def test_a_long_table_takes_little_memory(tmp_path, monkeypatch):
    """The table is read in pieces, and never as a whole."""
    monkeypatch.setattr(tables, "PIECE", 500)
    monkeypatch.setattr(tables, "BLOCK", 10)
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([f"{i},5", i] for i in range(2000))
    sizes, seen = [], []
    blocks = tables.Table.blocks

    def watched(table, follow):
        for block in blocks(table, follow):
            sizes.append(len(block.data))
            yield block

    monkeypatch.setattr(tables.Table, "blocks", watched)

    def follow(pieces, total):
        for piece in pieces:
            seen.append((len(piece), total))
            yield piece

    convert(str(tmp_path / "t.csv"), Options(decimal=","), [str(tmp_path / "t.h5")], follow=follow)

    assert (200, {10}) == (len(sizes), set(sizes))
    assert {len(seen)} == {total for _, total in seen}
    assert 500 >= max(size for size, _ in seen)
    np.testing.assert_array_equal(datasets(tmp_path / "t.h5")["data"],
                                  np.array([[i + 0.5, i] for i in range(2000)], np.float32))
