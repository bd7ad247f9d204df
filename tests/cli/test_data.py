"""`minicaffe data`: what it says of a source, and the sheet that it draws."""

import contextlib
import json
import re
import struct
from collections import Counter

import numpy as np
import pytest
from extras import needs
from net_tools import layer

from minicaffe.cli.__main__ import main
from minicaffe.data import hdf5
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.data.survey import spread
from minicaffe.io import image
from minicaffe.proto import Datum
from minicaffe.records import picture, score_pictures

PIXELS = np.random.default_rng(4).integers(0, 256, (9, 3, 5, 7)).astype(np.uint8)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database():
    """An LMDB of nine images with the labels 0, 1, 2, of which the last is the first again."""
    needs("lmdb")
    images = [*PIXELS[:8], PIXELS[0]]
    write_lmdb("db", [(f"k{i}", make(x, 0 if i == 8 else i % 3)) for i, x in enumerate(images)])
    return np.stack(images)


@pytest.fixture
def folder(here):
    """Three class folders with two PNG images each; one image is cut short."""
    needs("cv2")
    for i, name in enumerate(["ant", "bee", "cat"]):
        (here / "photos" / name).mkdir(parents=True)
        for k in range(2):
            data = image.encode(PIXELS[2 * i + k])
            (here / "photos" / name / f"{k}.png").write_bytes(data if (i, k) != (1, 0) else data[:40])
    return here / "photos"


def found(*flags, status=0):
    """What --json writes."""
    assert status == main(["data", *map(str, flags), "--json", "out.json"])
    with open("out.json", encoding="utf-8") as file:
        return json.load(file)


def test_a_database(database, capsys):
    """Count, shapes, labels, and mean and deviation of each channel over all numbers."""
    made = found("db")
    text = capsys.readouterr().out

    assert (9, 9) == (made["count"], made["read"])
    assert [{"shape": [3, 5, 7], "samples": 9}] == made["shapes"]
    assert {"uint8": 9} == made["types"]
    assert {0: 4, 1: 3, 2: 2} == {one["label"]: one["samples"] for one in made["labels"]}
    np.testing.assert_allclose(made["channels"][0]["mean"], database.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(made["channels"][0]["deviation"], database.std(axis=(0, 2, 3)))
    assert database.max(axis=(0, 2, 3)).tolist() == made["channels"][0]["largest"]
    assert ("db: an LMDB, 9 samples\nshapes: all 3×5×7\nnumbers: all uint8\nstored as: numbers, not encoded\n\n"
            "3 labels, 0 to 2, 2 to 4 ") in text
    assert [] == made["duplicates"]


def test_duplicates(database, capsys):
    """--check finds the same content under two keys, and says where the labels differ."""
    made = found("db", "--check")

    assert [[{"key": "k0", "label": 0}, {"key": "k8", "label": 0}]] == made["duplicates"]
    write_lmdb("db2", [("a", make(PIXELS[0], 1)), ("b", make(PIXELS[0], 2)), ("c", make(PIXELS[1], 2))])
    assert 0 == main(["data", "db2", "--check"])
    assert "2 samples in 1 group have the same content, in 1 of these with different labels:\n  a (1), b (2)\n" in \
        capsys.readouterr().out


def test_class_folders(folder, capsys):
    """The classes are the sorted names; an image that cannot be read is listed, and the exit status is 1."""
    made = found(folder, "--check", status=1)

    assert ["ant", "cat", "bee"] == [one["name"] for one in made["labels"]]
    assert [2] == [one["number"] for one in made["unreadable"]]
    assert "bee/0.png" in made["unreadable"][0]["error"]
    assert "1 sample cannot be read:\n" in capsys.readouterr().out


def test_names_of_classes(database, here):
    """A database knows no names, so a file gives them."""
    (here / "names.txt").write_text("ant\nbee\ncat\n")

    assert ["ant", "bee", "cat"] == [one["name"] for one in found("db", "--labels", "names.txt")["labels"]]


def test_a_list(folder, capsys):
    """A missing file counts as one that cannot be read. Several labels are summarised place by place."""
    (folder / "list.txt").write_text("ant/0.png 1 0 -1\nant/1.png 1 0 0.5\nno.png 0 0 0\n")
    made = found(folder / "list.txt", "--root", f"{folder}/", "--check", status=1)

    assert {(1, 0, -1): 1, (1, 0, 0.5): 1} == {tuple(one["label"]): one["samples"] for one in made["labels"]}
    assert "list.txt:3: there is no file" in made["unreadable"][0]["error"]
    assert "labels of several numbers: all 3\n" in (out := capsys.readouterr().out)
    assert ["2", "-0.25", "0.75", "-1", "0.5", "100.0", "%"] in [line.split() for line in out.splitlines()]


def test_hdf5_and_idx(here):
    """Rows of any shape, with the labels of the dataset or the file beside."""
    h5py = needs("h5py")
    rows = np.random.default_rng(5).standard_normal((6, 4))
    with h5py.File("a.h5", "w") as file:
        file["data"], file["label"] = rows, np.arange(6)
    (here / "list.txt").write_text("a.h5\n")
    head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 5))
    (here / "t-images-idx3-ubyte").write_bytes(head + bytes(range(30)))
    (here / "t-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x02\x07\x09")

    for source in ("a.h5", "list.txt"):
        made = found(source)
        np.testing.assert_allclose(made["channels"][0]["mean"], rows.mean(axis=0))
        assert [4] == made["shapes"][0]["shape"]
    made = found("t-images-idx3-ubyte")
    assert ([1, 3, 5], [7, 9]) == (made["shapes"][0]["shape"], [one["label"] for one in made["labels"]])
    assert [14.5] == made["channels"][0]["mean"]


