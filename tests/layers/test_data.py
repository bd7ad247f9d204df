"""The data family: layers that make batches or write them out."""

import numpy as np
import pytest

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.layers.data.dummy_data import DummyDataLayer
from minicaffe.layers.data.input import InputLayer


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
