"""The data family: layers that make batches or write them out."""

import gc
import logging
import re
import shutil
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from extras import needs

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.data.batches import Batches, Sample
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.data.transformer import Transformer
from minicaffe.data.windows import expand, read_window_file
from minicaffe.errors import DataError, LayerError
from minicaffe.io import hdf5, image
from minicaffe.io.binary import array_to_blob
from minicaffe.layers.data.data import DataLayer
from minicaffe.layers.data.dummy_data import DummyDataLayer
from minicaffe.layers.data.hdf5_data import HDF5DataLayer
from minicaffe.layers.data.hdf5_output import HDF5OutputLayer
from minicaffe.layers.data.image_data import ImageDataLayer
from minicaffe.layers.data.input import InputLayer
from minicaffe.layers.data.memory_data import MemoryDataLayer
from minicaffe.layers.data.window_data import WindowDataLayer
from minicaffe.proto import TEST, Datum, TransformationParameter


def set_up(layer, tops):
    """Run SetUp with fresh tops of the layer's dtype and return them."""
    top = [Blob((), layer.dtype) for _ in range(tops)]
    layer.SetUp([], top)
    return top


# --- Input ---------------------------------------------------------------------------------------


def test_input_one_shape_for_all():
    """One shape serves every top."""
    top = set_up(InputLayer(input_param={"shape": [{"dim": [2, 7, 5, 3]}]}), 2)

    assert [y.shape for y in top] == [(2, 7, 5, 3)] * 2


def test_input_one_shape_each():
    """As many shapes as tops are taken in order, and a forward pass leaves data and reshapes alone."""
    layer = InputLayer(input_param={"shape": [{"dim": [2, 3]}, {"dim": [5]}]})
    top = set_up(layer, 2)
    top[1].reshape(7)
    top[1].data[...] = 4

    assert layer.Forward([], top) == 0.0
    assert [y.shape for y in top] == [(2, 3), (7,)]
    assert (top[1].data == 4).all()


def test_input_without_shape():
    """No shape leaves the tops as they are."""
    assert set_up(InputLayer(), 1)[0].shape == ()


def test_input_errors():
    """A wrong number of shapes and a negative size are named with what was seen."""
    with pytest.raises(LayerError, match=r"input_param\.shape must be given once.* 3 tops"):
        set_up(InputLayer(input_param={"shape": [{"dim": [2]}, {"dim": [5]}]}), 3)
    with pytest.raises(LayerError, match=r"negative size for top\[0\], got \[2, -7\]"):
        set_up(InputLayer(input_param={"shape": [{"dim": [2, -7]}]}), 1)


# --- DummyData -----------------------------------------------------------------------------------


def test_dummy_data_defaults_to_zeros():
    """Without a filler the tops are zero, in either spelling of the shape."""
    for param in ({"shape": [{"dim": [2, 7, 5, 3]}]},
                  {"num": [2], "channels": [7], "height": [5], "width": [3]}):
        top = set_up(DummyDataLayer(dummy_data_param=param), 1)

        assert top[0].shape == (2, 7, 5, 3)
        assert not top[0].data.any()


def test_dummy_data_legacy_sizes_mix():
    """Each deprecated size is given once, or once for each top, independently of the others."""
    top = set_up(DummyDataLayer(dummy_data_param={"num": [2, 4], "channels": [7], "height": [5, 1],
                                                  "width": [3]}), 2)

    assert [y.shape for y in top] == [(2, 7, 5, 3), (4, 7, 1, 3)]


def test_dummy_data_refills():
    """Random fillers draw anew in each forward pass; a constant is filled once, when the layer is set up."""
    rng.seed(5)
    layer = DummyDataLayer(dummy_data_param={
        "shape": [{"dim": [2, 3]}, {"dim": [7]}],
        "data_filler": [{"type": "constant", "value": 6}, {"type": "gaussian", "std": 2}]})
    top = set_up(layer, 2)
    assert (top[0].data == 6).all()

    layer.Forward([], top)
    first = top[1].data.copy()
    top[0].data[...] = 1
    layer.Forward([], top)

    assert (first != top[1].data).all()
    assert (top[0].data == 1).all()


def test_dummy_data_one_filler_for_all():
    """One filler fills every top, each with draws of its own, in the net's number type."""
    layer = DummyDataLayer(dtype=np.float64, dummy_data_param={
        "shape": [{"dim": [50]}], "data_filler": [{"type": "uniform", "min": 2, "max": 3}]})
    top = set_up(layer, 2)
    layer.Forward([], top)

    for y in top:
        assert y.data.dtype == np.float64
        assert 2 <= y.data.min() < y.data.max() <= 3
    assert (top[0].data != top[1].data).any()


@pytest.mark.parametrize(("param", "message"), [
    ({"shape": [{"dim": [2]}], "data_filler": [{}, {}]}, r"data_filler must be given once.* 3 tops"),
    ({"shape": [{"dim": [2]}, {"dim": [5]}]}, r"dummy_data_param\.shape must be given once.* 3 tops"),
    ({}, r"dummy_data_param\.shape must be given once.*got \[\]"),
    ({"num": [2], "channels": [7, 7], "height": [5], "width": [3]},
     r"channels must be given once.*got \[7, 7\]"),
    ({"num": [2], "channels": [7], "height": [5]}, r"width must be given once.*got \[\]"),
    ({"num": [2], "shape": [{"dim": [2]}]}, r"shape cannot be given beside num"),
    ({"shape": [{"dim": [2, -5]}]}, r"negative size in the shape \[2, -5\]"),
])
def test_dummy_data_errors(param, message):
    """Each wrong count or size is refused with the field and what was seen."""
    with pytest.raises(LayerError, match=message):
        set_up(DummyDataLayer(dummy_data_param=param), 3)


# --- Data ----------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(4).integers(256, size=(7, 3, 5, 2), dtype=np.uint8)


