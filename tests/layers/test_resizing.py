"""Layers of the vision family that forks of Caffe have: depthwise convolutions, and images of another size."""

import re

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.layer import layer_class
from minicaffe.testing import check_layer


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


def make(type_name, dtype=np.float64, **fields):
    """A layer whose parameters are `fields`."""
    cls = layer_class(type_name)
    return cls(dtype=dtype, name="unit7", **{cls.message: fields})


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


class TestDepthwise:
    NAMES = ("DepthwiseConvolution", "DepthwiseConv", "ConvolutionDepthwise")

    @staticmethod
    def fields(type_name, channels, **more):
        """The fields of a depthwise layer; ConvolutionDepthwise needs no group."""
        return more if type_name == "ConvolutionDepthwise" else {"group": channels, **more}

    @pytest.mark.parametrize("type_name", NAMES)
    def test_by_hand(self, type_name):
        """Each channel is correlated with its own filter: 1 · 1 − 1 · 2, 1 · 2 − 1 · 3, then 10 · 4 + 5, 10 · 5 + 6."""
        layer = make(type_name, num_output=2, kernel_h=1, kernel_w=2, bias_term=False, **self.fields(type_name, 2))
        bottom, top = [filled([[[[1, 2, 3]], [[4, 5, 6]]]])], [Blob((), np.float64)]
        layer.SetUp(bottom, top)
        layer.blobs[0].data[...] = np.reshape([1, -1, 10, 1], (2, 1, 1, 2))
        layer.Forward(bottom, top)

        np.testing.assert_array_equal(top[0].data, [[[[-1, -1]], [[45, 56]]]])
        np.testing.assert_array_equal(run_backward(layer, bottom, top, [[[[1, 2]], [[1, 0]]]])[0],
                                      [[[[1, 1, -2]], [[10, 1, 0]]]])
        np.testing.assert_array_equal(layer.blobs[0].diff.reshape(2, 2), [[1 * 1 + 2 * 2, 1 * 2 + 2 * 3], [4, 5]])

    @pytest.mark.parametrize("type_name", NAMES)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("more", [{"kernel_size": [3], "pad": [1]}, {"kernel_size": [3], "pad": [1], "stride": [2]},
                                      {"kernel_size": [3], "pad": [2], "dilation": [2]},
                                      {"kernel_size": [5, 2], "stride": [1, 3]}])
    def test_is_a_convolution_of_each_channel(self, type_name, dtype, more):
        """It gives what a Convolution of one channel gives for each channel alone, forward and backward."""
        x = normal(2, 5, 9, 37)
        layer = make(type_name, dtype, num_output=10, bias_filler={"type": "gaussian"},
                     weight_filler={"type": "gaussian"}, **self.fields(type_name, 5), **more)
        bottom, top = run_forward(layer, x)
        dy = normal(*top[0].shape, seed=3)
        dx = run_backward(layer, bottom, top, dy)[0]
        w, b = layer.blobs

        assert (10, 1) == w.shape[:2]
        for c in range(5):
            mine = slice(2 * c, 2 * c + 2)
            one = make("Convolution", np.float64, num_output=2, **more)
            blobs = [filled(x[:, c:c + 1])], [Blob((), np.float64)]
            one.SetUp(*blobs)
            one.blobs[0].data[...], one.blobs[1].data[...] = w.data[mine], b.data[mine]
            one.Forward(*blobs)
            tolerance = {"rtol": 0, "atol": 1e-4 if dtype is np.float32 else 1e-12}
            np.testing.assert_allclose(top[0].data[:, mine], blobs[1][0].data, **tolerance)
            np.testing.assert_allclose(dx[:, c:c + 1], run_backward(one, *blobs, dy[:, mine])[0], **tolerance)
            np.testing.assert_allclose(w.diff[mine], one.blobs[0].diff, **tolerance)
            np.testing.assert_allclose(b.diff[mine], one.blobs[1].diff, **tolerance)

    def test_a_group_is_kept_or_not_read(self, caplog):
        """DepthwiseConvolution takes the group that it is given; ConvolutionDepthwise warns that its own is C."""
        kept, forced = [make(name, num_output=6, kernel_size=[3], group=2, weight_filler={"type": "gaussian"})
                        for name in ("DepthwiseConvolution", "ConvolutionDepthwise")]
        run_forward(kept, normal(2, 6, 5, 7))
        assert not caplog.messages
        run_forward(forced, normal(2, 6, 5, 7))

        assert ((6, 3, 3, 3), (6, 1, 3, 3)) == (kept.blobs[0].shape, forced.blobs[0].shape)
        assert "convolution_param.group has no effect: it is always the number of channels, 6" in caplog.text

    def test_without_a_group(self, caplog):
        """A DepthwiseConvolution without a group is an ordinary convolution, and says so."""
        layer = make("DepthwiseConvolution", num_output=6, kernel_size=[3])
        run_forward(layer, normal(2, 6, 5, 7))

        assert (6, 6, 3, 3) == layer.blobs[0].shape
        assert "convolution_param.group is 1, so this is no depthwise convolution" in caplog.text

    def test_errors(self):
        """Channels that cannot be shared out."""
        assert_fails("convolution_param.num_output must be a multiple of the C=6 channels of bottom[0] (2, 6, 5, 7), "
                     "got 4", "ConvolutionDepthwise", (2, 6, 5, 7), num_output=4, kernel_size=[3])
        assert_fails("convolution_param.group must divide the C=6 channels", "DepthwiseConvolution", (2, 6, 5, 7),
                     num_output=6, kernel_size=[3], group=4)