def test_a_large_hdf5_file_is_read_by_parts(monkeypatch):
    """Of rows that do not fit into memory only those are read that are looked at; the labels are theirs."""
    h5py = needs("h5py")
    read = hdf5.HDF5Rows._read
    counts = []
    monkeypatch.setattr(hdf5, "KEPT", 0)
    monkeypatch.setattr(hdf5.HDF5Rows, "_read", lambda rows, n: counts.append(len(n)) or read(rows, n))
    with h5py.File("a.h5", "w") as file:
        file["data"], file["label"] = np.arange(900.0).reshape(300, 3), np.arange(300) % 7

    made = found("a.h5", "--samples", "20")

    assert (300, 20, 20) == (made["count"], made["read"], sum(counts))
    numbers = spread(300, 20, 40)
    assert pytest.approx(np.mean([3 * n + 1 for n in numbers])) == made["channels"][0]["mean"][1]
    assert Counter(n % 7 for n in numbers) == {one["label"]: one["samples"] for one in made["labels"]}


def test_rows_that_are_only_labels():
    """A file with the dataset `label` alone is shown with these as its numbers and as its labels."""
    h5py = needs("h5py")
    with h5py.File("a.h5", "w") as file:
        file["label"] = np.array([3.0, 5.0, 5.0])

    assert [(5, 2), (3, 1)] == [(one["label"], one["samples"]) for one in found("a.h5")["labels"]]


def test_numbers_that_are_not_finite(capsys):
    """They are said, and left out of mean and deviation; JSON has null for them."""
    h5py = needs("h5py")
    with h5py.File("a.h5", "w") as file:
        file["data"] = np.array([[1, 2, 4], [3, np.nan, 8], [-np.inf, 6, 6]], np.float32)
        file["label"] = np.array([np.nan, 0.5, np.nan])

    made = found("a.h5")
    text = capsys.readouterr().out

    assert [2, 4, 6] == made["channels"][0]["mean"]
    assert ["a.h5[1]", "a.h5[2]"] == made["not_finite"]
    assert [(None, 2), (0.5, 1)] == [(one["label"], one["samples"]) for one in made["labels"]]
    assert "NaN or infinity: in 2 samples, the first a.h5[1]; the table leaves them out" in text
    assert "labels that are NaN, which no net can learn: 2\nlabels: 1 different number from 0.5 to 0.5" in text
    assert "blue" not in text  # columns of a table are no colours


