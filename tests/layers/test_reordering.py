"""Layers that forks of Caffe have: those that put numbers in another order, Axpy, and ContinuationIndicator."""

import re

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.layer import layer_class
from minicaffe.net import Net
from minicaffe.proto import TRAIN, NetParameter
from minicaffe.proto import text as proto_text


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


def make(type_name, dtype=np.float64, **fields):
    """A layer whose parameters are `fields`."""
    cls = layer_class(type_name)
    return cls(dtype=dtype, name="unit7", **({cls.message: fields} if cls.message else {}))


def forward(layer, *arrays):
    """y for these bottoms."""
    return run_forward(layer, *arrays)[1][0].data


def gradients(layer, dy, *arrays):
    """The diffs of the bottoms."""
    return run_backward(layer, *run_forward(layer, *arrays), dy)


def assert_fails(message, type_name, *shapes, **fields):
    """Setting the layer up is a LayerError that names the layer and contains the message."""
    with pytest.raises(LayerError, match=re.escape(message)) as caught:
        make(type_name, **fields).SetUp([filled(normal(*shape)) for shape in shapes], [Blob((), np.float64)])

    assert str(caught.value).startswith(f"layer 'unit7' ({type_name}): ")


class TestAxpy:
    def test_by_hand(self):
        """2 · (1 2 3) + (10 20 30) in the first channel, −1 · (4 5 6) + (1 1 1) in the second."""
        a, x, z = [[2, -1]], [[[[1, 2, 3]], [[4, 5, 6]]]], [[[[10, 20, 30]], [[1, 1, 1]]]]
        dy = [[[[1, 0, 2]], [[0, 3, 0]]]]

        np.testing.assert_array_equal(forward(make("Axpy"), a, x, z), [[[[12, 24, 36]], [[-3, -4, -5]]]])
        da, dx, dz = gradients(make("Axpy"), dy, a, x, z)
        np.testing.assert_array_equal(da, [[1 * 1 + 2 * 3, 3 * 5]])
        np.testing.assert_array_equal(dx, [[[[2, 0, 4]], [[0, -3, 0]]]])
        np.testing.assert_array_equal(dz, dy)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(3, 4, 5, 7), (3, 4, 9), (3, 4), (1, 130, 3, 2), (2, 3, 4, 5, 6)])
    @pytest.mark.parametrize("more", [(), (1, 1)])
    def test_the_formula(self, shape, more, dtype):
        """Any axes after the channels, and a with axes of size 1 behind it or not."""
        a, x, z, dy = normal(*shape[:2], *more, seed=4), normal(*shape), normal(*shape, seed=1), normal(*shape, seed=2)
        factors = a.reshape(*shape[:2], *[1] * (len(shape) - 2))
        da, dx, dz = gradients(make("Axpy", dtype), dy, a, x, z)
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}

        np.testing.assert_allclose(forward(make("Axpy", dtype), a, x, z), factors * x + z, **tolerance)
        np.testing.assert_allclose(da, (dy * x).sum(axis=tuple(range(2, len(shape)))).reshape(a.shape), **tolerance)
        np.testing.assert_allclose(dx, factors * dy, **tolerance)
        np.testing.assert_allclose(dz, dy, **tolerance)

    def test_is_scale_and_eltwise(self):
        """Scale with two bottoms, and then the sum: Caffe's own layers give the same."""
        a, x, z = normal(2, 3), normal(2, 3, 7, 5), normal(2, 3, 7, 5, seed=1)
        scaled = forward(make("Scale", axis=0), x, a)

        np.testing.assert_allclose(forward(make("Axpy"), a, x, z), forward(make("Eltwise"), scaled, z), rtol=1e-15)

    @pytest.mark.parametrize(("words", "shapes"), [
        ("bottom[0] (2, 4) must hold one number for each image and channel (N, C) of bottom[1] (2, 3, 7, 5)",
         [(2, 4), (2, 3, 7, 5), (2, 3, 7, 5)]),
        ("bottom[0] (2, 3, 7) must hold one number", [(2, 3, 7), (2, 3, 7, 5), (2, 3, 7, 5)]),
        ("bottom[0] (4,) must hold one number", [(4,), (4,), (4,)]),
        ("bottom[2] (2, 3, 5, 7), which is added, must have the shape of bottom[1] (2, 3, 7, 5)",
         [(2, 3), (2, 3, 7, 5), (2, 3, 5, 7)]),
        ("takes 3 bottom blobs, got 2", [(2, 3), (2, 3, 7, 5)])])
    def test_errors(self, words, shapes):
        """Bottoms that do not fit."""
        assert_fails(words, "Axpy", *shapes)