class TestCropCenter:
    def test_by_hand(self):
        """One row and two columns go at both ends; backward, what was cut off gets 0."""
        x = np.arange(15.0).reshape(1, 1, 3, 5)
        layer = make("CropCenter", crop_size=[0, 0, 1, 2])

        np.testing.assert_array_equal(forward(layer, x), [[[[7]]]])
        dx = gradients(layer, [[[[9]]]], x)[0]
        assert (9, 9) == (dx[0, 0, 1, 2], dx.sum())

    def test_is_a_slice(self):
        """It is numpy's slice from c to −c along every axis."""
        x = normal(6, 7, 5, 3)

        np.testing.assert_array_equal(forward(make("CropCenter", crop_size=[2, 0, 1, 1]), x), x[2:-2, :, 1:-1, 1:-1])
        np.testing.assert_array_equal(forward(make("CropCenter", crop_size=[1, 2]), normal(4, 9)),
                                      normal(4, 9)[1:-1, 2:-2])

    def test_errors(self):
        """A number is missing, or nothing would be left."""
        assert_fails("crop_center_param.crop_size must be given once for each of the 4 axes of bottom[0] (2, 3, 7, 5), "
                     "got [2, 2]", "CropCenter", (2, 3, 7, 5), crop_size=[2, 2])
        assert_fails("crop_size must leave something of each axis of bottom[0] (2, 3, 7, 6), got [0, 0, 3, 3]",
                     "CropCenter", (2, 3, 7, 6), crop_size=[0, 0, 3, 3])


PLACES = 5e-6  # the forks compute the places of Interp in float32, where 27 has an error of some 1e-6


def interpolated(x, oh, ow):
    """The formula of the datasheet: every pixel, by its nearness to the place."""
    (H, W), y = x.shape[2:], np.zeros((*x.shape[:2], oh, ow))
    for i, j in np.ndindex(oh, ow):
        u, v = i * (H - 1) / (oh - 1) if oh > 1 else 0, j * (W - 1) / (ow - 1) if ow > 1 else 0
        for h, w in np.ndindex(H, W):
            y[:, :, i, j] += max(0, 1 - abs(u - h)) * max(0, 1 - abs(v - w)) * x[:, :, h, w]
    return y


