"""The vision family, and InnerProduct, which is a convolution over the whole image: one class a type."""

import itertools
import re

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels, rng
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.layer import create, layer_class
from minicaffe.proto import TEST, LayerParameter
from minicaffe.testing import check_layer


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


def make(type_name, **fields):
    """A float64 layer whose parameters are `fields`; one called `phase` goes to the layer itself."""
    own = {name: fields.pop(name) for name in ("phase", "name") if name in fields}
    cls = layer_class(type_name)
    return cls(dtype=np.float64, **{cls.message: fields}, **own)


def set_up(type_name, shapes, tops=1, **fields):
    """A layer whose SetUp has run on blobs of these shapes, filled with normal numbers: (layer, bottom, top)."""
    layer = make(type_name, **fields)
    bottom = [filled(normal(*shape, seed=i)) for i, shape in enumerate(shapes)]
    top = [Blob(dtype=np.float64) for _ in range(tops)]
    layer.SetUp(bottom, top)
    for i, blob in enumerate(layer.blobs):
        blob.data[...] = normal(*blob.shape, seed=10 + i)
    return layer, bottom, top


def assert_fails(message, type_name, shapes, tops=1, **fields):
    """Setting the layer up is a LayerError that names the layer and contains the message."""
    with pytest.raises(LayerError, match=re.escape(message)) as caught:
        set_up(type_name, shapes, tops, name="unit7", **fields)

    assert str(caught.value).startswith(f"layer 'unit7' ({type_name}): ")


@pytest.mark.parametrize(("shape", "fields"), [
    ((2, 3, 7, 5), {"kernel_size": [3], "stride": [2**32 - 1]}), ((2, 3, 1, 1), {"kernel_size": [3], "pad": [1]}),
    ((2, 3, 7, 5), {"kernel_h": 3, "kernel_w": 5, "stride_h": 1, "stride_w": 2**31, "pad_w": 1})])
@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_strides_that_are_never_taken(kind, shape, fields):
    """A stride beyond the image gives what any stride gives that is beyond it, at once and both ways."""
    if kind == "Deconvolution":
        shape = (2, 3, 1 if fields.get("stride", [1])[0] > 1 else shape[2], 1)
    largest = {name: [30] if name == "stride" else min(value, 30) if name == "stride_w" else value
               for name, value in fields.items()}
    results = []
    for given in (fields, largest):
        layer, bottom, top = set_up(kind, [shape], num_output=2, **given)
        layer.Forward(bottom, top)
        top[0].diff[...] = normal(*top[0].shape, seed=5)
        layer.Backward(top, [True], bottom)
        results.append([top[0].data.copy(), bottom[0].diff.copy(), layer.blobs[0].diff.copy()])

    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


GAUSSIAN = {"type": "gaussian"}
CONVOLUTIONS = [  # bottom, parameters
    ((2, 4, 7, 5), {"num_output": 6, "kernel_size": [3], "group": 2}),
    ((2, 4, 7, 5), {"num_output": 3, "kernel_h": 3, "kernel_w": 2, "stride_h": 2, "stride_w": 1, "pad_w": 1}),
    ((2, 3, 8, 9), {"num_output": 2, "kernel_size": [2, 3], "stride": [1, 2], "pad": [2, 1], "dilation": [3, 2]}),
    ((3, 4, 9), {"num_output": 2, "kernel_size": [3], "stride": [2], "bias_term": False}),
    ((1, 2, 4, 5, 3), {"num_output": 3, "kernel_size": [2], "pad": [1], "stride": [2], "force_nd_im2col": True}),
    ((3, 5, 4), {"num_output": 2, "kernel_size": [3], "axis": 0}),
    ((2, 3, 5, 7, 4), {"num_output": 2, "kernel_size": [3], "axis": -3}),
    ((2, 7), {"num_output": 3, "kernel_size": [1]}),
]


def each_convolution(fields, shape):
    """stride, pad, dilation, group of a convolution_param, one number an axis."""
    axes = len(shape) - fields.get("axis", 1) % len(shape) - 1

    def per_axis(name, default):
        if name + "_h" in fields or name + "_w" in fields:
            return [fields.get(name + "_h", default), fields.get(name + "_w", default)]
        values = fields.get(name, [default])
        return values * axes if len(values) == 1 else values

    return (*(tuple(per_axis(*each)) for each in (("stride", 1), ("pad", 0), ("dilation", 1))), fields.get("group", 1))


def images(array, axis):
    """An array with the axes before the channels as one."""
    return array.reshape(-1, *array.shape[axis % array.ndim:])