@pytest.fixture
def seven(tmp_path):
    """The path of an LMDB with seven images (3, 5, 2), keyed 00000000 to 00000006, labelled 0 to 6."""
    write_lmdb(tmp_path / "seven", [(f"{i:08d}", make(x, i)) for i, x in enumerate(IMAGES)])
    return str(tmp_path / "seven")


def data_layer(source, batch_size=3, dtype=np.float32, transform=None, phase=TEST, **param):
    """A Data layer on an LMDB."""
    return DataLayer(dtype=dtype, phase=phase, transform_param=transform or {},
                     data_param={"source": source, "backend": "LMDB", "batch_size": batch_size, **param})


def test_data_in_order_over_and_over(seven, caplog):
    """Batches follow the keys, wrap around in the middle of a batch, and say so as Caffe does."""
    caplog.set_level(logging.INFO, "minicaffe")
    layer = data_layer(seven)
    top = set_up(layer, 2)
    assert [y.shape for y in top] == [(3, 3, 5, 2), (3,)]

    labels, restarts = [], []
    for i in range(5):
        layer.Forward([], top)
        n = top[1].data.astype(int)
        assert (top[0].data == IMAGES[n]).all()
        assert layer.keys == [f"{i:08d}" for i in n]
        labels.extend(n)
        restarts += [i for r in caplog.records if r.message == "Restarting data prefetching from start."]
        caplog.clear()
    assert labels == [i % 7 for i in range(15)]
    assert restarts == [2, 4]
    assert layer.cursor == 15


def test_data_without_label(seven):
    """A single top gets the images; labels are left unread."""
    layer = data_layer(seven, dtype=np.float64, transform={"scale": 0.5})
    top = set_up(layer, 1)
    layer.Forward([], top)

    assert top[0].data.dtype == np.float64
    assert (top[0].data == IMAGES[:3] * 0.5).all()


def test_data_goes_on_from_a_cursor(seven):
    """A layer set to the cursor of another, with its seed, makes the same crops and mirrors from there on."""
    rng.seed(11)
    first = data_layer(seven, phase=0, batch_size=4, transform={"crop_size": 2, "mirror": True})
    top = set_up(first, 2)
    for _ in range(3):
        first.Forward([], top)
    cursor, expected = first.cursor, []
    for _ in range(3):
        first.Forward([], top)
        expected.append((top[0].data.copy(), first.keys))

    rng.seed(11)
    second = data_layer(seven, phase=0, batch_size=4, transform={"crop_size": 2, "mirror": True})
    top = set_up(second, 2)
    second.cursor = cursor
    for data, keys in expected:
        second.Forward([], top)
        assert (top[0].data == data).all()
        assert second.keys == keys
    assert second.cursor == first.cursor == 24


def test_data_reads_varying_sizes_one_by_one(tmp_path):
    """With batch_size 1 the top follows the size of each image."""
    write_lmdb(tmp_path / "two", [("a", make(IMAGES[0], 0)), ("b", make(IMAGES[1, :1, :4], 1))])
    layer = data_layer(str(tmp_path / "two"), 1)
    top = set_up(layer, 2)
    shapes = []
    for _ in range(3):
        layer.Forward([], top)
        shapes.append(top[0].shape)

    assert shapes == [(1, 3, 5, 2), (1, 1, 4, 2), (1, 3, 5, 2)]


def test_data_decodes_images(tmp_path, caplog):
    """Encoded records come out blue-green-red; force_gray and force_color change their channels alone."""
    color, gray = IMAGES[0], IMAGES[1, :1]
    write_lmdb(tmp_path / "color", [("a", Datum(data=image.encode(color), encoded=True, label=3))])
    write_lmdb(tmp_path / "gray", [("a", Datum(data=image.encode(gray), encoded=True)), ("b", make(gray, 1))])

    def first(name, **transform):
        layer = data_layer(str(tmp_path / name), 1, transform=transform)
        top = set_up(layer, 2)
        layer.Forward([], top)
        return top[0].data[0]

    assert (first("color") == color).all()
    assert (first("gray") == gray).all()
    assert (first("gray", force_color=True) == np.repeat(gray, 3, axis=0)).all()
    luma = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2]
    assert abs(first("color", force_gray=True)[0] - luma).max() < 1  # libpng rounds down, others to nearest
    assert "record 'b' of" in caplog.text  # force_color does nothing to plain values, and a warning says so


def test_data_rand_skip(seven):
    """rand_skip begins at a record below it, another one for another seed."""
    starts = set()
    for seed in range(20):
        rng.seed(seed)
        layer = data_layer(seven, 1, rand_skip=3)
        top = set_up(layer, 2)
        layer.Forward([], top)
        starts.add(layer.keys[0])

    assert starts == {"00000000", "00000001", "00000002"}


def test_data_leaves_no_thread(seven):
    """A layer that is closed, or that nobody refers to, has no thread left."""
    layers = [data_layer(seven) for _ in range(2)]
    for layer in layers:
        set_up(layer, 2)
    layers[0].close()
    del layers, layer
    gc.collect()

    assert not [t for t in threading.enumerate() if t.name == "prefetch"]


@pytest.mark.parametrize(("param", "message"), [
    ({"batch_size": 0}, r"data_param\.batch_size must be positive, got 0"),
    ({"prefetch": 0}, r"data_param\.prefetch must be positive, got 0"),
    ({"rand_skip": 8}, r"data_param\.rand_skip must not exceed the 7 records, got 8"),
    ({"source": ""}, r"data_param\.source must name a database"),
    ({"transform": {"crop_size": 3}}, r"crop_size 3 is larger than the image record '00000000' of .*seven, 5 high"),
])
def test_data_errors(seven, param, message):
    """A parameter that cannot be is refused with its value."""
    with pytest.raises(LayerError, match=message):
        set_up(data_layer(**{"source": seven, **param}), 2)


def test_data_broken_record(tmp_path):
    """A record that cannot be read is named when its batch comes, and the batches before it are good."""
    write_lmdb(tmp_path / "bad", [("a", make(IMAGES[0], 0)), ("b", b"\xff\xff"), ("c", make(IMAGES[2], 2))])
    layer = data_layer(str(tmp_path / "bad"), 1)
    top = set_up(layer, 2)
    layer.Forward([], top)

    with pytest.raises(DataError, match=r"record 'b' of .*bad is no Datum"):
        layer.Forward([], top)


