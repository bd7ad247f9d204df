"""ImageData: lists with several labels, images that cannot be read, folders and archives as a source."""

import logging

import numpy as np
import pytest

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.errors import DataError
from minicaffe.io import image
from minicaffe.layers.data.image_data import ImageDataLayer
from minicaffe.proto import TEST
from tests.extras import needs

needs("cv2")
IMAGES = np.random.default_rng(3).integers(0, 256, (7, 3, 5, 2), dtype=np.uint8)
TRUNCATED, EMPTY, TEXT, GONE = "1.png", "3.png", "4.png", "6.png"


@pytest.fixture
def seven(tmp_path, monkeypatch):
    """Seven PNG files (3, 5, 2), 0.png to 6.png, and a list that gives each its number as label."""
    monkeypatch.chdir(tmp_path)
    for i, x in enumerate(IMAGES):
        (tmp_path / f"{i}.png").write_bytes(image.encode(x))
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(7)))
    return tmp_path


@pytest.fixture
def bad(seven):
    """The same with four images that cannot be read."""
    (seven / TRUNCATED).write_bytes((seven / TRUNCATED).read_bytes()[:-20])
    (seven / EMPTY).write_bytes(b"")
    (seven / TEXT).write_bytes(b"no image")
    (seven / GONE).unlink()
    return seven


def layer(transform=None, phase=TEST, **param):
    return ImageDataLayer(phase=phase, transform_param=transform or {},
                          image_data_param={"source": "list.txt", "skip_bad": True, **param})


def set_up(reader, tops):
    top = [Blob((), reader.dtype) for _ in range(tops)]
    reader.SetUp([], top)
    return top


def batches(reader, count):
    """The labels of so many batches; the images must be those of the labels."""
    top, found = set_up(reader, 2), []
    for _ in range(count):
        reader.reshape([], top)
        reader.Forward([], top)
        labels = top[1].data.astype(int).tolist()
        assert (top[0].data == IMAGES[labels]).all()
        found.append(labels)
    return found


def test_several_labels(seven):
    """A list with K numbers in each line gives a label blob (N, K); label_size says K where the paths do not."""
    (seven / "list.txt").write_text("0.png 1 0 -1 0.25\n1.png 3 4 5 6\n")
    top = set_up(layer(batch_size=3), 2)
    assert top[1].shape == (3, 4)
    reader = layer(batch_size=3)
    reader.Forward([], top := set_up(reader, 2))
    assert top[1].data.tolist() == [[1, 0, -1, .25], [3, 4, 5, 6], [1, 0, -1, .25]]

    (seven / "0.png 7").write_bytes(image.encode(IMAGES[0]))
    (seven / "list.txt").write_text("0.png 7 8\n")
    assert set_up(layer(batch_size=3), 2)[1].shape == (3,)
    assert set_up(layer(batch_size=3, label_size=2), 2)[1].shape == (3, 2)


def test_a_bad_image_is_an_error(bad):
    """Without skip_bad the first image that cannot be read ends the run, and list, line and file are named."""
    (bad / GONE).write_bytes(b"")
    for skip, message in ((1, r"list\.txt:2: 1\.png is a PNG image that is damaged or cut off \(\d+ bytes\)"),
                          (3, r"list\.txt:4: 3\.png is empty"),
                          (4, r"list\.txt:5: 4\.png is no image that can be decoded \(8 bytes\)")):
        reader = layer(skip_bad=False)
        top = set_up(reader, 2)
        reader.cursor = skip
        with pytest.raises(DataError, match=message):
            reader.Forward([], top)


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_jpeg_that_is_cut_off(cut, seven):
    """A JPEG without its end is refused, by each version of OpenCV."""
    jpeg = image.encode(np.random.default_rng(0).integers(0, 256, (3, 40, 30), dtype=np.uint8), ".jpg")
    assert image.decode(jpeg, "whole").shape == (3, 40, 30)
    with pytest.raises(DataError, match="half is a JPEG image that is damaged or cut off"):
        image.decode(jpeg[:-cut], "half")


def test_bad_images_are_left_out(bad, caplog):
    """The next images fill the batch, each bad image is told once, and what was wrong with it is kept."""
    caplog.set_level(logging.WARNING)
    reader = layer(batch_size=2)
    assert batches(reader, 5) == [[0, 2], [5, 0], [2, 5], [0, 2], [5, 0]]
    reader.close()

    told = [record.getMessage() for record in caplog.records]
    assert [text.split(": ")[1] for text in told] == ["list.txt:2", "list.txt:4", "list.txt:5", "list.txt:7"]
    assert [error.split(": ")[0] for error in reader.left_out] == ["list.txt:2", "list.txt:4", "list.txt:5",
                                                                   "list.txt:7"]
    assert "no file 6.png" in reader.left_out[3]
    assert reader.source_files == [f"{i}.png" for i in range(6)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resume_sees_the_same_after_images_were_left_out(shuffle, bad):
    """The cursor counts places in the order, those of bad images included."""
    rng.seed(5)
    first = layer(batch_size=2, shuffle=shuffle)
    expected = batches(first, 7)
    if not shuffle:
        assert first.cursor == 4 * 7 + 3  # fourteen images: three of each epoch, then 0.png and 2.png
    second = layer(batch_size=2, shuffle=shuffle)
    top = set_up(second, 2)
    rng.seed(5)
    first = layer(batch_size=2, shuffle=shuffle)
    batches(first, 3)
    second.resume_from(first.resume_state())
    seen = []
    for _ in range(4):
        second.Forward([], top)
        seen.append(top[1].data.astype(int).tolist())
    assert seen == expected[3:]


def test_whole_epochs_end_with_the_epoch(bad):
    """Where each sample counts once, a batch is smaller instead, and one without any image is passed over."""
    reader = layer(batch_size=2)
    top = set_up(reader, 2)
    reader.whole_epochs = True
    found = []
    for _ in range(5):
        reader.reshape([], top)
        reader.Forward([], top)
        found.append((top[1].data.astype(int).tolist(), reader.cursor))
    assert found == [([0], 2), ([2], 4), ([5], 6), ([0], 9), ([2], 11)]


def test_nothing_but_bad_images(bad):
    """Where no image can be read, this is an error and no endless search."""
    for i in range(7):
        (bad / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"all 7 samples were left out, because none can be read; the first: "
                                        r"list\.txt:1: 0\.png is empty"):
        set_up(layer(batch_size=2), 2)