class TestConvolution:
    def test_by_hand(self):
        """A 2 x 2 filter on a 2 x 2 image: one sum of four products, and each factor's gradient is the other."""
        layer, bottom, top = set_up("Convolution", [(1, 1, 2, 2)], num_output=1, kernel_size=[2])
        bottom[0].data[...] = [[[[1, 2], [3, 4]]]]
        layer.blobs[0].data[...] = [[[[5, 6], [7, 8]]]]
        layer.blobs[1].data[...] = 0.5
        layer.Forward(bottom, top)

        assert top[0].data.item() == 5 + 12 + 21 + 32 + 0.5
        dx, = run_backward(layer, bottom, top, 2)
        np.testing.assert_array_equal([[[[10, 12], [14, 16]]]], dx)
        np.testing.assert_array_equal([[[[2, 4], [6, 8]]]], layer.blobs[0].diff)
        np.testing.assert_array_equal([2], layer.blobs[1].diff)

    @pytest.mark.parametrize(("shape", "fields"), CONVOLUTIONS)
    def test_formula(self, shape, fields):
        """y is the sum of the datasheet, by the kernel's definition, with the geometry that the fields ask for."""
        layer, bottom, top = set_up("Convolution", [shape], **fields)
        layer.Forward(bottom, top)
        axis, b = fields.get("axis", 1), layer.blobs[1].data if fields.get("bias_term", True) else None
        x, y, w = images(bottom[0].data, axis), images(top[0].data, axis), layer.blobs[0].data
        expected = np.empty_like(y)
        kernels.correlate.definition(x, w, b, *each_convolution(fields, shape), expected)

        assert len(layer.blobs) == 1 + fields.get("bias_term", True)
        np.testing.assert_allclose(expected, y, rtol=1e-11, atol=1e-11)

    @pytest.mark.parametrize(("shape", "fields"), CONVOLUTIONS)
    def test_gradients(self, shape, fields):
        """backward is the derivative of forward in x, w and b, and keeps the layer contract."""
        layer = make("Convolution", **fields, weight_filler=GAUSSIAN, bias_filler=GAUSSIAN)

        assert check_layer(layer, [filled(normal(*shape))]) < 1e-6

    def test_several_bottoms_add_their_weight_gradients(self):
        """Two bottoms share the filters: each has its top, and dw, db are the sums of both."""
        fields = {"num_output": 3, "kernel_size": [2]}
        layer, bottom, top = set_up("Convolution", [(2, 4, 5, 3)] * 2, 2, **fields)
        layer.Forward(bottom, top)
        run_backward(layer, bottom, top, 1, 1)
        parts = []
        for i in (0, 1):
            single, _, one_top = set_up("Convolution", [(2, 4, 5, 3)], **fields)
            single.Forward(bottom[i:i + 1], one_top)
            np.testing.assert_array_equal(one_top[0].data, top[i].data)
            run_backward(single, bottom[i:i + 1], one_top, 1)
            parts.append([b.diff for b in single.blobs])
        for blob, first, second in zip(layer.blobs, *parts, strict=True):
            np.testing.assert_allclose(first + second, blob.diff, rtol=1e-12)

    def test_frozen_blobs_get_no_gradient(self):
        """A blob whose param_propagate_down is off keeps its diff."""
        layer, bottom, top = set_up("Convolution", [(2, 4, 5, 3)], num_output=3, kernel_size=[2])
        layer.param_propagate_down = [False, False]
        layer.Forward(bottom, top)
        dx, = run_backward(layer, bottom, top, 1)

        assert dx.any()
        assert not any(b.diff.any() for b in layer.blobs)

    def test_batch_may_change(self):
        """The number and size of the images may change between forwards."""
        layer, bottom, top = set_up("Convolution", [(2, 4, 7, 5)], num_output=3, kernel_size=[3])
        bottom[0].reshape(5, 4, 6, 9)
        layer.Forward(bottom, top)

        assert top[0].shape == (5, 3, 4, 7)

    def test_window_over_the_far_edge(self):
        """Caffe's division rounds towards zero, so a filter one pixel too large still has a position at stride 2."""
        layer, bottom, top = set_up("Convolution", [(1, 1, 4, 4)], num_output=1, kernel_size=[5], stride=[2])
        layer.Forward(bottom, top)
        expected = (bottom[0].data[0, 0] * layer.blobs[0].data[0, 0, :4, :4]).sum() + layer.blobs[1].data[0]

        assert top[0].data.item() == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(("message", "shape", "fields"), [
        ("convolution_param.num_output must be positive, got 0", (2, 4, 7, 5), {"kernel_size": [3]}),
        ("convolution_param.group must divide the C=4 channels of bottom[0] (2, 4, 7, 5) and num_output K=6, got 4",
         (2, 4, 7, 5), {"num_output": 6, "kernel_size": [3], "group": 4}),
        ("group must divide the C=4 channels of bottom[0] (2, 4, 7, 5) and num_output K=3, got 0",
         (2, 4, 7, 5), {"num_output": 3, "kernel_size": [3], "group": 0}),
        ("kernel_size must be given once, or once for each of the 2 spatial axes, got []", (2, 4, 7, 5),
         {"num_output": 3}),
        ("kernel_size must be given once, or once for each of the 2 spatial axes, got [3, 2, 1]", (2, 4, 7, 5),
         {"num_output": 3, "kernel_size": [3, 2, 1]}),
        ("stride must be given once, or once for each of the 3 spatial axes, got [1, 2]", (2, 4, 7, 5, 3),
         {"num_output": 3, "kernel_size": [3], "stride": [1, 2]}),
        ("kernel_h and kernel_w must be positive on every axis, got [3, 0]", (2, 4, 7, 5),
         {"num_output": 3, "kernel_h": 3}),
        ("stride must be positive on every axis, got [0, 0]", (2, 4, 7, 5),
         {"num_output": 3, "kernel_size": [3], "stride": [0]}),
        ("stride and stride_h, stride_w exclude each other", (2, 4, 7, 5),
         {"num_output": 3, "kernel_size": [3], "stride": [2], "stride_h": 2}),
        ("pad_h and pad_w need 2 spatial axes, bottom[0] has 1", (2, 4, 7),
         {"num_output": 3, "kernel_size": [3], "pad_h": 1}),
        ("axis must name an axis of bottom[0] (2, 4, 7, 5), from -4 to 3, got 4", (2, 4, 7, 5),
         {"num_output": 3, "kernel_size": [3], "axis": 4}),
        ("the window of (5, 9) pixels does not fit bottom[0] (2, 4, 7, 5), padded by (0, 1) from axis 2", (2, 4, 7, 5),
         {"num_output": 3, "kernel_size": [3, 5], "dilation": [2], "pad_w": 1}),
    ])
    def test_errors(self, message, shape, fields):
        """Wrong parameters are errors that show what was given and what fits."""
        assert_fails(message, "Convolution", [shape], **fields)

    def test_errors_of_blobs(self):
        """Bottoms that differ, tops that are too few, channels that change are errors with the shapes."""
        fields = {"num_output": 3, "kernel_size": [2]}
        assert_fails("makes one top of each bottom, got 2 bottom and 1 top blobs", "Convolution", [(2, 4, 7, 5)] * 2,
                     **fields)
        assert_fails("all bottoms must have one shape: bottom[0] has (2, 4, 7, 5), bottom[1] (2, 4, 5, 7)",
                     "Convolution", [(2, 4, 7, 5), (2, 4, 5, 7)], 2, **fields)
        layer, bottom, top = set_up("Convolution", [(2, 4, 7, 5)], **fields)
        bottom[0].reshape(2, 3, 7, 5)
        with pytest.raises(LayerError, match=re.escape("bottom[0] (2, 3, 7, 5) has C=3 channels at axis 1, "
                                                       "but w (3, 4, 2, 2) was made for 4")):
            layer.Forward(bottom, top)
        bottom[0].reshape(2, 4, 7)
        with pytest.raises(LayerError, match=re.escape("bottom[0] (2, 4, 7) must keep its 4 axes")):
            layer.Forward(bottom, top)