def test_a_batch_that_no_memory_holds_reads_one_image():
    """Memory is asked for when the first image has said how much; billions are not read before."""
    class Images:
        taken = 0

        def __len__(self):
            return 5

        def load(self, numbers):
            self.taken += len(numbers)
            return [Sample("k", "n", np.broadcast_to(np.uint8(0), (3, 1000, 1000)), 0) for _ in numbers]

    images = Images()
    with pytest.raises(MemoryError):
        Batches(images, Transformer(TransformationParameter(), TEST, "layer"), 2**32 - 1)()
    assert 1 == images.taken


def test_data_unread_fields(seven):
    """The deprecated fields that moved to transform_param are refused, not ignored."""
    with pytest.raises(LayerError, match=r"data_param\.scale is set, but this layer does not read it"):
        data_layer(seven, scale=0.5).check_fields()


# --- ImageData -----------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path):
    """A list of four PNG files (3, 5, 2), one with a blank in its name, labelled 0 to 3."""
    names = ["a.png", "b c.png", "d.png", "e.png"]
    for name, x in zip(names, IMAGES, strict=False):
        (tmp_path / name).write_bytes(image.encode(x))
    (tmp_path / "list.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)) + "\n")
    return tmp_path


def image_layer(folder, transform=None, prefetch=4, **param):
    """An ImageData layer on the list in a folder."""
    return ImageDataLayer(phase=TEST, transform_param=transform or {}, data_param={"prefetch": prefetch},
                          image_data_param={"source": str(folder / "list.txt"), "root_folder": f"{folder}/", **param})


def test_image_data_in_order(listed):
    """Images come in the list's order, over and over, with their labels and names."""
    layer = image_layer(listed, batch_size=3, transform={"scale": 2})
    top = set_up(layer, 2)
    for expected in ([0, 1, 2], [3, 0, 1]):
        layer.Forward([], top)
        assert top[1].data.tolist() == expected
        assert (top[0].data == 2.0 * IMAGES[expected]).all()
    assert layer.keys == ["e.png", "a.png", "b c.png"]


def test_image_data_resizes_and_greys(listed):
    """new_height, new_width and is_color shape what is read."""
    layer = image_layer(listed, new_height=7, new_width=4, is_color=False)
    top = set_up(layer, 2)
    layer.Forward([], top)

    assert top[0].shape == (1, 1, 7, 4)
    assert (top[0].data[0] == image.resize(image.decode((listed / "a.png").read_bytes(), "a", False), (7, 4))).all()


@pytest.mark.parametrize("size", [2**32 - 1, 10**9])
def test_image_data_of_impossible_sizes(listed, size):
    """An image that cannot be scaled is named with both sizes, or memory is."""
    with pytest.raises((DataError, MemoryError), match=r"cannot be scaled to \d+×\d+|Failed to allocate"):
        set_up(image_layer(listed, new_height=size, new_width=size), 2)


def test_image_data_shuffles(listed):
    """With shuffle each epoch has every image once, in changing orders."""
    rng.seed(2)
    layer = image_layer(listed, batch_size=4, shuffle=True)
    top = set_up(layer, 2)
    orders = []
    for _ in range(12):
        layer.Forward([], top)
        orders.append(tuple(top[1].data))

    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(orders)) > 4


def test_image_data_rand_skip(listed):
    """rand_skip begins within the list."""
    starts = set()
    for seed in range(20):
        rng.seed(seed)
        layer = image_layer(listed, rand_skip=2)
        top = set_up(layer, 2)
        layer.Forward([], top)
        starts.add(layer.keys[0])

    assert starts == {"a.png", "b c.png"}


@pytest.mark.parametrize(("param", "message"), [
    ({"source": ""}, r"image_data_param\.source must name a list"),
    ({"batch_size": 0}, r"image_data_param\.batch_size must be positive, got 0"),
    ({"new_height": 7}, r"new_height must be given together with new_width, here 0, got 7"),
    ({"rand_skip": 5}, r"rand_skip must not exceed the 4 images, got 5"),
    ({"prefetch": 0}, r"layer 'ImageData' \(ImageData\): data_param\.prefetch must be positive, got 0"),
    ({"transform": {"crop_size": 9}}, r"crop_size 9 is larger than the image .*a\.png, 5 high and 2 wide"),
])
def test_image_data_errors(listed, param, message):
    """A parameter that cannot be is refused with its value."""
    with pytest.raises(LayerError, match=message):
        set_up(image_layer(listed, **param), 2)


@pytest.mark.parametrize(("content", "message"), [
    (None, r"cannot read the list .*list\.txt: No such file"),
    ("\n", r"the list .*list\.txt is empty"),
    ("a.png 0\nb.png\n", r"list\.txt:2: expected 'PATH LABEL' with a number at the end, got 'b\.png'"),
    ("a.png one\n", r"list\.txt:1: expected .* got 'a\.png one'"),
    ("\n\nx.png 0\n", r"list\.txt:3: there is no file .*/x\.png, which the list .*list\.txt names\n  hint: did you"),
    ("b 0\n", r"list\.txt:1: cannot read .*/b, which the list .*list\.txt names: Is a directory"),
    ("\nlist.txt 0\n", r"list\.txt:2: .*/list\.txt is no image that can be decoded \(12 bytes\)"),
])
def test_image_data_damaged(listed, content, message):
    """A list or an image that cannot be read is named, with the list's line."""
    (listed / "list.txt").unlink()
    (listed / "b").mkdir()
    if content is not None:
        (listed / "list.txt").write_text(content)

    with pytest.raises(DataError, match=message):
        set_up(image_layer(listed), 2)


# --- MemoryData ----------------------------------------------------------------------------------


