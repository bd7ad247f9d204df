"""The data family: layers that make batches or write them out."""

import gc
import logging
import threading

import numpy as np
import pytest

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import DataError, LayerError
from minicaffe.io import image
from minicaffe.layers.data.data import DataLayer
from minicaffe.layers.data.dummy_data import DummyDataLayer
from minicaffe.layers.data.input import InputLayer
from minicaffe.proto import TEST, Datum


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
    """Each deprecated size is given once or once a top, independently of the others."""
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


def test_data_unread_fields(seven):
    """The deprecated fields that moved to transform_param are refused, not ignored."""
    with pytest.raises(LayerError, match=r"data_param\.scale is set, but this layer does not read it"):
        data_layer(seven, scale=0.5).check_fields()