class TestDeconvolution:
    def test_by_hand(self):
        """Two pixels stamp a 2 x 2 filter side by side; where the stamps overlap they add."""
        layer, bottom, top = set_up("Deconvolution", [(1, 1, 1, 2)], num_output=1, kernel_size=[2])
        bottom[0].data[...] = [[[[1, 2]]]]
        layer.blobs[0].data[...] = [[[[1, 10], [100, 1000]]]]
        layer.blobs[1].data[...] = 0.5
        layer.Forward(bottom, top)

        np.testing.assert_array_equal([[[[1.5, 12.5, 20.5], [100.5, 1200.5, 2000.5]]]], top[0].data)
        dx, = run_backward(layer, bottom, top, np.array([[[[1, 0, 0], [0, 0, 1]]]]))
        np.testing.assert_array_equal([[[[1, 1000]]]], dx)
        np.testing.assert_array_equal([[[[1, 0], [0, 2]]]], layer.blobs[0].diff)
        np.testing.assert_array_equal([2], layer.blobs[1].diff)

    @pytest.mark.parametrize(("shape", "fields"), CONVOLUTIONS)
    def test_formula(self, shape, fields):
        """Each pixel adds its filter, scaled, to the tops' pixels that the filter lies on."""
        layer, bottom, top = set_up("Deconvolution", [shape], **fields)
        layer.Forward(bottom, top)
        axis = fields.get("axis", 1)
        x, y, w = images(bottom[0].data, axis), images(top[0].data, axis), layer.blobs[0].data
        expected = np.empty_like(y)
        kernels.correlate_data_grad.definition(x, w, *each_convolution(fields, shape), expected)
        if fields.get("bias_term", True):
            expected += layer.blobs[1].data.reshape(-1, *[1] * (y.ndim - 2))

        np.testing.assert_allclose(expected, y, rtol=1e-11, atol=1e-11)

    @pytest.mark.parametrize(("shape", "fields"), CONVOLUTIONS)
    def test_gradients(self, shape, fields):
        """backward is the derivative of forward in x, w and b, and keeps the layer contract."""
        layer = make("Deconvolution", **fields, weight_filler=GAUSSIAN, bias_filler=GAUSSIAN)

        assert check_layer(layer, [filled(normal(*shape))]) < 1e-6

    def test_is_the_adjoint_of_convolution(self):
        """⟨Conv(x), z⟩ = ⟨x, Deconv(z)⟩ when both have the same filters."""
        fields = {"kernel_size": [3, 2], "stride": [2, 1], "pad": [1, 0], "group": 2, "bias_term": False}
        convolution, x, y = set_up("Convolution", [(2, 4, 7, 5)], num_output=6, **fields)
        deconvolution, z, back = set_up("Deconvolution", [y[0].shape], num_output=4, **fields)
        deconvolution.blobs[0].data[...] = convolution.blobs[0].data
        convolution.Forward(x, y)
        deconvolution.Forward(z, back)

        assert x[0].shape == back[0].shape
        assert np.vdot(y[0].data, z[0].data) == pytest.approx(np.vdot(x[0].data, back[0].data), rel=1e-12)

    def test_bilinear_upsampling_keeps_a_plane(self):
        """With the bilinear filler and stride 2, a linear ramp stays linear away from the edges."""
        layer = make("Deconvolution", num_output=1, kernel_size=[4], stride=[2], pad=[1], bias_term=False,
                     weight_filler={"type": "bilinear"})
        ramp = np.add.outer(10 * np.arange(5.0), np.arange(7.0))
        _, top = run_forward(layer, ramp[None, None])
        y = top[0].data[0, 0]

        assert y.shape == (10, 14)
        np.testing.assert_allclose(np.add.outer(5 * np.arange(8.0), np.arange(12.0) / 2) + 2.75, y[1:-1, 1:-1],
                                   rtol=1e-12)

    def test_errors(self):
        """Padding that eats the top, and all that Convolution refuses, is refused."""
        assert_fails("padding of (3, 0) leaves nothing of the top: bottom[0] (2, 4, 3, 5) with kernel (2, 2) and "
                     "stride (1, 1) makes sizes of (-2, 6)", "Deconvolution", [(2, 4, 3, 5)], num_output=3,
                     kernel_size=[2], pad_h=3)
        assert_fails("convolution_param.num_output must be positive, got 0", "Deconvolution", [(2, 4, 3, 5)],
                     kernel_size=[2])