def memory_layer(transform=None, batch_size=2, **more):
    """A MemoryData layer for images (3, 5, 2)."""
    fields = {"transform_param": transform} if transform else {}
    return MemoryDataLayer(phase=TEST, **fields, memory_data_param={
        "batch_size": batch_size, "channels": 3, "height": 5, "width": 2, **more})


def test_memory_data_cycles():
    """Arrays are handed out in batches, in order, over and over."""
    layer = memory_layer()
    top = set_up(layer, 2)
    layer.reset(IMAGES[:6].astype(np.float32), np.arange(6))
    seen = []
    for _ in range(4):
        layer.Forward([], top)
        assert (top[0].data == IMAGES[top[1].data.astype(int).ravel()]).all()
        seen.extend(top[1].data.ravel())

    assert seen == [0, 1, 2, 3, 4, 5, 0, 1]


@pytest.mark.parametrize(("transform", "draws"), [
    (None, False), ({"scale": 0.5, "crop_size": 0}, False), ({"mirror": True}, True)])
def test_memory_data_draws_only_what_it_needs(transform, draws):
    """Images added without chance leave the process's generator alone; the layer says whether it draws for them.

    A training of an older minicaffe, whose Dropout draws from that generator, thus goes on with the same masks.
    """
    layer = memory_layer(transform)
    set_up(layer, 2)
    before = rng.state()
    layer.add(list(IMAGES[:4]), [5, 6, 7, 8])

    assert (draws, draws) == (layer.draws_for_samples, rng.state() != before)


@pytest.mark.parametrize(("transform", "words"), [({"scale": 0.5}, ""), ({"mirror": True}, "with other .* mirrors")])
def test_memory_data_says_where_it_cannot_go_on_exactly(transform, words):
    """A program hands its images over again before it resumes. Where they come out mirrored otherwise, that is said."""
    layers = [memory_layer(transform) for _ in range(2)]
    for layer in layers:
        top = set_up(layer, 2)
        layer.add(list(IMAGES[:4]), [5, 6, 7, 8])
    layers[0].Forward([], top)
    state = layers[0].resume_state()
    with pytest.raises(LayerError, match=words) if words else nullcontext():
        layers[1].resume_from(state)
    layers[0].resume_from(state)  # what it has drawn itself is the same
    layers[1].Forward([], top)

    assert [7, 8] == top[1].data.ravel().tolist()


def test_memory_data_transforms_added_images(caplog):
    """add transforms images and must wait until all are read; reset takes arrays as they are, with a warning."""
    layer = memory_layer({"scale": 0.5, "mean_value": [10]})
    top = set_up(layer, 2)
    layer.add(list(IMAGES[:4]), [5, 6, 7, 8])
    layer.Forward([], top)
    assert (top[0].data == (IMAGES[:2] - np.float32(10)) / 2).all()
    with pytest.raises(LayerError, match="cannot add images before all"):
        layer.add(list(IMAGES[:2]), [5, 6])
    layer.Forward([], top)
    assert top[1].data.ravel().tolist() == [7, 8]
    layer.add(list(IMAGES[:2]), [5, 6])
    layer.reset(IMAGES[:2], [1, 2])
    layer.Forward([], top)

    assert (top[0].data == IMAGES[:2]).all()
    assert "does not transform array data" in caplog.text


@pytest.mark.parametrize("field", ["batch_size", "channels", "height", "width"])
def test_memory_data_needs_sizes(field):
    """Each size must be given."""
    with pytest.raises(LayerError, match=rf"memory_data_param\.{field} must be positive, got 0"):
        set_up(memory_layer(**{field: 0}), 2)


def test_memory_data_errors():
    """No arrays, and arrays of a wrong shape or number, are refused with what was seen."""
    layer = memory_layer()
    top = set_up(layer, 2)
    with pytest.raises(LayerError, match=r"has no data\n  hint: call reset"):
        layer.Forward([], top)
    for data, labels, message in ((IMAGES[:4, :2], 4, r"\(3, 5, 2\), got \(4, 2, 5, 2\)"),
                                  (IMAGES[:4], 3, "one label for each image, got 4 images and 3 labels$"),
                                  (IMAGES[:4], (4, 3), r"and 12 labels of shape \(4, 3\)\n  hint: label_size says"),
                                  (IMAGES[:3], 3, "a multiple of batch_size 2, got 3"),
                                  (IMAGES[:0], 0, "a multiple of batch_size 2, got 0")):
        with pytest.raises(LayerError, match=message):
            layer.reset(data, np.zeros(labels))


def test_memory_data_labels_of_several_numbers():
    """With label_size each image has a vector of labels, in `reset` and in `add`; another number of them is refused."""
    layer = memory_layer(label_size=4)
    top = set_up(layer, 2)
    assert (2, 4) == top[1].shape
    labels = np.arange(24.0).reshape(6, 4)
    layer.reset(IMAGES[:6], labels)
    for first in (0, 2):
        layer.Forward([], top)
        assert (top[1].data == labels[first:first + 2]).all()
    layer.add(list(IMAGES[:2]), labels[4:].reshape(2, 4, 1, 1))
    layer.Forward([], top)
    assert (top[1].data == labels[4:]).all()
    for wrong, words in ((labels[:, :3], r"got 6 images and 18 labels of shape \(6, 3\)\n  hint: label_size"),
                         (labels[:, 0], "got 6 images and 6 labels$")):
        with pytest.raises(LayerError, match=f"takes a label of 4 numbers for each image, {words}"):
            layer.reset(IMAGES[:6], wrong)


def test_memory_data_label_gets_four_axes():
    """As in Caffe the label has one axis when the net is made, and four once there are arrays."""
    layer = memory_layer()
    top = set_up(layer, 2)
    before = top[1].shape
    layer.reset(IMAGES[:2], [3, 4])
    layer.Forward([], top)

    assert ((2,), (2, 1, 1, 1)) == (before, top[1].shape)


# --- HDF5Data and HDF5Output ---------------------------------------------------------------------


