"""Lists of images and of other files: every form that is read, and what is refused."""

import os
import sys

import pytest

from minicaffe.data.lists import FEW, Files, read_image_list, read_listed, read_path_list
from minicaffe.errors import DataError

NAMES = ["a.jpg", "b c.jpg", "d 5", "d 5 7", "#e.jpg", "sub/f.jpg", 'sub/"g".jpg', " h.jpg", "i .jpg ", "k'.jpg"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with empty files of unusual names, in which minicaffe is started."""
    (tmp_path / "sub").mkdir()
    for name in NAMES:
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(content, **options):
    """Return the entries of a list with this content."""
    data = content if isinstance(content, bytes) else content.encode()
    with open("list.txt", "wb") as file:
        file.write(data)
    return read_image_list("list.txt", **options)


@pytest.mark.parametrize(("content", "expected"), [
    ("a.jpg 3\nsub/f.jpg -1\n", [("a.jpg", (3,), 1), ("sub/f.jpg", (-1,), 2)]),
    ("a.jpg 3\nb c.jpg 4", [("a.jpg", (3,), 1), ("b c.jpg", (4,), 2)]),
    ("a.jpg\t3\nb c.jpg \t 4\t \n", [("a.jpg", (3,), 1), ("b c.jpg", (4,), 2)]),
    ("\ufeffa.jpg 3\r\n\r\n  b c.jpg 4\r\n", [("a.jpg", (3,), 1), ("b c.jpg", (4,), 3)]),
    ("# the first\n\na.jpg 3\n#e.jpg 4\n  # x 5\n", [("a.jpg", (3,), 3), ("#e.jpg", (4,), 4)]),
    ("\"b c.jpg\" 3\n'a.jpg' 4\nk'.jpg 5\n", [("b c.jpg", (3,), 1), ("a.jpg", (4,), 2), ("k'.jpg", (5,), 3)]),
    (" h.jpg 3\ni .jpg  4\n a.jpg 5\n", [(" h.jpg", (3,), 1), ("i .jpg ", (4,), 2), ("a.jpg", (5,), 3)]),
    ("a.jpg +3\na.jpg 0.25\na.jpg -1e3\na.jpg .5\n", [("a.jpg", (x,), i) for i, x in enumerate([3, .25, -1e3, .5], 1)]),
    ("./a.jpg 0\nsub/../a.jpg 1\n", [("./a.jpg", (0,), 1), ("sub/../a.jpg", (1,), 2)]),
])
def test_one_label(content, expected, folder):
    """Paths and labels of each form in which a list may be written, with the number of the line."""
    assert read(content) == expected


@pytest.mark.parametrize(("content", "expected"), [
    ("a.jpg 1 0 -1 0.3\nb c.jpg 4 5 6 7\n", [("a.jpg", (1, 0, -1, .3)), ("b c.jpg", (4, 5, 6, 7))]),
    ("d 5 7\na.jpg 3\n", [("d 5", (7,)), ("a.jpg", (3,))]),  # "d 5" is there, so this is Caffe's reading
    ("d 5 7 8\na.jpg 3\n", [("d 5 7", (8,)), ("a.jpg", (3,))]),
    ('"a.jpg" 1\t2\n"b c.jpg"  3 4\n', [("a.jpg", (1, 2)), ("b c.jpg", (3, 4))]),
    ("# 1 2 3\na.jpg 1 2\n", [("a.jpg", (1, 2))]),
])
def test_the_number_of_labels_follows_from_the_first_path_that_is_there(content, expected, folder):
    """More numbers are labels only where the path as Caffe reads it is not there."""
    assert [entry[:2] for entry in read(content)] == expected


def test_a_line_of_a_hundred_thousand_numbers(folder):
    """Nothing is tried that takes the square of their number, and a label may have thousands of digits."""
    zeros = "0" * 5000
    assert read(f"a.jpg {zeros}1 -{zeros}2 {zeros}.5\n") == [("a.jpg", (1, -2, .5), 1)]
    (_, labels, _), (_, others, _) = read(2 * ("a.jpg " + "1 2 " * 50_000 + "\n"))
    assert labels == others == (1, 2) * 50_000
    assert [len(entry.labels) for entry in read("x.jpg" + " 1" * 100_000, must_exist=False)] == [1]


def test_label_size_decides(folder):
    """With label_size, no file is looked for to find out where the path ends."""
    assert read("d 5 7 8\n", label_size=2) == [("d 5", (7, 8), 1)]
    with pytest.raises(DataError, match=r":1: expected a path and 3 labels, as label_size says, got 'a\.jpg 1'"):
        read("a.jpg 1\n", label_size=3)
    with pytest.raises(DataError, match=r":2: expected a path and 1 label, as label_size says, got 'a\.jpg 1 2'"):
        read("a.jpg 1\na.jpg 1 2\n", label_size=1)


def test_a_name_that_is_no_utf_8(folder):
    """The bytes of the list are the bytes of the file's name."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("this machine's file names are all Unicode")
    open(b"caf\xe9.jpg", "w").close()
    entry, = read(b"caf\xe9.jpg 3\n")
    assert os.fsencode(entry.path) == b"caf\xe9.jpg"


@pytest.mark.parametrize(("content", "message"), [
    ("", "the list list.txt is empty"),
    ("# only this\n", "the list list.txt is empty"),
    ("a.jpg 0\na.jpg\n", r"list\.txt:2: expected 'PATH LABEL' with a number at the end, got 'a\.jpg'\n  hint: where "),
    ("a.jpg,3\n", r"list\.txt:1: expected .*, got 'a\.jpg,3'\n  hint: write a blank, not a comma"),
    ("a.jpg cat\n", r"list\.txt:1: expected .*, got 'a\.jpg cat'\n  hint: a label is a number"),
    ("a.jpg 3x\n", r"list\.txt:1: expected .*, got 'a\.jpg 3x'"),
    ("a.jpg 0x10\n", r"list\.txt:1: expected .*, got 'a\.jpg 0x10'"),
    ("a.jpg 1_0\n", r"list\.txt:1: expected .*, got 'a\.jpg 1_0'"),
    ("a.jpg nan\n", r"list\.txt:1: expected .*, got 'a\.jpg nan'"),
    ("a.jpg 1\n\u00a0\n", r"list\.txt:2: expected .*, got '\\xa0'\n  hint: where there are no labels"),
    ("a.jpg " + "9" * 5000, r"list\.txt:1: the label 9{500} … 9{250} is too large for float32"),
    ("x" * 5000 + " 1\n", r"list\.txt:1: cannot read x{500} … x{250}, which the list list\.txt names: "),
    ("a.jpg ٣\n", r"list\.txt:1: expected .*, got 'a\.jpg ٣'"),
    ("a.jpg 1e39\n", r"list\.txt:1: the label 1e39 is too large for float32"),
    ("a.jpg 1 2\n\na.jpg 3\n", r"list\.txt:3: expected a path and 2 labels, as line 1 has, got 'a\.jpg 3'\n  h"),
    ("a.jpg 1 2\na.jpg 3 4 5\n", r"list\.txt:2: expected a path and 2 labels, as line 1 has, got 'a\.jpg 3 4 5'"),
    ("a.jpg 1\nb c.jpg 3 4\n", r"list\.txt:2: expected a path and 1 label, as line 1 has, got 'b c\.jpg 3 4'"),
    ("a.jpg 1 2\nd 5 7\n", r"list\.txt:2: expected a path and 2 labels, as line 1 has, got 'd 5 7'"),
    (b"a.jpg 1\n\0\0", r"cannot read the list list\.txt: it is no text in UTF-8\n  hint: the list must be a text file"),
    ("a.jpg 0\n".encode("utf-16"), r"it is no text in UTF-8\n  hint: it is UTF-16"),
    ("a.jpg 0\nx.jpg 1\nsub 2\ny.jpg 3\n", r"list\.txt:2: there is no file x\.jpg, which the list list\.txt names "
                                           r"\(looked for in .*\); of the 4 files in the list, 3 are missing\n"),
    ("sub 0\n", r"list\.txt:1: cannot read sub, which the list list\.txt names: Is a directory"),
])
def test_mistakes(content, message, folder):
    """A text that is no list, or a path that names no file, is an error with the line, what was seen, and the cure."""
    with pytest.raises(DataError, match=message):
        read(content)


def test_a_list_that_is_not_there(folder):
    """A name that is spelt nearly alike is proposed."""
    with pytest.raises(DataError, match=r"cannot read the list b d\.jpg: No such file.*\n  hint: looked for in .*; did "
                                        r"you mean 'b c\.jpg'"):
        read_image_list("b d.jpg")


@pytest.mark.parametrize(("content", "root", "hint"), [
    ("f.jpg 1\n", "", r"did you mean root_folder: sub/$"),
    ("f.jpg 1\n", "other/", r"did you mean root_folder: sub/$"),
    ("a.jpg 1\n", "sub/", r"leave out root_folder: the path needs none$"),
    ("f.jpg 1\n", "sub", r"root_folder is put before each path as it is: end it with a slash, 'sub/'$"),
    ("sub\\f.jpg 1\n", "", r"write / instead of \\$"),
    ("C:\\sub\\f.jpg 1\n", "", r"this is a path of Windows: give the one that the file has on this computer$"),
    ("C:/sub/f.jpg 1\n", "sub/", r"this is a path of Windows: give the one that the file has on this computer$"),
])
def test_where_a_missing_file_may_be(content, root, hint, folder):
    """The error for a missing file says which root_folder would find it."""
    with pytest.raises(DataError, match=r"list\.txt:1: there is no file .*\n  hint: " + hint):
        read(content, root=root)


def test_no_other_folder_is_proposed_for_a_single_missing_file(folder):
    """Where other files of the list are there, root_folder is right."""
    with pytest.raises(DataError, match=r"list\.txt:2: there is no file f\.jpg.*\n  hint: did you mean 'a\.jpg'"):
        read("a.jpg 1\nf.jpg 1\n")


def test_missing_files_may_be_allowed(folder):
    """Without must_exist a missing file is no error, but a line of another form is one."""
    found = read("x.jpg 1 2\na.jpg 3 4\n", must_exist=False)
    assert [entry[:2] for entry in found] == [("x.jpg", (1, 2)), ("a.jpg", (3, 4))]
    with pytest.raises(DataError, match=r"list\.txt:3: expected a path and 2 labels, as line 2 has"):
        read("x.jpg 1 2\na.jpg 3 4\nx.jpg 5\n", must_exist=False)


def test_large_labels_are_warned_of(folder, caplog):
    """A label of 2²⁴ or more is warned of, because float32 cannot tell 2²⁴ from 2²⁴ + 1."""
    read(f"a.jpg {2**24 - 1}\n")
    assert not caplog.records
    read(f"a.jpg 1\na.jpg {2**24}\na.jpg {-2**25}\n")
    assert "has 2 labels of 2^24 or more, the first (16777216) in line 2" in caplog.text


def test_nothing_that_may_never_answer_is_opened(folder):
    """A pipe that nobody writes to is an error, as the list and as an image in it."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this machine has no named pipes")
    os.mkfifo("pipe")
    with pytest.raises(DataError, match=r"cannot read the list pipe: it is a pipe or a device"):
        read_image_list("pipe")
    with pytest.raises(DataError, match=r"list\.txt:1: cannot read pipe, .*: it is a pipe or a device"):
        read("pipe 3\n")
    with pytest.raises(DataError, match=r"list\.txt:7: cannot read pipe, .*: it is a pipe or a device"):
        read_listed("pipe", "list.txt:7")


def test_files_of_a_large_folder(folder):
    """Reading a whole folder finds the same files as asking for each of them."""
    os.symlink("a.jpg", "link")
    os.symlink("nothing", "broken")
    asked = [*NAMES, "link", "broken", "sub", "nothing"] * FEW
    files = Files()
    assert [name in files for name in asked] == [os.path.isfile(name) for name in asked]


@pytest.mark.parametrize(("content", "expected"), [
    ("a.jpg  sub/f.jpg\nd\n", [("a.jpg", (), 1), ("sub/f.jpg", (), 1), ("d", (), 2)]),
    ('"b c.jpg" a.jpg\n', [("b c.jpg", (), 1), ("a.jpg", (), 1)]),
    ("b c.jpg\n", [("b c.jpg", (), 1)]),
    ("# a.jpg\n#e.jpg\n", [("#e.jpg", (), 2)]),
])
def test_lists_without_labels(content, expected, folder):
    """HDF5Data's list: paths separated by white space, as Caffe reads them; quotes and comments beside that."""
    (folder / "list.txt").write_text(content)
    assert read_path_list("list.txt") == expected