class TestInterp:
    def test_by_hand(self):
        """Halfway between 0 and 4 is 2, between 0 and 8 is 4; in the middle of all four is 3."""
        x = [[[[0, 4], [8, 0]]]]
        layer = make("Interp", height=3, width=3)

        np.testing.assert_array_equal(forward(layer, x), [[[[0, 2, 4], [4, 3, 2], [8, 4, 0]]]])
        np.testing.assert_array_equal(gradients(layer, [[[[1, 2, 0], [0, 4, 0], [0, 0, 0]]]], x)[0],
                                      [[[[1 + 1 + 1, 1 + 1], [1, 1]]]])

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("sizes", [(4, 11), (13, 2), (1, 5), (17, 33), (7, 5), (3, 1)])
    def test_the_formula(self, sizes, dtype):
        """Larger, smaller, one pixel, and both ways at once."""
        x = normal(2, 3, 7, 5)
        y = forward(make("Interp", dtype, height=sizes[0], width=sizes[1]), x)

        np.testing.assert_allclose(y, interpolated(x, *sizes), rtol=0, atol=PLACES)
        if sizes == (7, 5):
            np.testing.assert_array_equal(y, x.astype(dtype))

    @pytest.mark.parametrize("sizes", [(1, 5), (5, 1), (1, 1)])
    def test_from_one_pixel(self, sizes):
        """A row or column of its own is repeated."""
        x = normal(2, 3, *sizes)

        y = forward(make("Interp", height=4, width=6), x)
        np.testing.assert_allclose(y, interpolated(x, 4, 6), rtol=0, atol=PLACES)

    @pytest.mark.parametrize(("fields", "sizes"), [
        ({"shrink_factor": 3}, (4, 2)), ({"zoom_factor": 3}, (28, 16)),
        ({"shrink_factor": 2, "zoom_factor": 3}, (13, 7)),
        ({"height": 4, "width": 9, "shrink_factor": 2, "zoom_factor": 3}, (4, 9)),
        ({"pad_beg": -1, "pad_end": -2, "zoom_factor": 2}, (13, 5)), ({"zoom_factor": 1}, (10, 6))])
    @pytest.mark.filterwarnings("ignore")
    def test_sizes(self, fields, sizes):
        """(10 − 1) / 3 + 1 = 4 and 10 + 9 · 2 = 28: which fields say the size, and how."""
        x = normal(2, 3, 10, 6)
        part = x[:, :, 1:-2, 1:-2] if "pad_beg" in fields else x
        y = forward(make("Interp", **fields), x)

        assert (2, 3, *sizes) == y.shape
        np.testing.assert_allclose(y, interpolated(part, *sizes), rtol=0, atol=PLACES)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("fields", [{"height": 4, "width": 11}, {"height": 19, "width": 1},
                                        {"zoom_factor": 2, "pad_beg": -2, "pad_end": -1}])
    def test_backward_is_the_transpose(self, fields, dtype):
        """Σ dy · f(x) is Σ f'(dy) · x for every x and dy, since the layer is linear."""
        layer, x = make("Interp", dtype, **fields), normal(2, 3, 8, 7)
        bottom, top = run_forward(layer, x)
        dy = normal(*top[0].shape, seed=2)
        dx = run_backward(layer, bottom, top, dy)[0]

        tolerance = 1e-4 if dtype is np.float32 else 1e-12
        np.testing.assert_allclose((dx * x).sum(), (dy * top[0].data).sum(), rtol=tolerance)
        assert check_layer(make("Interp", **fields), [filled(x)]) < 1e-6

    def test_the_size_of_a_reference(self, caplog):
        """With use_blob_size, the second bottom has the height and the width, and no gradient."""
        x, reference = normal(2, 3, 7, 5), normal(2, 4, 11, 6)
        layer = make("Interp", use_blob_size=True)

        np.testing.assert_allclose(forward(layer, x, reference), interpolated(x, 11, 6), rtol=0, atol=PLACES)
        assert not gradients(layer, np.ones((2, 3, 11, 6)), x, reference)[1].any()
        assert not caplog.messages
        forward(make("Interp", use_blob_size=True, zoom_factor=2), x, reference)
        assert "interp_param.zoom_factor has no effect: use_blob_size is true" in caplog.text

    def test_errors_of_a_reference(self):
        """The field and the second bottom go together."""
        assert_fails("interp_param.use_blob_size must be true with a second bottom, and with that alone, got False",
                     "Interp", (2, 3, 7, 5), (2, 3, 4, 6), zoom_factor=2)
        assert_fails("use_blob_size must be true with a second bottom, and with that alone, got True", "Interp",
                     (2, 3, 7, 5), use_blob_size=True)
        assert_fails("bottom[1], the reference, must have the 4 axes (·, ·, oh, ow), got (2, 3)", "Interp",
                     (2, 3, 7, 5), (2, 3), use_blob_size=True)

    def test_one_factor_wins(self, caplog):
        """Height and width beside one factor are not read, which is said."""
        assert (2, 3, 13, 9) == forward(make("Interp", height=4, width=9, zoom_factor=2), normal(2, 3, 7, 5)).shape
        assert "interp_param.height has no effect: zoom_factor is given" in caplog.text
        assert "interp_param.width has no effect: zoom_factor is given" in caplog.text

    @pytest.mark.parametrize(("words", "fields"), [
        ("height must be given, or zoom_factor or shrink_factor instead of height and width, got 0", {}),
        ("width must be given", {"height": 4}), ("zoom_factor must be at least 1, got 0", {"zoom_factor": 0}),
        ("shrink_factor must be at least 1, got -1", {"shrink_factor": -1}),
        ("height must not be negative, got -4", {"height": -4, "width": 3}),
        ("pad_beg must be 0 or less: rows can be cut off, but not added, got 2", {"zoom_factor": 2, "pad_beg": 2}),
        ("pad_end must leave something of the height and the width of bottom[0] (2, 3, 7, 5), got -5",
         {"zoom_factor": 2, "pad_end": -5}),
        ("mode must be LINEAR: minicaffe has no NEAREST, got 3", {"zoom_factor": 2, "mode": 3})])
    def test_errors(self, words, fields):
        """Fields that say no size, or one that cannot be."""
        assert_fails(f"interp_param.{words}", "Interp", (2, 3, 7, 5), **fields)

    def test_axes(self):
        """There are two spatial axes."""
        assert_fails("bottom[0] must have the 4 axes (N, C, H, W), got (2, 3, 7)", "Interp", (2, 3, 7), zoom_factor=2)