def write_rows(path, **datasets):
    """An HDF5 file of the datasets."""
    def write(file):
        for name, values in datasets.items():
            file[name] = values

    hdf5.write_file(path, write)


@pytest.fixture
def rows(tmp_path):
    """A list of two HDF5 files with 3 and 4 rows: x (7, 2) whole numbers, y the row's number from 0 to 6."""
    x = np.arange(7 * 7 * 2).reshape(7, 7, 2)
    write_rows(tmp_path / "a.h5", x=x[:3], y=np.arange(3.0))
    write_rows(tmp_path / "b.h5", x=x[3:], y=np.arange(3.0, 7))
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.h5'}\n{tmp_path / 'b.h5'}\n")
    return tmp_path


def hdf5_layer(folder, dtype=np.float32, top=("x", "y"), **param):
    """An HDF5Data layer on the list in a folder."""
    return HDF5DataLayer(dtype=dtype, top=top, hdf5_data_param={"source": str(folder / "list.txt"), "batch_size": 2,
                                                                **param})


def test_hdf5_data_in_order(rows):
    """Rows come in order, across files and around the end, and each top has its dataset's shape."""
    layer = hdf5_layer(rows, np.float64)
    top = set_up(layer, 2)
    assert [y.shape for y in top] == [(2, 7, 2), (2,)]
    seen = []
    for _ in range(5):
        layer.Forward([], top)
        n = top[1].data
        assert (top[0].data == np.arange(98).reshape(7, 7, 2)[n.astype(int)]).all()
        seen.extend(n)

    assert seen == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]


def test_hdf5_data_one_file_and_large_batches(rows):
    """A batch may be longer than all rows together."""
    (rows / "list.txt").write_text(str(rows / "a.h5"))
    layer = hdf5_layer(rows, top=["y"], batch_size=8)
    top = set_up(layer, 1)
    layer.Forward([], top)

    assert top[0].data.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("files", [1, 2])
def test_hdf5_data_shuffles(rows, files):
    """With shuffle each time around has every row once, a file's rows together, in changing orders."""
    rng.seed(3)
    (rows / "list.txt").write_text("\n".join(str(rows / n) for n in ["b.h5", "a.h5"][:files]))
    expected = [{3, 4, 5, 6}, {0, 1, 2}][:files]
    layer = hdf5_layer(rows, top=["y"], batch_size=sum(map(len, expected)), shuffle=True)
    top = set_up(layer, 1)
    orders = []
    for _ in range(12):
        layer.Forward([], top)
        orders.append(tuple(top[0].data))
        first = expected if set(orders[-1][:4]) == expected[0] else expected[::-1]
        assert [set(orders[-1][:len(first[0])]), set(orders[-1][len(first[0]):])] == [*first, set()][:2]

    assert len(set(orders)) > 6


@pytest.mark.parametrize(("error", "change", "message"), [
    (LayerError, {"source": ""}, r"hdf5_data_param\.source must name a list"),
    (LayerError, {"batch_size": 0}, r"hdf5_data_param\.batch_size must be positive, got 0"),
    (DataError, {"source": "nowhere"}, r"cannot read the list of HDF5 files nowhere"),
    (DataError, {"top": ["x", "z"]}, r"a\.h5 has no dataset 'z'; it has x, y"),
])
def test_hdf5_data_errors(rows, error, change, message):
    """A parameter that cannot be, or a dataset that is not there, is refused."""
    with pytest.raises(error, match=message):
        set_up(hdf5_layer(rows, **change), 2)


@pytest.mark.parametrize(("names", "error", "message"), [
    ([], DataError, r"list\.txt names no HDF5 file"),
    (["list.txt"], DataError, r"list\.txt: this is not an HDF5 file but plain text"),
    (["d.h5"], DataError, r"equally many rows, got the shapes \{'x': \(3, 7, 2\), 'y': \(4,\)\}"),
    (["e.h5"], DataError, r"e\.h5 have no rows"),
    (["a.h5", "c.h5"], DataError, r"rows of 'x' have the shape \(7, 2\) in .*a\.h5, but .*c\.h5 has \(2, 7\)"),
])
def test_hdf5_data_damaged(rows, names, error, message):
    """An empty list, a file that is none, unequal rows, and rows of another shape in the next file are named."""
    write_rows(rows / "c.h5", x=np.zeros((3, 2, 7)), y=np.zeros(3))
    write_rows(rows / "d.h5", x=np.zeros((3, 7, 2)), y=np.zeros(4))
    write_rows(rows / "e.h5", x=np.zeros((0, 7, 2)), y=np.zeros(0))
    (rows / "list.txt").write_text("\n".join(str(rows / name) for name in names))

    def run():
        layer = hdf5_layer(rows, batch_size=4)
        layer.Forward([], set_up(layer, 2))

    with pytest.raises(error, match=message):
        run()


def test_hdf5_output(tmp_path):
    """The file holds all batches so far, 4-D, and HDF5Data reads them back."""
    layer = HDF5OutputLayer(hdf5_output_param={"file_name": str(tmp_path / "out.h5")})
    bottom = [Blob((2, 7, 5)), Blob((2,))]
    layer.SetUp(bottom, [])
    for i in (1, 2):
        bottom[0].data[...] = np.arange(70).reshape(2, 7, 5) * i
        bottom[1].data[...] = [i, 10 * i]
        layer.Forward(bottom, [])
    layer.Backward([], [False, False], bottom)
    (tmp_path / "list.txt").write_text(str(tmp_path / "out.h5"))
    reader = hdf5_layer(tmp_path, top=["data", "label"], batch_size=4)
    top = set_up(reader, 2)
    reader.Forward([], top)

    assert [y.shape for y in top] == [(4, 7, 5, 1), (4, 1, 1, 1)]
    assert top[1].data.ravel().tolist() == [1, 10, 2, 20]
    assert (top[0].data[2:, :, :, 0] == 2 * np.arange(70).reshape(2, 7, 5)).all()