class TestIm2col:
    def test_by_hand(self):
        """A 2 x 2 window has two positions on a 2 x 3 image; each place in it becomes a channel."""
        layer = make("Im2col", kernel_size=[2])
        bottom, top = run_forward(layer, [[[[1, 2, 3], [4, 5, 6]]]])

        np.testing.assert_array_equal([[[[1, 2]], [[2, 3]], [[4, 5]], [[5, 6]]]], top[0].data)
        dx, = run_backward(layer, bottom, top, 1)
        np.testing.assert_array_equal([[[[1, 2, 1], [1, 2, 1]]]], dx)

    @pytest.mark.parametrize(("shape", "fields"), CONVOLUTIONS[:-1])
    def test_filters_times_columns_are_a_convolution(self, shape, fields):
        """A Convolution of one group is its filters times the columns."""
        fields = {**fields, "bias_term": False, "group": 1}
        layer, bottom, top = set_up("Convolution", [shape], **fields)
        layer.Forward(bottom, top)
        only = {k: v for k, v in fields.items() if k not in ("num_output", "bias_term", "group")}
        _, columns = run_forward(make("Im2col", **only), bottom[0].data)
        axis, w = fields.get("axis", 1), layer.blobs[0].data
        expected = np.einsum("kd,nd...->nk...", w.reshape(len(w), -1), images(columns[0].data, axis))

        np.testing.assert_allclose(expected, images(top[0].data, axis), rtol=1e-11, atol=1e-11)

    def test_gradients(self):
        """backward is the derivative of forward."""
        layer = make("Im2col", kernel_size=[2, 3], stride=[2, 1], pad=[1], dilation=[1, 2])

        assert check_layer(layer, [filled(normal(2, 3, 5, 7))]) < 1e-6

    def test_parameters_of_convolution_alone(self):
        """num_output belongs to Convolution: set here, it is an error."""
        param = LayerParameter(name="unit7", type="Im2col", convolution_param={"num_output": 3, "kernel_size": [2]})
        with pytest.raises(LayerError, match=r"convolution_param.num_output is set, but this layer does not read it"):
            create(param)

    def test_errors(self):
        """An image without spatial axes and a window that does not fit are errors; so is a change of axes."""
        assert_fails("axis must leave a spatial axis of bottom[0] (2, 4) after it, got 1", "Im2col", [(2, 4)],
                     kernel_size=[1])
        assert_fails("axis must name an axis of bottom[0] (2, 4, 3), from -3 to 2, got -4", "Im2col", [(2, 4, 3)],
                     kernel_size=[1], axis=-4)
        assert_fails("the window of (2, 4) pixels does not fit bottom[0] (2, 4, 5, 3), padded by (0, 0) from axis 2",
                     "Im2col", [(2, 4, 5, 3)], kernel_size=[2, 4])
        layer, bottom, top = set_up("Im2col", [(2, 4, 7, 5)], kernel_size=[2])
        bottom[0].reshape(2, 4, 7)
        with pytest.raises(LayerError, match=re.escape("bottom[0] (2, 4, 7) must keep its 4 axes")):
            layer.Forward(bottom, top)


POOLINGS = [  # bottom, parameters, kernel, stride, pad, sizes of the top
    ((2, 3, 6, 8), {"kernel_size": 2, "stride": 2}, (2, 2), (2, 2), (0, 0), (3, 4)),
    ((2, 3, 7, 8), {"kernel_size": 3, "stride": 2}, (3, 3), (2, 2), (0, 0), (3, 4)),
    ((2, 3, 7, 8), {"kernel_size": 3, "stride": 2, "round_mode": "FLOOR"}, (3, 3), (2, 2), (0, 0), (3, 3)),
    ((2, 3, 8, 6), {"kernel_size": 3, "stride": 2, "pad": 1}, (3, 3), (2, 2), (1, 1), (5, 4)),
    ((2, 3, 7, 9), {"kernel_size": 2, "stride": 2, "pad": 1}, (2, 2), (2, 2), (1, 1), (4, 5)),  # last window clipped
    ((2, 3, 7, 5), {"kernel_h": 3, "kernel_w": 2, "stride_h": 1, "stride_w": 3, "pad_h": 2, "pad_w": 0},
     (3, 2), (1, 3), (2, 0), (9, 2)),
    ((2, 3, 5, 4), {"kernel_h": 3, "kernel_w": 1, "stride": 2, "pad_h": 1, "pad_w": 0},
     (3, 1), (2, 2), (1, 0), (3, 2)),  # padding in height alone drops the window beyond the width too
    ((2, 3, 5, 4), {"global_pooling": True}, (5, 4), (1, 1), (0, 0), (1, 1)),
    ((1, 2, 2, 3), {"kernel_size": 4, "stride": 3}, (4, 4), (3, 3), (0, 0), (1, 1)),  # window larger than the image
]