class TestShuffleChannel:
    def test_by_hand(self):
        """Of two groups of three, the first channels come first."""
        layer = make("ShuffleChannel", group=2)

        np.testing.assert_array_equal(forward(layer, [[0, 1, 2, 10, 11, 12]]), [[0, 10, 1, 11, 2, 12]])
        np.testing.assert_array_equal(gradients(layer, [[1, 2, 3, 4, 5, 6]], [[0] * 6])[0], [[1, 3, 5, 2, 4, 6]])

    @pytest.mark.parametrize("shape", [(2, 12, 5, 7), (3, 12), (1, 12, 4)])
    @pytest.mark.parametrize("group", [1, 2, 3, 4, 12])
    def test_the_formula(self, group, shape):
        """Channel g · C / G + c becomes channel c · G + g, and back with C / G groups."""
        x = normal(*shape)
        y = forward(make("ShuffleChannel", group=group), x)

        for g, c in np.ndindex(group, 12 // group):
            np.testing.assert_array_equal(y[:, c * group + g], x[:, g * 12 // group + c])
        np.testing.assert_array_equal(forward(make("ShuffleChannel", group=12 // group), y), x)
        np.testing.assert_array_equal(gradients(make("ShuffleChannel", group=group), y, x)[0], x)

    def test_errors(self):
        """Groups that do not divide the channels, and a bottom without channels."""
        assert_fails("shuffle_channel_param.group must divide the C=6 channels of bottom[0] (2, 6, 3), got 4",
                     "ShuffleChannel", (2, 6, 3), group=4)
        assert_fails("group must divide the C=6 channels of bottom[0] (2, 6, 3), got 0", "ShuffleChannel", (2, 6, 3),
                     group=0)
        assert_fails("bottom[0] (5,) must have the axes (N, C, …)", "ShuffleChannel", (5,))


class TestTranspose:
    def test_by_hand(self):
        """Rows become columns, and their gradients rows again."""
        layer, x, dy = make("Transpose", dim=[1, 0]), [[1, 2, 3], [4, 5, 6]], [[1, 10], [2, 20], [3, 30]]

        np.testing.assert_array_equal(forward(layer, x), [[1, 4], [2, 5], [3, 6]])
        np.testing.assert_array_equal(gradients(layer, dy, x)[0], [[1, 2, 3], [10, 20, 30]])

    @pytest.mark.parametrize("dim", [[0, 1, 2, 3], [3, 2, 0, 1], [1, 3, 2, 0]])
    def test_is_numpys(self, dim):
        """It is numpy's transpose, and the layer that Permute is."""
        x, layer = normal(2, 7, 5, 3), make("Transpose", dim=dim)
        y = forward(layer, x)

        np.testing.assert_array_equal(y, x.transpose(dim))
        np.testing.assert_array_equal(y, forward(make("Permute", order=dim), x))
        np.testing.assert_array_equal(gradients(layer, y, x)[0], x)

    @pytest.mark.parametrize("dim", [[], [0, 1], [0, 1, 1], [0, 1, 3], [-1, 0, 1]])
    def test_errors(self, dim):
        """Each axis is named once."""
        assert_fails("transpose_param.dim must name each of the 3 axes of bottom[0] (2, 7, 5) once, counted from 0, "
                     f"got {dim}", "Transpose", (2, 7, 5), dim=dim)


class TestReverse:
    def test_by_hand(self):
        """The last time step comes first."""
        layer, x = make("Reverse"), [[1, 2], [3, 4], [5, 6]]

        np.testing.assert_array_equal(forward(layer, x), [[5, 6], [3, 4], [1, 2]])
        np.testing.assert_array_equal(gradients(layer, [[1, 2], [3, 4], [7, 8]], x)[0], [[7, 8], [3, 4], [1, 2]])

    @pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
    def test_twice_is_nothing(self, axis):
        """Each index counts from the end, and two layers undo each other."""
        x = normal(4, 7, 5)
        y = forward(make("Reverse", axis=axis), x)

        for i in range(x.shape[axis]):
            np.testing.assert_array_equal(y.take(i, axis), x.take(x.shape[axis] - 1 - i, axis))
        np.testing.assert_array_equal(forward(make("Reverse", axis=axis), y), x)

    def test_errors(self):
        """An axis that is not there."""
        assert_fails("reverse_param.axis must name an axis of bottom[0] (2, 7), from -2 to 1, got 2", "Reverse", (2, 7),
                     axis=2)


class TestContinuationIndicator:
    def test_by_hand(self):
        """Two sequences of three steps."""
        expected = [[0, 0], [1, 1], [1, 1]]

        np.testing.assert_array_equal(forward(make("ContinuationIndicator", time_step=3, batch_size=2)), expected)
        layer = make("ContinuationIndicator", time_step=3, axis=1)
        np.testing.assert_array_equal(forward(layer, normal(7, 2, 5)), expected)
        assert not gradients(layer, np.ones((3, 2)), normal(7, 2, 5))[0].any()

    def test_lstm_starts_anew(self):
        """An LSTM that reads it gives what it gives for a 0 in the first step and 1 in the others."""
        x, cont = normal(4, 3, 5), np.ones((4, 3))
        cont[0] = 0
        made = forward(make("ContinuationIndicator", time_step=4, axis=1), x)
        fields = {"num_output": 2, "weight_filler": {"type": "constant", "value": 0.3}}

        got, expected = (forward(make("LSTM", **fields), x, begins) for begins in (made, cont))
        np.testing.assert_array_equal(got, expected)

    def test_a_net_trains_through_it(self):
        """No gradient is asked for it, which LSTM would refuse, also where its bottom is learned from."""
        text = '''
            layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 4 dim: 3 dim: 5 }
                                                                            shape { dim: 4 dim: 3 dim: 2 } } }
            layer { name: "below" type: "InnerProduct" bottom: "x" top: "below" inner_product_param {
                num_output: 6 axis: 2 weight_filler { type: "xavier" } } }
            layer { name: "cont" type: "ContinuationIndicator" bottom: "below" top: "cont"
                    continuation_indicator_param { time_step: 4 axis: 1 } }
            layer { name: "lstm" type: "LSTM" bottom: "below" bottom: "cont" top: "h"
                    recurrent_param { num_output: 2 weight_filler { type: "xavier" } } }
            layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "t" top: "loss" }'''
        net = Net(proto_text.parse(text, NetParameter()), TRAIN)
        net.blobs["x"].data[...], net.blobs["t"].data[...] = normal(4, 3, 5), 1
        net.forward()
        net.backward()

        assert net.params["below"][0].diff.any()
        asked = [net.plan.bottoms[net.layer_index(name)] for name in ("cont", "lstm")]
        assert asked == [[False], [True, False]]

    def test_errors(self, caplog):
        """The sizes must be known; a field that the layer does not read is named."""
        message = "continuation_indicator_param."
        assert_fails(f"{message}time_step must be set to the number of time steps, at least 1, got 0",
                     "ContinuationIndicator", batch_size=2)
        assert_fails(f"{message}batch_size must be set where the layer has no bottom, got 0", "ContinuationIndicator",
                     time_step=3)
        assert_fails(f"{message}axis must name an axis of bottom[0] (2, 7), from -2 to 1, got 2",
                     "ContinuationIndicator", (2, 7), time_step=3, axis=2)
        assert not caplog.messages
        forward(make("ContinuationIndicator", time_step=3, batch_size=4), normal(2, 5))
        forward(make("ContinuationIndicator", time_step=3, batch_size=4, axis=1))

        assert f"{message}batch_size has no effect: the batch is axis of bottom[0]" in caplog.text
        assert f"{message}axis has no effect: the layer has no bottom" in caplog.text