def test_hdf5_output_errors(tmp_path):
    """No file name, unequal batches, five axes, changing rows and a folder that is not there are refused."""
    def run(*shapes, name="out.h5"):
        layer = HDF5OutputLayer(hdf5_output_param={"file_name": name and str(tmp_path / name)})
        for i, (data, label) in enumerate(shapes):
            bottom = [Blob(data), Blob(label)]
            if not i:
                layer.SetUp(bottom, [])
            layer.Forward(bottom, [])

    with pytest.raises(LayerError, match=r"hdf5_output_param\.file_name must name the file"):
        run(((2, 7), (2,)), name="")
    with pytest.raises(LayerError, match=r"\(2, 7\) and bottom\[1\] \(3,\) have different batch sizes"):
        run(((2, 7), (3,)))
    with pytest.raises(LayerError, match=r"at most 4 axes, got \(2, 7, 5, 3, 4\)"):
        run(((2, 7, 5, 3, 4), (2,)))
    with pytest.raises(LayerError, match=r"rows of shape \(7, 1, 1\) before, and now of \(5, 1, 1\)"):
        run(((2, 7), (2,)), ((2, 5), (2,)))
    with pytest.raises(DataError, match=r"cannot write .*nowhere"):
        run(((2, 7), (2,)), name="nowhere/out.h5")


HDF5_LIST_MISTAKES = [
    ("a.h5\nx/b.h5", r"list\.txt:2: there is no file x/b\.h5, which the list .*list\.txt names "
                     r"\(looked for in /.*/start\)\n  hint: there is no folder 'x'$"),
    ("\n  a.h5   b1.h5\n", r"list\.txt:2: there is no file b1\.h5, .*\n  hint: did you mean 'a1\.h5'"),
    ("train.txt", r"list\.txt:1: there is no file train\.txt.*\n  hint: paths in a list count from the folder in which "
                  r"minicaffe is started, not from the list's$"),
    ("b.h5", r"list\.txt:1: there is no file b\.h5.*\n  hint: paths .* started, and the file is .*lists/b\.h5 here$"),
    ("sub\\\\c.h5", r"there is no file sub\\c\.h5.*\n  hint: write / instead of \\$"),
    ("sub", r"list\.txt:1: cannot read sub, which the list .*list\.txt names: Is a directory$"),
]


@pytest.mark.parametrize(("names", "message"), HDF5_LIST_MISTAKES)
def test_hdf5_files_that_a_list_names_wrongly(names, message, rows, monkeypatch):
    """A file that is not there is named with list and line, and with the usual mistakes as hints."""
    for folder in ("start/sub", "lists"):
        (rows / folder).mkdir(parents=True)
    for name in ("start/a.h5", "start/a1.h5", "start/sub/c.h5", "lists/b.h5"):
        shutil.copyfile(rows / "a.h5", rows / name)
    (rows / "lists" / "list.txt").write_text(names.replace("\\\\", "\\"))
    monkeypatch.chdir(rows / "start")
    layer = hdf5_layer(rows / "lists", batch_size=4)

    with pytest.raises(DataError, match=message):
        layer.Forward([], set_up(layer, 2))


@pytest.mark.parametrize("where", ["external", "virtual", "link", "link to a link", "group"])
def test_hdf5_data_in_another_file(where, rows):
    """Whatever way a dataset has its values from another file is refused: it could be any file of the user's."""
    h5py = needs("h5py")
    (rows / "secret").write_bytes(b"a password, 16 B" * 2)
    write_rows(rows / "other.h5", **{"x": np.ones((4, 2), np.float32), "g/x": np.ones((4, 2), np.float32)})
    with h5py.File(rows / "c.h5", "w") as file:
        name = "g/x" if where == "group" else "x"
        if where == "external":
            file.create_dataset("x", (4, 2), "f4", external=[(str(rows / "secret"), 0, 32)])
        elif where == "virtual":
            layout = h5py.VirtualLayout((4, 2), "f4")
            layout[...] = h5py.VirtualSource(str(rows / "other.h5"), "x", (4, 2))
            file.create_virtual_dataset("x", layout)
        elif where == "group":
            file["g"] = h5py.ExternalLink("other.h5", "g")
        else:
            file["y" if where == "link to a link" else "x"] = h5py.ExternalLink("other.h5", "x")
            if where == "link to a link":
                file["x"] = h5py.SoftLink("/y")
    (rows / "list.txt").write_text(str(rows / "c.h5"))

    with pytest.raises(DataError, match=r"c\.h5: .*another file"):
        set_up(hdf5_layer(rows, top=[name]), 1)


@pytest.mark.parametrize("form", ["mark", "line ends", "UTF-16"])
def test_lists_from_other_systems(form, rows, listed, boxes):
    """A byte order mark and Windows' line ends are no part of a list; UTF-16 is named as what it is."""
    layers = [hdf5_layer(rows), image_layer(listed), window_layer(boxes[0])]
    names = {"HDF5Data": "h5.txt", "ImageData": "images.txt", "WindowData": "windows.txt"}
    (rows / "list.txt").write_text(f"{rows / 'a.h5'}\n")
    (rows / "list.txt").rename(rows / "h5.txt")
    (listed / "images.txt").write_text("a.png 0\nb c.png 1\n")
    for layer in layers:
        file = rows / names[layer.type]
        text = file.read_text()
        file.write_bytes({"mark": text.encode("utf-8-sig"), "line ends": text.replace("\n", "\r\n").encode(),
                          "UTF-16": text.encode("utf-16")}[form])
        layer.param.source = str(file)
        if form == "UTF-16":
            with pytest.raises(DataError, match=r"cannot read the .*\.txt: .*\n  hint: it is UTF-16"):
                set_up(layer, 2)
        else:
            layer.Forward([], set_up(layer, 2))


# --- WindowData ----------------------------------------------------------------------------------


