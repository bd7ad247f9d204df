"""Image files to Datums: keys and bytes as Caffe's convert_imageset makes them."""

import os

import numpy as np
import pytest
from extras import needs

from minicaffe.data import imageset
from minicaffe.data.imageset import Form
from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.proto import Datum

COLOURS = np.random.default_rng(3).integers(256, size=(4, 3, 5, 7), dtype=np.uint8)  # of 4 images, 5 high and 7 wide
GREY = [0.114, 0.587, 0.299]  # what blue, green and red count in OpenCV's grey


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder pics/ with four PNG files, one of them in a folder of its own, and a list of them."""
    needs("cv2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics" / "in").mkdir(parents=True)
    names = ["a.png", "in/b c.PNG", "c.png", "d.png"]
    for name, pixels in zip(names, COLOURS, strict=True):
        (tmp_path / "pics" / name).write_bytes(image.encode(pixels) + b"more")  # so an image encoded anew differs
    (tmp_path / "list.txt").write_text("a.png 4\nin/b c.PNG -2\nc.png 0\nd.png 1000\n")
    return tmp_path


def made(form=None, threads=1, images=None, **more):
    """The records of the list, or of other images, as (key, Datum)."""
    images = imageset.read_list("list.txt", "pics/", must_exist=True) if images is None else images
    pairs = list(imageset.records(images, form or Form(), threads, **more))
    return [(key, Datum.FromString(datum.SerializeToString())) for key, datum in pairs]


def test_pixels(folder):
    """A key is eight digits, a line below and the path as it is listed; a Datum holds the planes blue, green, red."""
    records = made()

    assert [b"00000000_a.png", b"00000001_in/b c.PNG", b"00000002_c.png", b"00000003_d.png"] == [k for k, _ in records]
    assert [Datum(channels=3, height=5, width=7, label=label, encoded=False, data=pixels.tobytes())
            for label, pixels in zip([4, -2, 0, 1000], COLOURS, strict=True)] == [datum for _, datum in records]
    assert records[0][1].HasField("encoded")  # Caffe writes the field, although it has its default


def test_any_number_of_threads(folder):
    """The records and their order do not depend on the threads."""
    assert made() == made(threads=3) == made(threads=32)


def test_grey_and_resized(folder):
    """Grey images have one channel; a resize changes height and width, where both are given."""
    _, datum = made(Form(gray=True))[0]
    _, smaller = made(Form(resize_height=2, resize_width=3))[0]
    _, same = made(Form(resize_width=3))[0]
    wanted = np.tensordot(GREY, COLOURS[0], 1)

    assert (1, 5, 7) == (datum.channels, datum.height, datum.width)
    assert np.abs(np.frombuffer(datum.data, np.uint8).reshape(5, 7) - wanted).max() <= 1.001  # a PNG's grey is cut off
    assert (3, 2, 3, 18) == (smaller.channels, smaller.height, smaller.width, len(smaller.data))
    assert made()[0][1] == same


@pytest.mark.parametrize(("form", "as_they_are"), [
    (Form(encoded=True), [True, True, True]),
    (Form(encode_type="png"), [True, True, True]),
    (Form(encode_type="PNG", encoded=True), [True, True, True]),
    (Form(encode_type="bmp"), [False, False, False]),
    (Form(encoded=True, resize_height=2, resize_width=3), [False, False, False]),
    (Form(encoded=True, resize_height=2), [False, False, False]),  # Caffe encodes anew, although nothing is resized
])
def test_encoded(folder, form, as_they_are):
    """Files are stored as they are, where neither their kind nor their size changes; other images are encoded."""
    records = made(form)

    for (key, datum), kept in zip(records, as_they_are, strict=False):
        file = (folder / "pics" / os.fsdecode(key[9:])).read_bytes()
        assert (datum.data == file) == kept
        assert (True, False, False) == (datum.encoded, datum.HasField("channels"), datum.HasField("height"))
        pixels = image.decode(datum.data, "it")
        size = (2, 3) if form.size else (5, 7)
        assert size == pixels.shape[1:]


def test_keys_are_numbered_by_line(folder):
    """A blank line counts in the keys, as Caffe counts it; a shuffle gives new numbers."""
    (folder / "list.txt").write_text("a.png 1\n\nc.png 2\nd.png 3\n")
    images = imageset.read_list("list.txt", "pics/", must_exist=True)
    mixed = [imageset.shuffled(images, seed) for seed in (1, 1, 2, 3, 4, 5)]

    assert [b"00000000_a.png", b"00000002_c.png", b"00000003_d.png"] == [key for key, _ in made()]
    assert [0, 1, 2] == [one.number for one in mixed[0]]
    assert {1, 2, 3} == {one.label for one in mixed[0]}
    assert mixed[0] == mixed[1]
    assert len({tuple(one.label for one in order) for order in mixed}) > 1


def test_bad_images(folder):
    """The first one is an error with its line; or all of them are left out, and the others keep their keys."""
    (folder / "pics" / "c.png").write_bytes(b"no image")
    (folder / "pics" / "a.png").write_bytes(image.encode(COLOURS[0])[:-40])
    left_out = []

    with pytest.raises(DataError, match=r"^list.txt:1: pics/a.png is a PNG image that is damaged or cut off"):
        made(threads=2)
    assert [b"00000001_in/b c.PNG", b"00000003_d.png"] == [key for key, _ in made(left_out=left_out)]
    assert ["list.txt:1", "list.txt:3"] == [error.where for error in left_out]


@pytest.mark.parametrize("form", [Form(check_size=True), Form(check_size=True, encoded=True)])
def test_check_size(folder, form):
    """An image of another size is named with its line; its number of pixels may be that of the first."""
    made(form)
    (folder / "pics" / "c.png").write_bytes(image.encode(COLOURS[2].transpose(0, 2, 1)))

    with pytest.raises(DataError, match=r"list.txt:3: pics/c.png is 3×7×5 .* and pics/a.png is 3×5×7"):
        made(form)


@pytest.mark.parametrize(("line", "words"), [
    ("a.png 1 0", r"list.txt:1: a.png has 2 labels, .*\n.*ImageData"), ("a.png 0.5", "a.png has the label 0.5"),
    ("a.png 2147483648", "2147483648 does not fit into the 32 bits"),
    ("x.png 1", "list.txt:1: there is no file pics/x"),
    ("a.png -2147483649", "-2147483649 does not fit")])
def test_labels_of_other_forms(folder, line, words):
    """A Datum holds one whole number of 32 bits."""
    (folder / "list.txt").write_text(line + "\n")

    with pytest.raises(DataError, match=words):
        imageset.read_list("list.txt", "pics/", must_exist=True)


def test_unknown_kind_of_file(folder):
    """A kind that cannot be written is named, with the file."""
    with pytest.raises(DataError, match=r"list.txt:1: an image cannot be encoded as '.gff'"):
        made(Form(encode_type="gff"))
    listed = imageset.read_list("list.txt", "pics/", must_exist=True)[0]._replace(where="")
    with pytest.raises(DataError, match=r"^pics/a.png: an image cannot be encoded as '.gff'"):
        made(Form(encode_type="gff"), images=[listed])


def test_class_folders(folder, caplog):
    """Sorted names of folders are the classes; images may lie deeper; other files are left out with a warning."""
    for name in ("dog/x.png", "cat/2/y.png", "cat/10.png"):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(image.encode(COLOURS[1]))
    (folder / "photos" / "cat" / "notes.txt").write_text("no image")
    (folder / "photos" / "cat" / ".hidden.png").write_text("no image")

    images, classes = imageset.read_folder("photos")
    assert ["cat", "dog"] == classes
    assert [("cat/10.png", 0, 0), ("cat/2/y.png", 0, 1), ("dog/x.png", 1, 2)] == [
        (one.path, one.label, one.number) for one in images]
    assert "whose names are not those of images are left out: 1, the first is cat/notes.txt" in caplog.text
    assert [b"00000000_cat/10.png", b"00000001_cat/2/y.png", b"00000002_dog/x.png"] == [
        key for key, _ in made(images=images)]


def test_folders_that_are_none(folder):
    """No folder, no class folders, an empty one, and images outside of them are errors."""
    (folder / "photos" / "cat").mkdir(parents=True)
    (folder / "photos" / "dog").mkdir()
    (folder / "photos" / "dog" / "1.png").write_bytes(b"")
    (folder / "bare").mkdir()
    for name, words in (("none", "cannot read the folder none: No such file.*\n.*looked for in"),
                        ("bare", "the folder bare has no images in folders, one folder for each class"),
                        ("photos", "the folder photos has a class folder without an image: cat"),
                        ("pics", "pics holds images outside its class folders, the first of 3 is a.png")):
        with pytest.raises(DataError, match=words):
            imageset.read_folder(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_the_images(folder):
    """A pipe that nobody writes to is refused, not waited for."""
    (folder / "photos" / "cat").mkdir(parents=True)
    os.mkfifo(folder / "photos" / "cat" / "1.png")
    images, _ = imageset.read_folder("photos")
    with pytest.raises(DataError, match=r"^cannot read the image photos/cat/1.png: it is a pipe or a device"):
        made(images=images)