def turned(jpeg):
    """The JPEG with EXIF data that asks for it to be turned by a quarter."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x112, 3, 1, 6, 0) + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + jpeg[2:]


def test_how_images_are_stored(here, capsys):
    """Encoded or not, and whether the data layer turns them as their EXIF data asks."""
    cv2 = needs("cv2")
    needs("lmdb")
    jpeg = cv2.imencode(".jpg", PIXELS[0].transpose(1, 2, 0))[1].tobytes()
    encoded = [Datum(data=one, encoded=True, label=k) for k, one in enumerate([jpeg, turned(jpeg), jpeg])]
    write_lmdb("db", [(f"{k}", one) for k, one in enumerate([*encoded, make(PIXELS[1], 3)])])
    (here / "photos" / "ant").mkdir(parents=True)
    (here / "photos" / "ant" / "0.jpg").write_bytes(turned(jpeg))
    forced = layer("Data", "", "x label", 'data_param { source: "db" backend: LMDB batch_size: 1 } '
                   "transform_param { force_color: true }")
    (here / "net.prototxt").write_text(forced)

    assert {"looked_at": 4, "encoded": 3, "turned": 1, "turns": False} == found("db")["stored"]
    text = capsys.readouterr().out
    assert "stored as: encoded images such as JPEG (3 of the 4 looked at)\nEXIF: 1 of 3 images looked at say" in text
    assert "The data layer Data does not do so" in text
    assert {"looked_at": 1, "encoded": 1, "turned": 1, "turns": True} == found("photos")["stored"]
    assert found("net.prototxt", "--phase", "TRAIN")["stored"]["turns"]


def test_a_large_source_is_sampled(database, capsys):
    """Only some are read, spread from the first to the last, and it says so. --all reads all."""
    assert 6 == found("db", "--samples", "6")["read"]
    assert "read 6 of them, spread evenly; --all reads all" in capsys.readouterr().out
    assert 9 == found("db", "--samples", "6", "--all")["read"]


def net(phase, transform):
    return layer("Data", "", "x label", f'data_param {{ source: "db" backend: LMDB batch_size: 2 }} '
                 f'transform_param {{ {transform} }} include {{ phase: {phase} }}', name=phase.lower())


def test_a_net(database, here, monkeypatch):
    """Its data layer in the phase that is asked for; the sheet shows the sample before and after it."""
    needs("matplotlib")
    sheet = []
    draw = score_pictures.draw_images
    monkeypatch.setattr(score_pictures, "draw_images", lambda path, rows, title: (sheet.extend(rows),
                                                                                   draw(path, rows, title)))
    (here / "net.prototxt").write_text(net("TRAIN", "scale: 0.5") + net("TEST", "mean_value: 10 crop_size: 3"))

    assert 0 == main(["data", "net.prototxt", "--phase", "TEST", "--sheet", "s.png"])

    assert ["in the source", "into the net"] * 2 == [name for name, _ in sheet]
    np.testing.assert_array_equal(database[0], sheet[0][1][0][0])
    np.testing.assert_array_equal(database[0][:, 1:4, 2:5] - np.float32(10), sheet[1][1][0][0])
    assert (here / "s.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_with_flags(database, here, monkeypatch):
    """Without a net, flags say what is done to the images."""
    sheet = []
    monkeypatch.setattr(picture, "Figure", object)  # so that this needs no matplotlib
    monkeypatch.setattr(score_pictures, "draw_images", lambda path, rows, title: sheet.extend(rows))

    assert 0 == main(["data", "db", "--sheet", "s.png", "--scale", "2", "--mean", "1,2,3", "--channel-swap", "0,1,2"])

    mean = np.float32([1, 2, 3]).reshape(3, 1, 1)
    np.testing.assert_array_equal((database[0][::-1] - mean) * 2, sheet[1][1][0][0])


def test_a_layer_that_is_no_collection(here):
    """What any other data layer puts out is surveyed batch by batch."""
    (here / "net.prototxt").write_text(layer("DummyData", "", "x y", "dummy_data_param { shape { dim: 4 dim: 3 dim: 2 "
                                             "dim: 5 } shape { dim: 4 } data_filler { value: 7 } }"))
    made = found("net.prototxt", "--samples", "6")

    assert [{"shape": [3, 2, 5], "samples": 6}] == made["shapes"]
    assert [7.0, 7.0, 7.0] == made["channels"][0]["mean"]


@pytest.mark.parametrize(("args", "message"), [
    (["nothing"], "there is no source nothing"),
    (["net.prototxt", "--layer", "tain"], "no data layer 'tain' in phase TRAIN\n  hint: did you mean 'train'"),
    (["net.prototxt", "--phase", "TEST"], "the net has no data layer in phase TEST\n  hint: --phase TRAIN looks"),
    (["a.txt", "--layer", "x"], "--layer x: a.txt is no net"),
    (["a.txt", "--sheet", "s.bmp"], "a picture is written as .png or .svg, not as s.bmp"),
    (["a.txt", "--mean", "1,,2"], "--mean expects values such as 104,117,123 or a file, got '1,,2'"),
    (["a.txt", "--resize", "3y4"], "expects a size such as 256x256 (height x width) or 256, or 'no', got '3y4'"),
    (["photo.png"], "photo.png is an image, not a source of many")])
def test_errors(here, capsys, args, message):
    """A mistake is one message and status 1."""
    needs("matplotlib")
    needs("cv2")
    (here / "net.prototxt").write_text(net("TRAIN", ""))
    (here / "a.txt").write_text("photo.png 0\n")
    (here / "photo.png").write_bytes(image.encode(PIXELS[0]))
    with contextlib.suppress(SystemExit):  # argparse's way to end with status 1
        assert 1 == main(["data", *args])
    assert message in capsys.readouterr().err


def test_narrow_terminal(database, capsys, monkeypatch):
    """No line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "42")
    assert 0 == main(["data", "db", "--check"])

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 42


def test_three_columns_are_no_colours(here, capsys):
    """The columns of a table are called so; blue, green and red are channels of images."""
    h5py = needs("h5py")
    with h5py.File("a.h5", "w") as file:
        file["data"] = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert 0 == main(["data", "a.h5"])
    told = capsys.readouterr().out

    assert re.search(r"^column +mean +deviation +least +largest\n0 +4\.5 .*\n1 +5\.5 .*\n2 +6\.5 ", told, re.MULTILINE)
    assert "blue" not in told


def test_a_hint_at_why_nothing_can_be_read(here, capsys):
    """Under the samples that cannot be read stands the likely cure."""
    (here / "a.txt").write_text("photo.png 0\n")
    (here / "sub").mkdir()
    needs("cv2")
    (here / "sub" / "photo.png").write_bytes(image.encode(PIXELS[0]))
    assert 1 == main(["data", "a.txt", "--check", "--root", "sub"])

    assert "hint for the first: root_folder is put before each path as it is: end it with a slash, 'sub/'" in \
        " ".join(capsys.readouterr().out.split())