@pytest.fixture
def boxes(tmp_path):
    """Two images, 20 high and 30 wide, with three foreground, two background and one window between the two."""
    pixels = np.random.default_rng(9).integers(256, size=(2, 3, 20, 30), dtype=np.uint8)
    for name, x in zip(("p.png", "q.png"), pixels, strict=True):
        (tmp_path / name).write_bytes(image.encode(x))
    (tmp_path / "windows.txt").write_text(
        "# 0\np.png\n3\n20\n30\n4\n5 0.9 2 3 13 10\n1 0.1 0 0 5 5\n7 0.6 0 0 29 19\n2 0.4 1 1 2 2\n"
        "# 1\nq.png\n3\n20\n30\n2\n4 0.5 10 4 19 13\n0 0 20 10 29 19\n")
    return tmp_path, pixels


def window_layer(folder, dtype=np.float32, transform=None, prefetch=2, **param):
    """A WindowData layer on the window file in a folder."""
    return WindowDataLayer(dtype=dtype, transform_param={"crop_size": 8, **(transform or {})},
                           data_param={"prefetch": prefetch},
                           window_data_param={"source": str(folder / "windows.txt"), "root_folder": f"{folder}/",
                                              "batch_size": 8, "bg_threshold": 0.3, **param})


def test_window_data_of_impossible_sizes(boxes):
    """Windows that no blob holds are refused before one is cut out."""
    with pytest.raises(LayerError, match="a blob holds at most 281474976710656 numbers"):
        set_up(window_layer(boxes[0], transform={"crop_size": 2**32 - 1}), 2)


def test_window_data_samples(boxes):
    """Background comes first, foreground makes up fg_fraction, and each window is scaled to crop_size."""
    rng.seed(1)
    folder, pixels = boxes
    layer = window_layer(folder, scale=0.5)
    top = set_up(layer, 2)
    known = {(5, 0): (2, 3, 13, 10), (7, 0): (0, 0, 29, 19), (4, 1): (10, 4, 19, 13)}
    seen = set()
    for _ in range(8):
        layer.Forward([], top)
        labels = top[1].data.astype(int)
        assert not labels[:6].any()
        assert labels[6:].all()
        for y, label in zip(top[0].data[6:], labels[6:], strict=True):
            i, (x1, y1, x2, y2) = next((k[1], box) for k, box in known.items() if k[0] == label)
            assert (y == image.resize(pixels[i][:, y1:y2 + 1, x1:x2 + 1], (8, 8)) * 0.5).all()
            seen.add(label)
    assert seen == {4, 5, 7}


def test_window_data_draws_for_each_window(boxes):
    """What is drawn follows from the seed and the number of windows before, whatever the size of the batches."""
    drawn = []
    for size, passes in ((8, 6), (6, 8)):
        rng.seed(1)
        layer = window_layer(boxes[0], batch_size=size, fg_fraction=0, transform={"mirror": True})
        top, found = set_up(layer, 2), []
        for _ in range(passes):
            layer.Forward([], top)
            found.append(top[0].data.copy())
        drawn.append(np.concatenate(found))

    np.testing.assert_array_equal(*drawn)
    assert 4 == len({y.tobytes() for y in drawn[0]})  # two windows, each as it is and mirrored


@pytest.mark.parametrize("cache", [False, True])
def test_window_data_context_beyond_the_image(boxes, cache):
    """Context that lies beyond the image is 0, also where a mean is subtracted; the rest is the scaled image."""
    folder, pixels = boxes
    (folder / "windows.txt").write_text("# 0\np.png\n3\n20\n30\n2\n5 1 0 0 9 9\n0 0 0 0 9 9\n")
    layer = window_layer(folder, context_pad=2, cache_images=cache, transform={"mean_value": [4]}, fg_fraction=1)
    top = set_up(layer, 2)
    layer.Forward([], top)

    # 8 pixels of which 2 on each side are context: 10 pixels grow to 20, from −5 to 15, 21 with both ends
    assert expand((0, 0, 9, 9), 8, 2, False) == (-5, -5, 15, 15)
    y = top[0].data[0]
    assert not y[:, :2].any()
    assert not y[:, :, :2].any()
    assert (y[:, 2:, 2:] == image.resize(pixels[0][:, :16, :16], (6, 6)) - np.float32(4)).all()


def test_window_data_mirrors_its_padding(boxes):
    """A mirrored window has its missing context on the other side."""
    rng.seed(4)
    folder, _ = boxes
    (folder / "windows.txt").write_text("# 0\np.png\n3\n20\n30\n2\n5 1 0 4 9 13\n0 0 0 0 9 9\n")
    layer = window_layer(folder, context_pad=2, transform={"mirror": True}, fg_fraction=1)
    top = set_up(layer, 2)
    layer.Forward([], top)

    plain = next(y for y in top[0].data if not y[:, :, :2].any())
    mirrored = next(y for y in top[0].data if not y[:, :, 6:].any())
    assert (plain[:, :, ::-1] == mirrored).all()


def test_window_data_square(boxes):
    """crop_mode square widens the shorter side around the centre before anything is scaled."""
    assert expand((10, 4, 19, 7), 8, 0, True) == (10, 1, 20, 11)

    folder, pixels = boxes
    (folder / "windows.txt").write_text("# 0\np.png\n3\n20\n30\n2\n5 1 10 4 19 7\n0 0 0 0 9 9\n")
    layer = window_layer(folder, crop_mode="square", fg_fraction=1)
    top = set_up(layer, 2)
    layer.Forward([], top)
    assert (top[0].data[3] == image.resize(pixels[0][:, 1:12, 10:21], (8, 8))).all()


def test_window_data_mean_file(boxes):
    """Of a larger mean image the middle is subtracted."""
    folder, pixels = boxes
    mean = np.random.default_rng(2).uniform(0, 200, (3, 12, 12)).astype(np.float32)
    (folder / "mean").write_bytes(array_to_blob(mean).SerializeToString())
    (folder / "windows.txt").write_text("# 0\np.png\n3\n20\n30\n2\n5 1 2 3 13 10\n0 0 0 0 9 9\n")
    layer = window_layer(folder, fg_fraction=1, transform={"mean_file": str(folder / "mean")})
    top = set_up(layer, 2)
    layer.Forward([], top)

    assert (top[0].data[0] == image.resize(pixels[0][:, 3:11, 2:14], (8, 8)) - mean[:, 2:10, 2:10]).all()