class TestPooling:
    def test_by_hand(self):
        """One window over 2 x 2 pixels: the largest takes the gradient whole, the mean shares it in four."""
        image = [[[[1, 2], [4, 3]]]]
        layer = make("Pooling", pool="MAX", kernel_size=2)
        bottom, top = run_forward(layer, image, tops=2)

        assert (4, 2) == (top[0].data.item(), top[1].data.item())
        dx, = run_backward(layer, bottom, top, 8, 0)
        np.testing.assert_array_equal([[[[0, 0], [8, 0]]]], dx)
        layer = make("Pooling", pool="AVE", kernel_size=2)
        bottom, top = run_forward(layer, image)
        assert top[0].data.item() == 2.5
        dx, = run_backward(layer, bottom, top, 8)
        np.testing.assert_array_equal([[[[2, 2], [2, 2]]]], dx)

    @pytest.mark.parametrize(("fields", "sizes"), [
        ({}, (4, 5)), ({"ceil_mode": True}, (4, 5)), ({"ceil_mode": False}, (3, 4)),
        ({"ceil_mode": True, "round_mode": "CEIL"}, (4, 5)), ({"ceil_mode": False, "round_mode": "FLOOR"}, (3, 4)),
        ({"ceil_mode": False, "pad_h": 1, "pad_w": 0}, (4, 4)), ({"pad_h": 1, "pad_w": 0}, (5, 5)),
    ])
    def test_ceil_mode(self, fields, sizes):
        """The forks' ceil_mode is round_mode under another name: true, which is the default, rounds up."""
        x = normal(2, 3, 8, 10)
        _, top = run_forward(make("Pooling", kernel_size=3, stride=2, **fields), x)
        others = {name: value for name, value in fields.items() if not name.endswith("_mode")}
        mode = "CEIL" if fields.get("ceil_mode", True) else "FLOOR"
        _, want = run_forward(make("Pooling", kernel_size=3, stride=2, round_mode=mode, **others), x)

        assert top[0].shape[2:] == sizes
        np.testing.assert_array_equal(top[0].data, want[0].data)

    @pytest.mark.parametrize(("ceil", "mode"), [(True, "FLOOR"), (False, "CEIL")])
    def test_ceil_mode_against_round_mode(self, ceil, mode):
        """Where both are given and say different things, that is an error that names both."""
        assert_fails(f"pooling_param.ceil_mode contradicts round_mode: {mode}, got {ceil}", "Pooling", [(2, 3, 7, 5)],
                     kernel_size=3, ceil_mode=ceil, round_mode=mode)

    @pytest.mark.parametrize("method", ["MAX", "AVE"])
    @pytest.mark.parametrize(("shape", "fields", "kernel", "stride", "pad", "sizes"), POOLINGS)
    def test_formula(self, method, shape, fields, kernel, stride, pad, sizes):
        """y has the size that Caffe's rounding gives, and each number is its window's maximum or mean."""
        x = normal(*shape).round(1)  # rounded, so that there are ties
        _, top = run_forward(make("Pooling", pool=method, **fields), x, tops=2 if method == "MAX" else 1)
        y, index = np.empty((*shape[:2], *sizes)), np.empty((*shape[:2], *sizes), np.int32)
        if method == "MAX":
            kernels.max_pool.definition(x, kernel, stride, pad, y, index)
        else:
            kernels.ave_pool.definition(x, kernel, stride, pad, y)

        np.testing.assert_allclose(y, top[0].data, rtol=1e-12, atol=1e-15)
        if method == "MAX":
            np.testing.assert_array_equal(index, top[1].data)

    @pytest.mark.parametrize("method", ["MAX", "AVE"])
    @pytest.mark.parametrize("case", POOLINGS)
    def test_gradients(self, method, case):
        """backward is the derivative of forward, and keeps the layer contract."""
        layer = make("Pooling", pool=method, **case[1])

        assert check_layer(layer, [filled(normal(*case[0]))]) < 1e-6

    def test_first_maximum_wins(self):
        """Of equal pixels the first in reading order is chosen and takes the gradient."""
        layer = make("Pooling", kernel_size=2)
        bottom, top = run_forward(layer, np.full((1, 1, 2, 2), 7.0), tops=2)
        dx, = run_backward(layer, bottom, top, 3, 0)

        assert top[1].data.item() == 0
        np.testing.assert_array_equal([[[[3, 0], [0, 0]]]], dx)

    def test_average_divides_by_padding_too(self):
        """A corner window of 2 x 2 with one pixel in the image divides that pixel by four."""
        _, top = run_forward(make("Pooling", pool="AVE", kernel_size=2, stride=2, pad=1), [[[[8, 1], [1, 1]]]])

        np.testing.assert_array_equal([[[[2, 0.25], [0.25, 0.25]]]], top[0].data)

    @pytest.mark.parametrize("method", ["MAX", "AVE", "STOCHASTIC"])
    @pytest.mark.parametrize(("shape", "fields", "axis", "windows", "begins", "floor"), [
        ((1, 1, 8, 8), {"kernel_size": 1, "stride": 2}, "height", 5, 8, "4 x 4"),
        ((1, 1, 7, 8), {"kernel_size": 1, "stride": 2}, "width", 5, 8, "4 x 4"),
        ((2, 3, 10, 7), {"kernel_size": 2, "stride": 5}, "height", 3, 10, "2 x 2"),
        ((2, 3, 5, 6), {"kernel_h": 3, "kernel_w": 2, "stride_h": 1, "stride_w": 3}, "width", 3, 6, "3 x 2"),
        ((2, 3, 3, 2), {"kernel_size": 1, "stride": 4}, "height", 2, 4, "1 x 1"),
    ])
    def test_window_beyond_the_image(self, method, shape, fields, axis, windows, begins, floor):
        """A last window that begins beyond the image is refused, and what round_mode FLOOR makes instead is right."""
        with pytest.raises(LayerError, match=(
                rf"window {windows} of {windows} along the {axis} would begin at pixel {begins}, but bottom\[0\] "
                rf"\(N, C, H, W\) {re.escape(str(shape))} ends at pixel .*\n.*round_mode: FLOOR .* gives {floor}")):
            set_up("Pooling", [shape], pool=method, **fields)
        _, top = run_forward(make("Pooling", pool=method, round_mode="FLOOR", **fields), np.ones(shape))

        assert floor == "{} x {}".format(*top[0].shape[2:])
        assert (top[0].data > 0).all()

    @pytest.mark.parametrize("mode", ["CEIL", "FLOOR"])
    def test_every_window_has_a_pixel(self, mode):
        """Whatever the sizes, a pooling is refused or each of its windows has a pixel of the image."""
        hints = []
        for n, k, s, p in itertools.product(range(7), range(1, 5), range(1, 6), range(3)):
            layer = make("Pooling", kernel_h=k, kernel_w=1, stride_h=s, stride_w=1, pad_h=min(p, k - 1), pad_w=0,
                         pool="AVE", round_mode=mode)
            try:
                _, top = run_forward(layer, np.ones((1, 1, n, 3)))
            except LayerError as error:
                hints.append(error.hint)
            else:
                assert (top[0].data > 0).all(), (n, k, s, p)

        assert 0 < len(hints) < 200
        assert any("FLOOR" in hint for hint in hints) == (mode == "CEIL")

    def test_global_pooling_follows_the_image(self):
        """global_pooling takes each forward's image size for its window."""
        layer, bottom, top = set_up("Pooling", [(2, 3, 5, 4)], pool="AVE", global_pooling=True)
        bottom[0].reshape(2, 3, 7, 6)
        bottom[0].data[...] = normal(2, 3, 7, 6)
        layer.Forward(bottom, top)

        np.testing.assert_allclose(normal(2, 3, 7, 6).mean(axis=(2, 3), keepdims=True), top[0].data, rtol=1e-12)

    def test_kernel_size_wins_over_half_a_pair(self, caplog):
        """kernel_size beside kernel_h alone is used, as in Caffe, and the other is warned of."""
        _, _, top = set_up("Pooling", [(2, 3, 7, 5)], kernel_size=3, kernel_h=2)

        assert top[0].shape == (2, 3, 5, 3)
        assert "pooling_param.kernel_h is not read beside kernel_size" in caplog.text

    @pytest.mark.parametrize(("u", "expected"),
                             [(0.05, 1), (0.1, 1), (0.11, 2), (0.3, 2), (0.31, 3), (0.61, 4), (1, 4)])
    def test_stochastic_by_hand(self, u, expected):
        """Of the pixels 1 2 3 4 the first is drawn at which the running sum reaches u · 10."""
        x, y, index = np.array([[[[1.0, 2], [3, 4]]]]), np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1), np.int32)
        kernels.stochastic_pool(x, np.full(y.shape, u), (2, 2), (1, 1), y, index)

        assert (expected, expected - 1) == (y.item(), index.item())

    def test_stochastic_of_negative_pixels(self):
        """Where negative pixels keep every running sum below the threshold, the last pixel is taken."""
        x, y, index = -np.ones((1, 1, 1, 2)), np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1), np.int32)
        kernels.stochastic_pool(x * [1, 0.5], np.full(y.shape, 0.1), (1, 2), (1, 1), y, index)

        assert (-0.5, 1) == (y.item(), index.item())

    def test_stochastic_never_draws_a_zero(self, monkeypatch):
        """Even where the generator gives its lowest number, 0, a pixel of probability 0 is not drawn."""
        class Zeros:
            random = staticmethod(np.zeros)

        monkeypatch.setattr(rng, "generator", Zeros)
        _, top = run_forward(make("Pooling", pool="STOCHASTIC", kernel_size=2), [[[[0, 0], [5, 0]]]])

        assert top[0].data.item() == 5

    def test_stochastic_draws_by_share(self):
        """In TRAIN, pixels 1 2 3 4 are drawn in tenths, and the gradient goes to the one drawn."""
        rng.seed(1701)
        windows = np.tile([[1.0, 2], [3, 4]], (200, 250))[None, None]
        layer = make("Pooling", pool="STOCHASTIC", kernel_size=2, stride=2)
        bottom, top = run_forward(layer, windows)
        shares = [(top[0].data == v).mean() for v in (1, 2, 3, 4)]
        np.testing.assert_allclose([0.1, 0.2, 0.3, 0.4], shares, atol=0.011)  # five standard deviations of 50,000
        dx, = run_backward(layer, bottom, top, 1)

        np.testing.assert_array_equal(top[0].data.ravel(), _drawn(windows * dx))

    def test_stochastic_averages_in_test(self):
        """In TEST, pixels 1 2 3 4 give (1 + 4 + 9 + 16) / 10, and a window without a positive sum gives 0."""
        layer = make("Pooling", pool="STOCHASTIC", kernel_size=2, stride=2, phase=TEST)
        _, top = run_forward(layer, [[[[1, 2, 0, 0], [3, 4, 0, 0]]]])

        np.testing.assert_array_equal([[[[3, 0]]]], top[0].data)

    @pytest.mark.parametrize("fields", [{}, {"phase": TEST}])
    def test_stochastic_gradients(self, fields):
        """In both phases backward is the derivative of forward, draws being repeated."""
        layer = make("Pooling", pool="STOCHASTIC", kernel_size=3, stride=2, **fields)

        assert check_layer(layer, [filled(normal(2, 3, 7, 6) ** 2 + 0.1)]) < 1e-6

    @pytest.mark.parametrize(("message", "fields"), [
        ("pooling_param.kernel_size must be positive in height and width, is (0, 0), got 0", {}),
        ("stride must be positive in height and width, is (0, 0), got 0", {"kernel_size": 2, "stride": 0}),
        ("pooling_param.kernel_h and kernel_w must be given together", {"kernel_h": 3}),
        ("pooling_param.kernel_size and kernel_h, kernel_w exclude each other",
         {"kernel_size": 2, "kernel_h": 3, "kernel_w": 3}),
        ("pooling_param.stride and stride_h, stride_w exclude each other",
         {"kernel_size": 2, "stride": 2, "stride_w": 3}),
        ("pooling_param.pad_h and pad_w must be given together", {"kernel_size": 2, "pad_h": 1}),
        ("pooling_param.pad (2, 2) must be less than the kernel (2, 2), got 2", {"kernel_size": 2, "pad": 2}),
        ("pad must be 0 for STOCHASTIC pooling, is (1, 1)", {"kernel_size": 2, "pad": 1, "pool": "STOCHASTIC"}),
        ("global_pooling cannot be set beside the kernel (2, 2), because the window is the whole image",
         {"kernel_size": 2, "global_pooling": True}),
        ("global_pooling needs stride 1 and pad 0, not (2, 2) and (0, 0)", {"stride": 2, "global_pooling": True}),
        ("the window (9, 9) does not fit bottom[0] (N, C, H, W) (2, 3, 7, 5), padded by (0, 0)", {"kernel_size": 9}),
    ])
    def test_errors(self, message, fields):
        """Wrong parameters are errors that show what was given."""
        assert_fails(message, "Pooling", [(2, 3, 7, 5)], **fields)

    def test_errors_of_blobs(self):
        """An image that is not 4-D, and a mask wanted of another method than MAX, are errors."""
        assert_fails("bottom[0] must have the 4 axes (N, C, H, W), got (3, 7, 5)", "Pooling", [(3, 7, 5)],
                     kernel_size=2)
        assert_fails("pooling_param.pool must be MAX for a second top, the mask, got 1", "Pooling", [(2, 3, 7, 5)], 2,
                     kernel_size=2, pool="AVE")