def reorganised(x, s, reverse):
    """darknet's loop, index by index, on the flat numbers of an image."""
    N, C, H, W = x.shape
    t, y = C // (s * s), np.zeros((N, x[0].size))
    flat = x.reshape(N, -1)
    for c, i, j in np.ndindex(C, H, W):
        o = c // t
        wide, deep = ((c % t * H * s) + i * s + o // s) * W * s + j * s + o % s, (c * H + i) * W + j
        if reverse:
            y[:, wide] = flat[:, deep]
        else:
            y[:, deep] = flat[:, wide]
    return y.reshape((N, t, H * s, W * s) if reverse else (N, C * s * s, H // s, W // s))


class TestReorg:
    def test_by_hand(self):
        """The numbers 0 … 15 as 4 × 4 pixels: their blocks of 2 × 2 begin at 0, 2, 8 and 10."""
        y = forward(make("Reorg", stride=2), np.arange(16.0).reshape(1, 4, 2, 2))

        assert (1, 16, 1, 1) == y.shape
        np.testing.assert_array_equal(y.ravel(), [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15])

    @pytest.mark.parametrize(("shape", "s"), [((2, 4, 6, 8), 2), ((3, 18, 6, 9), 3), ((2, 8, 4, 10), 2),
                                              ((1, 2, 3, 5), 1)])
    def test_darknets_loop(self, shape, s):
        """Both directions are darknet's, and the second undoes the first, in the order of the numbers."""
        x = normal(*shape)
        y = forward(make("Reorg", stride=s), x)
        wide = forward(make("Reorg", stride=s, reverse=True), x)

        np.testing.assert_array_equal(y, reorganised(x, s, False))
        np.testing.assert_array_equal(wide, reorganised(x, s, True))
        np.testing.assert_array_equal(forward(make("Reorg", stride=s), wide.reshape(x.shape)).ravel(), x.ravel())

    @pytest.mark.parametrize("reverse", [False, True])
    def test_backward(self, reverse):
        """Each number of dy goes back to where its number of y came from."""
        x = np.arange(2.0 * 8 * 4 * 6).reshape(2, 8, 4, 6)
        layer = make("Reorg", stride=2, reverse=reverse)

        np.testing.assert_array_equal(gradients(layer, forward(layer, x), x)[0], x)

    @pytest.mark.parametrize(("words", "shape", "fields"), [
        ("reorg_param.stride must be set to a positive number, got 0", (2, 4, 6, 8), {}),
        ("reorg_param.stride must divide the height and the width of bottom[0] (2, 4, 6, 5), got 2", (2, 4, 6, 5),
         {"stride": 2}),
        ("reorg_param.stride squared must divide the C=6 channels of bottom[0] (2, 6, 4, 8), got 2", (2, 6, 4, 8),
         {"stride": 2, "reverse": True}),
        ("bottom[0] must have the 4 axes (N, C, H, W), got (2, 4, 6)", (2, 4, 6), {"stride": 2})])
    def test_errors(self, words, shape, fields):
        """A stride that does not divide."""
        assert_fails(words, "Reorg", shape, **fields)


class TestUpsample:
    def test_by_hand(self):
        """5 goes to place 3 of a plane of 2 × 4, and 7 to place 4, the first of the second row."""
        x, m = [[[[5, 7]]]], [[[[3, 4]]]]
        layer = make("Upsample")

        np.testing.assert_array_equal(forward(layer, x, m), [[[[0, 0, 0, 5], [7, 0, 0, 0]]]])
        dx, dm = gradients(layer, [[[[1, 2, 3, 4], [5, 6, 7, 8]]]], x, m)
        np.testing.assert_array_equal(dx, [[[[4, 5]]]])
        np.testing.assert_array_equal(dm, [[[[0, 0]]]])

    def test_the_last_one_counts(self):
        """Where two numbers have one place, the later one stands there, and both get its gradient."""
        x, m = [[[[5, 7, 9]]]], [[[[2, 2, 1]]]]
        layer = make("Upsample", upsample_h=1, upsample_w=4)

        np.testing.assert_array_equal(forward(layer, x, m), [[[[0, 9, 7, 0]]]])
        np.testing.assert_array_equal(gradients(layer, [[[[1, 2, 3, 4]]]], x, m)[0], [[[[3, 3, 2]]]])

    @pytest.mark.parametrize(("shape", "fields"), [((2, 3, 8, 6), {}), ((2, 3, 7, 6), {"pad_out_h": True}),
                                                   ((2, 3, 7, 5), {"upsample_h": 7, "upsample_w": 5})])
    def test_undoes_a_pooling(self, shape, fields):
        """With Pooling's mask each largest number is back in its place; pooled again, the blob is the same."""
        x = 1 + abs(normal(*shape))
        pool = {"pool": 0, "kernel_size": 2, "stride": 2}
        _, (y, m) = run_forward(make("Pooling", **pool), x, tops=2)
        back = forward(make("Upsample", **fields), y.data, m.data)

        assert shape == back.shape
        np.testing.assert_array_equal(back[back != 0], x[back != 0])
        np.testing.assert_array_equal(forward(make("Pooling", **pool), back), y.data)

    @pytest.mark.parametrize(("fields", "scale"), [({}, (1, 1)), ({"scale": 3}, (3, 3)),
                                                   ({"scale_h": 2, "scale_w": 3}, (2, 3))])
    def test_nearest(self, fields, scale):
        """With one bottom, each pixel is repeated, and backward its block is added up."""
        x, dy = normal(2, 5, 4, 3), normal(2, 5, 4 * scale[0], 3 * scale[1])
        layer = make("Upsample", **fields)
        dx = gradients(layer, dy, x)[0]
        y = forward(layer, x)

        for i, j in np.ndindex(y.shape[2:]):
            np.testing.assert_array_equal(y[:, :, i, j], x[:, :, i // scale[0], j // scale[1]])
        for h, w in np.ndindex(x.shape[2:]):
            block = dy[:, :, h * scale[0]:(h + 1) * scale[0], w * scale[1]:(w + 1) * scale[1]]
            np.testing.assert_allclose(dx[:, :, h, w], block.sum(axis=(2, 3)), rtol=1e-12)

    @pytest.mark.parametrize(("words", "shapes", "fields"), [
        ("upsample_param.scale must be positive, got 0", [(2, 3, 4, 5)] * 2, {"scale": 0}),
        ("upsample_param.scale_h needs scale_w beside it, got 2", [(2, 3, 4, 5)] * 2, {"scale_h": 2}),
        ("upsample_param.upsample_w needs upsample_h beside it, got 9", [(2, 3, 4, 5)] * 2, {"upsample_w": 9}),
        ("pad_out_h can be set for a scale of 2 alone, which is 3 here", [(2, 3, 4, 5)] * 2,
         {"scale": 3, "pad_out_h": True}),
        ("upsample_param.upsample_h is read with a second bottom alone, the mask, got 8", [(2, 3, 4, 5)],
         {"upsample_h": 8, "upsample_w": 9}),
        ("bottom[1] (2, 3, 4, 6), the mask, must have the shape of bottom[0] (2, 3, 4, 5)",
         [(2, 3, 4, 5), (2, 3, 4, 6)], {}),
        ("bottom[0] must have the 4 axes (N, C, H, W), got (2, 3, 4)", [(2, 3, 4)], {})])
    def test_errors(self, words, shapes, fields):
        """Fields that do not fit, and bottoms that do not."""
        assert_fails(words, "Upsample", *shapes, **fields)

    @pytest.mark.parametrize("place", [-1, 8, np.nan])
    def test_a_place_that_is_not_there(self, place):
        """A mask of another size of the top is an error, with the cure."""
        message = r"must hold places from 0 to 7 in the planes of the top \(1, 1, 2, 4\)"
        with pytest.raises(LayerError, match=message) as caught:
            forward(make("Upsample"), [[[[5, 7]]]], [[[[3, place]]]])

        assert "set upsample_h and upsample_w to that size" in caught.value.hint