@pytest.mark.parametrize("shape", [(2, 12, 12), (3, 12, 7)])
def test_window_data_mean_that_does_not_fit(boxes, shape):
    """A mean of other channels, or smaller than the windows, is refused with both shapes."""
    folder = boxes[0]
    (folder / "mean").write_bytes(array_to_blob(np.zeros(shape, np.float32)).SerializeToString())
    with pytest.raises(LayerError, match=rf"'\w+' \(WindowData\): transform_param.mean_file holds a mean of shape "
                                         rf"{re.escape(str(shape))}, but windows are \(3, 8, 8\)"):
        set_up(window_layer(folder, transform={"mean_file": str(folder / "mean")}), 2)


@pytest.mark.parametrize(("error", "change", "message"), [
    (LayerError, {"source": ""}, r"window_data_param\.source must name a window file"),
    (LayerError, {"batch_size": 0}, r"window_data_param\.batch_size must be positive, got 0"),
    (LayerError, {"prefetch": 0}, r"data_param\.prefetch must be positive, got 0"),
    (LayerError, {"transform": {"crop_size": 0}}, r"transform_param\.crop_size must be positive"),
    (LayerError, {"context_pad": 4}, r"context_pad must be less than half of crop_size 8, got 4"),
    (LayerError, {"crop_mode": "round"}, r"crop_mode must be .*, got round"),
    (LayerError, {"transform": {"mean_value": [1, 2]}}, r"mean_value must be given once, or .* 3 .*got \[1\.0, 2\.0\]"),
    (DataError, {"source": "nowhere"}, r"cannot read the window file nowhere"),
    (DataError, {"fg_threshold": 2}, r"has no foreground window"),
    (DataError, {"bg_threshold": 0}, r"has no background window"),
])
def test_window_data_errors(boxes, error, change, message):
    """A parameter that cannot be is refused with its value."""
    with pytest.raises(error, match=message):
        set_up(window_layer(boxes[0], **change), 2)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("# 0", "0", r"windows\.txt:1: expected '# INDEX', got '0'"),
    ("0.9 2 3 13 10", "0.9 2.5 3 13 10", r"windows\.txt:7: expected 6 numbers, got '5 0\.9 2\.5 3 13 10'"),
    ("0.9 2 3 13 10", "0.9 2 nan 13 10", r"windows\.txt:7: expected 6 numbers, got '5 0\.9 2 nan 13 10'"),
    ("30\n4", "30\n1e999", r"windows\.txt:6: expected 1 number, got '1e999'"),
    ("30\n4\n", "30\n4 4\n", r"windows\.txt:6: expected 1 number, got '4 4'"),
    ("0.9 2 3 13 10", "0.9 2 3 13", r"windows\.txt:7: expected 6 numbers, got '5 0\.9 2 3 13'"),
    ("5 0.9", "0 0.9", r"expected a class above 0 for a foreground window"),
    ("0 0 20 10 29 19\n", "", r"windows\.txt ends in the middle of an image"),
    ("p.png\n3\n", "p.png\n\n0\n", r"windows\.txt:4: expected a positive number of channels, got '0'"),
    ("p.png\n3", "p.png\n1", r"p\.png has 3 channels, but the window file says 1"),
    ("20 10 29 19", "20 10 30 19",
     r"the window \(20, 10\)-\(30, 19\) does not lie in .*q\.png, which is 30 wide and 20"),
])
def test_window_data_damaged(boxes, old, new, message):
    """A window file that is not of its form is named, with the line."""
    folder, _ = boxes
    text = (folder / "windows.txt").read_text()
    changed = text.replace(old, new) if old != "p.png\n3" else text.replace("png\n3", "png\n1")
    (folder / "windows.txt").write_text(changed)

    with pytest.raises(DataError, match=message):
        set_up(window_layer(folder, batch_size=64), 2)


def test_window_data_thresholds_are_float32(boxes):
    """An overlap of 0.3 is not below the threshold 0.3: both are rounded to float32, as in Caffe."""
    file, lines = boxes[0] / "windows.txt", "# 0\np.png\n3\n20\n30\n7\n"
    file.write_text(lines + "".join(f"{i} {overlap} 0 0 {i} 5\n" for i, overlap in enumerate(
        ("0.7", "0.69999999", "0.6999999", "0.3", "0.299999999", "0.2999999", "0.1"), 1)))
    p = window_layer(boxes[0], fg_threshold=0.7).param
    found = read_window_file(str(file), "", p.fg_threshold, p.bg_threshold)

    assert [1, 2] == [window.label for window in found.foreground]  # 0.69999999 is the same float32 as 0.7
    assert [6, 7] == [window.x2 for window in found.background]


@pytest.mark.parametrize("cache", [False, True])
def test_window_data_missing_image(boxes, cache):
    """A missing image is named with the window file's line."""
    (boxes[0] / "q.png").unlink()
    with pytest.raises(DataError, match=r"windows\.txt:12: there is no file .*q\.png, which the list .* names\n  hint: "
                                        r"did you mean 'p\.png'"):
        set_up(window_layer(boxes[0], batch_size=64, cache_images=cache), 2)


def test_image_data_root_folder_without_slash(listed):
    """root_folder is put before each path as it is, and the error says so where the slash is missing."""
    layer = image_layer(listed)
    layer.param.root_folder = str(listed)
    with pytest.raises(DataError, match=rf"no file {listed}a\.png.*\n  hint: .* end it with a slash, '{listed}/'"):
        set_up(layer, 2)


def test_an_image_of_16_bits_is_refused():
    """An image of more than 8 bits a value is refused by name, not cut down to 8 bits."""
    cv2 = needs("cv2")
    png = cv2.imencode(".png", np.full((5, 3), 40000, np.uint16))[1].tobytes()
    with pytest.raises(DataError, match="deep has 16 bits a channel, but only 8 are read"):
        image.decode(png, "deep")