def _drawn(plane):
    """The sum of each 2 x 2 window, in reading order."""
    H, W = plane.shape[2:]
    return plane.reshape(H // 2, 2, W // 2, 2).sum(axis=(1, 3)).ravel()


class TestCrop:
    def test_by_hand(self):
        """Of 3 x 3 pixels the 2 x 2 from row 1, column 0 are kept, and only they have a gradient."""
        layer = make("Crop", offset=[1, 0])
        bottom, top = run_forward(layer, np.arange(9.0).reshape(1, 1, 3, 3), np.zeros((1, 1, 2, 2)))

        np.testing.assert_array_equal([[[[3, 4], [6, 7]]]], top[0].data)
        dx, reference = run_backward(layer, bottom, top, [[[[1, 2], [3, 4]]]])
        np.testing.assert_array_equal([[[[0, 0, 0], [1, 2, 0], [3, 4, 0]]]], dx)
        np.testing.assert_array_equal(np.zeros((1, 1, 2, 2)), reference)

    @pytest.mark.parametrize(("fields", "expected"), [
        ({}, np.s_[:, :, :3, :2]),
        ({"offset": [2]}, np.s_[:, :, 2:5, 2:4]),
        ({"axis": 1, "offset": [1, 0, 3]}, np.s_[:, 1:5, 0:3, 3:5]),
        ({"axis": -1, "offset": [3]}, np.s_[:, :, :, 3:5]),
        ({"axis": -4, "offset": [0, 2, 1, 0]}, np.s_[0:1, 2:6, 1:4, 0:2]),
    ])
    def test_offsets_and_axes(self, fields, expected):
        """Axes before `axis` stay whole; offset is one for all the others, or one each."""
        x = normal(2, 7, 6, 5)
        _, top = run_forward(make("Crop", **fields), x, normal(1, 4, 3, 2))

        np.testing.assert_array_equal(x[expected], top[0].data)

    def test_gradients(self):
        """backward is the derivative of forward, and the reference has none."""
        layer = make("Crop", axis=1, offset=[1, 0, 2])

        assert check_layer(layer, [filled(normal(2, 5, 4, 6)), filled(normal(1, 3, 4, 2))], zeros=[1]) < 1e-6

    @pytest.mark.parametrize(("message", "shapes", "fields"), [
        ("crop_param.axis must name an axis of bottom[0] (2, 7, 5), from -3 to 2, got 3", [(2, 7, 5), (2, 7, 5)],
         {"axis": 3}),
        ("crop_param.offset must be given once, or once for each of the 2 axes of bottom[0] (2, 3, 7, 5) from axis 2, "
         "got [1, 1, 1]", [(2, 3, 7, 5), (2, 3, 4, 4)], {"offset": [1, 1, 1]}),
        ("bottom[0] (2, 3, 7, 5) and the reference bottom[1] (7, 5) must have as many axes",
         [(2, 3, 7, 5), (7, 5)], {}),
        ("offset 4 and size 4 of the reference bottom[1] (2, 3, 4, 1) reach beyond the size 7 of bottom[0] "
         "(2, 3, 7, 5) at axis 2", [(2, 3, 7, 5), (2, 3, 4, 1)], {"offset": [4]}),
    ])
    def test_errors(self, message, shapes, fields):
        """A crop that is not inside is an error with both shapes."""
        assert_fails(message, "Crop", shapes, **fields)


class TestSPP:
    def test_by_hand(self):
        """Two levels over 2 x 2 pixels: the maximum of all, then the four themselves; gradients add up."""
        layer = make("SPP", pyramid_height=2)
        bottom, top = run_forward(layer, [[[[1, 2], [4, 3]]]])

        np.testing.assert_array_equal([[4, 1, 2, 4, 3]], top[0].data)
        dx, = run_backward(layer, bottom, top, [[10, 1, 2, 3, 4]])
        np.testing.assert_array_equal([[[[1, 2], [13, 4]]]], dx)

    @pytest.mark.parametrize("method", ["MAX", "AVE"])
    @pytest.mark.parametrize("size", [(8, 11), (9, 6), (12, 7)])
    def test_is_poolings_side_by_side(self, method, size):
        """y is a Pooling for each level, flattened and concatenated, and dx the sum of theirs."""
        layer = make("SPP", pyramid_height=3, pool=method)
        x = normal(2, 3, *size)
        bottom, top = run_forward(layer, x)
        dy = normal(*top[0].shape)
        dx, = run_backward(layer, bottom, top, dy)
        parts, back = [], np.zeros_like(x)
        for bins in (1, 2, 4):
            kernel = [-(-n // bins) for n in size]
            pad = [(k * bins - n + 1) // 2 for k, n in zip(kernel, size, strict=True)]
            window = {f"{name}_{side}": value for name, pair in (("kernel", kernel), ("stride", kernel), ("pad", pad))
                      for side, value in zip("hw", pair, strict=True)}
            pooling = make("Pooling", pool=method, **window)
            below, above = run_forward(pooling, x)
            start = sum(p.shape[1] for p in parts)
            parts.append(above[0].data.reshape(2, -1))
            stop = start + parts[-1].shape[1]
            back += run_backward(pooling, below, above, dy[:, start:stop].reshape(above[0].shape))[0]

        assert top[0].shape == (2, 3 * (1 + 4 + 16))
        np.testing.assert_array_equal(np.hstack(parts), top[0].data)
        np.testing.assert_allclose(back, dx, rtol=1e-12)

    def test_one_level_is_not_flattened(self):
        """With pyramid_height 1 the top is (N, C, 1, 1), as in Caffe."""
        _, top = run_forward(make("SPP", pyramid_height=1, pool="AVE"), normal(2, 3, 7, 5))

        np.testing.assert_allclose(normal(2, 3, 7, 5).mean(axis=(2, 3), keepdims=True), top[0].data, rtol=1e-12)

    @pytest.mark.parametrize("fields", [{"pool": "MAX"}, {"pool": "AVE"}, {"pool": "STOCHASTIC"},
                                        {"pool": "STOCHASTIC", "phase": TEST}])
    def test_gradients(self, fields):
        """backward is the derivative of forward for every method."""
        layer = make("SPP", pyramid_height=3, **fields)

        assert check_layer(layer, [filled(normal(2, 3, 8, 4) ** 2 + 0.1)]) < 1e-6

    @pytest.mark.parametrize(("message", "shape", "fields"), [
        ("spp_param.pyramid_height must be positive, got 0", (2, 3, 7, 5), {}),
        ("bottom[0] must have the 4 axes (N, C, H, W), got (3, 7, 5)", (3, 7, 5), {"pyramid_height": 2}),
        ("spp_param.pyramid_height asks for 4 x 4 bins, too many for bottom[0] (2, 3, 7, 5): windows of (2, 2) would "
         "need a padding of (1, 2), got 3", (2, 3, 7, 5), {"pyramid_height": 3}),
        ("spp_param.pool cannot be STOCHASTIC where a level needs padding, as 2 x 2 bins do for bottom[0] (2, 3, 7, 4)",
         (2, 3, 7, 4), {"pyramid_height": 2, "pool": "STOCHASTIC"}),
    ])
    def test_errors(self, message, shape, fields):
        """Pyramids that do not fit are errors with the bins and the shape."""
        assert_fails(message, "SPP", [shape], **fields)


class TestInnerProduct:
    def test_by_hand(self):
        """Two rows of two features times a 1 x 2 matrix, plus a bias."""
        layer, bottom, top = set_up("InnerProduct", [(2, 2)], num_output=1)
        bottom[0].data[...] = [[1, 2], [3, 4]]
        layer.blobs[0].data[...] = [[10, 100]]
        layer.blobs[1].data[...] = 0.5
        layer.Forward(bottom, top)

        np.testing.assert_array_equal([[210.5], [430.5]], top[0].data)
        dx, = run_backward(layer, bottom, top, [[1], [2]])
        np.testing.assert_array_equal([[10, 100], [20, 200]], dx)
        np.testing.assert_array_equal([[7, 10]], layer.blobs[0].diff)
        np.testing.assert_array_equal([3], layer.blobs[1].diff)

    @pytest.mark.parametrize(("fields", "axis"), [
        ({}, 1), ({"axis": 2}, 2), ({"axis": -1, "bias_term": False}, 3), ({"axis": 0, "transpose": True}, 0),
        ({"transpose": True, "bias_term": False}, 1)])
    def test_formula(self, fields, axis):
        """The axes before `axis` stay, the others are summed over, for both layouts of w."""
        layer, bottom, top = set_up("InnerProduct", [(2, 7, 5, 3)], num_output=4, **fields)
        layer.Forward(bottom, top)
        shape = bottom[0].shape
        w = layer.blobs[0].data.T if fields.get("transpose") else layer.blobs[0].data
        expected = np.tensordot(bottom[0].data.reshape(*shape[:axis], -1), w, axes=(-1, 1))
        if fields.get("bias_term", True):
            expected = expected + layer.blobs[1].data

        assert top[0].shape == (*shape[:axis], 4)
        np.testing.assert_allclose(expected, top[0].data, rtol=1e-11)

    @pytest.mark.parametrize("fields", [{}, {"axis": -2, "transpose": True}, {"axis": 0, "bias_term": False}])
    def test_gradients(self, fields):
        """backward is the derivative of forward in x, w and b, and keeps the layer contract."""
        layer = make("InnerProduct", num_output=4, weight_filler=GAUSSIAN, bias_filler=GAUSSIAN, **fields)

        assert check_layer(layer, [filled(normal(2, 7, 5, 3))]) < 1e-6

    def test_is_a_convolution_over_the_whole_image(self):
        """With a filter as large as the image, Convolution computes the same."""
        inner, x, y = set_up("InnerProduct", [(2, 7, 5, 3)], num_output=4)
        convolution, _, top = set_up("Convolution", [(2, 7, 5, 3)], num_output=4, kernel_size=[5, 3])
        for blob, other in zip(convolution.blobs, inner.blobs, strict=True):
            blob.data[...] = other.data.reshape(blob.shape)
        inner.Forward(x, y)
        convolution.Forward(x, top)

        np.testing.assert_allclose(y[0].data, top[0].data[:, :, 0, 0], rtol=1e-11)

    def test_errors(self):
        """No outputs, an axis out of range and a changed number of features are errors with the numbers."""
        assert_fails("inner_product_param.num_output must be positive, got 0", "InnerProduct", [(2, 7)])
        assert_fails("inner_product_param.axis must name an axis of bottom[0] (2, 7), from -2 to 1, got -3",
                     "InnerProduct", [(2, 7)], num_output=4, axis=-3)
        layer, bottom, top = set_up("InnerProduct", [(2, 7, 5, 3)], num_output=4)
        bottom[0].reshape(2, 7, 5, 2)
        with pytest.raises(LayerError, match=re.escape("bottom[0] (2, 7, 5, 2) has 70 features from axis 1, but w "
                                                       "(4, 105) expects 105")):
            layer.Forward(bottom, top)
