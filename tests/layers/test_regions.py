"""ROIPooling, PSROIPooling and ROIAlign: numbers by hand, naive formulas, finite differences, identities."""

import math
import re

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.layers import PoolingLayer, PSROIPoolingLayer, ROIAlignLayer, ROIPoolingLayer
from minicaffe.testing import check_layer


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


def roi_pooling(dtype=np.float64, **fields):
    """A ROIPooling layer with these parameters."""
    return ROIPoolingLayer(dtype=dtype, roi_pooling_param=fields)


def psroi_pooling(dtype=np.float64, **fields):
    """A PSROIPooling layer with these parameters."""
    return PSROIPoolingLayer(dtype=dtype, psroi_pooling_param=fields)


def regions(count, far=300.0, seed=3):
    """Regions of two images: some lie partly or wholly outside, some have their second corner before the first."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.integers(2, size=(count, 1)), draw.uniform(-far / 5, far, (count, 4))], axis=1)


def away(v):
    """The nearest whole number, halves away from 0."""
    return math.floor(v + 0.5) if v >= 0 else math.ceil(v - 0.5)


def naive_max(x, rois, oh, ow, s):
    """What ROIPooling computes, one bin at a time, with numbers of the type of x: (y, the places of the largest)."""
    kind, (_, C, H, W) = x.dtype.type, x.shape
    y, index = np.zeros((len(rois), C, oh, ow), x.dtype), np.full((len(rois), C, oh, ow), -1)
    for r, c, i, j in np.ndindex(*y.shape):
        x1, y1, x2, y2 = (away(v * kind(s)) for v in rois[r, 1:])
        high, wide = kind(max(y2 - y1 + 1, 1)) / kind(oh), kind(max(x2 - x1 + 1, 1)) / kind(ow)
        rows = range(max(y1 + math.floor(kind(i) * high), 0), min(y1 + math.ceil(kind(i + 1) * high), H))
        columns = range(max(x1 + math.floor(kind(j) * wide), 0), min(x1 + math.ceil(kind(j + 1) * wide), W))
        pixels = [(x[int(rois[r, 0]), c, h, w], -(h * W + w)) for h in rows for w in columns]
        if pixels:
            y[r, c, i, j], place = max(pixels)
            index[r, c, i, j] = -place
    return y, index


def naive_votes(x, rois, D, g, s):
    """What PSROIPooling computes, one bin at a time, with numbers of the type of x."""
    kind, (_, _, H, W) = x.dtype.type, x.shape
    y = np.zeros((len(rois), D, g, g), x.dtype)
    for r, d, i, j in np.ndindex(*y.shape):
        (x1, y1), (x2, y2) = ([kind(away(v) + more) * kind(s) for v in pair]
                              for pair, more in ((rois[r, 1:3], 0), (rois[r, 3:], 1)))
        high, wide = (max(length, kind(0.1)) / kind(g) for length in (y2 - y1, x2 - x1))
        rows = range(max(math.floor(y1 + kind(i) * high), 0), min(math.ceil(y1 + kind(i + 1) * high), H))
        columns = range(max(math.floor(x1 + kind(j) * wide), 0), min(math.ceil(x1 + kind(j + 1) * wide), W))
        pixels = [x[int(rois[r, 0]), (d * g + i) * g + j, h, w] for h in rows for w in columns]
        y[r, d, i, j] = np.mean(pixels, dtype=np.float64) if pixels else 0
    return y


class TestROIPooling:
    def test_by_hand(self):
        """The region is rows 1 to 2 and columns 0 to 2. Its three columns make two bins that share the middle one."""
        x = [[[[9, 9, 9], [1, 8, 3], [4, 5, 6]]]]
        layer = roi_pooling(pooled_h=1, pooled_w=2)
        bottom, top = run_forward(layer, x, [[0, 0, 1, 2, 2]])

        np.testing.assert_array_equal(top[0].data, [[[[8, 8]]]])
        dx, droi = run_backward(layer, bottom, top, [[[[10, 1]]]])
        np.testing.assert_array_equal(dx, [[[[0, 0, 0], [0, 11, 0], [0, 0, 0]]]])
        assert not droi.any()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(("oh", "ow", "s"), [(3, 4, 1 / 16), (7, 6, 0.0625), (1, 2, 0.125), (5, 7, 0.1)])
    def test_formula(self, dtype, oh, ow, s):
        """Every bin has the pixels that the formula gives it, in the number type of the blobs."""
        x, rois = normal(2, 3, 17, 19).round(1).astype(dtype), regions(23).astype(dtype)  # rounded, so there are ties
        layer = roi_pooling(dtype, pooled_h=oh, pooled_w=ow, spatial_scale=s)
        bottom, top = run_forward(layer, x, rois)
        y, index = naive_max(x, rois, oh, ow, s)

        np.testing.assert_array_equal(top[0].data, y)
        dy = np.random.default_rng(5).integers(1, 9, y.shape)
        want = np.zeros(x.shape, dtype)
        for r, c, i, j in np.argwhere(index >= 0):
            want[int(rois[r, 0]), c].reshape(-1)[index[r, c, i, j]] += dy[r, c, i, j]
        np.testing.assert_array_equal(run_backward(layer, bottom, top, dy, asked=[True, False])[0], want)

    def test_bins_are_rounded_as_floats(self):
        """In float32, as in Caffe, 13 · (7 / 13) is more than 7: the last bin reads the pixel behind the region."""
        n, k = 7, 13
        x = np.zeros((1, 1, 1, n + 2))
        x[..., n] = 1  # the pixel behind the region
        for dtype, want in ((np.float32, 1), (np.float64, 0)):
            _, top = run_forward(roi_pooling(dtype, pooled_h=1, pooled_w=k), x, [[0, 0, 0, n - 1, 0]])

            assert top[0].data[0, 0, 0, -1] == want

    def test_halves_are_rounded_away_from_zero(self):
        """Corners at ±0.5 and 2.5 go to ±1 and 3; numpy's own rounding would give 0, 0 and 2."""
        x = np.arange(5.0).reshape(1, 1, 1, 5)
        rois = [[0, 1, 0, 1, 0], [0, 5, 0, 5, 0], [0, -1, 0, -1, 0]]
        _, top = run_forward(roi_pooling(pooled_h=1, pooled_w=1, spatial_scale=0.5), x, rois)

        np.testing.assert_array_equal(top[0].data.ravel(), [1, 3, 0])

    def test_nothing_below_is_chosen(self):
        """A bin of NaN gives the lowest float32, and no pixel takes its gradient."""
        layer = roi_pooling(pooled_h=1, pooled_w=1)
        bottom, top = run_forward(layer, np.full((1, 1, 2, 3), np.nan), [[0, 0, 0, 2, 1]])

        assert top[0].data.item() == np.finfo(np.float32).min
        assert not run_backward(layer, bottom, top, 1, asked=[True, False])[0].any()

    def test_image_is_truncated(self):
        """The image 1.9 is image 1, and −0.5 is image 0, as in Caffe."""
        x = np.array([3.0, 7.0]).reshape(2, 1, 1, 1)
        _, top = run_forward(roi_pooling(pooled_h=1, pooled_w=1), x, [[1.9, 0, 0, 0, 0], [-0.5, 0, 0, 0, 0]])

        np.testing.assert_array_equal(top[0].data.ravel(), [7, 3])

    def test_regions_as_parts_of_the_image(self):
        """With spatial_scale −1 the corners are multiplied by W and H."""
        x, rois = normal(2, 3, 6, 8), np.array([[1, 0.25, 0.5, 0.625, 0.75], [0, 0, 0, 1, 1]])
        _, top = run_forward(roi_pooling(pooled_h=2, pooled_w=3, spatial_scale=-1), x, rois)
        _, want = run_forward(roi_pooling(pooled_h=2, pooled_w=3), x, rois * [1, 8, 6, 8, 6])

        np.testing.assert_array_equal(top[0].data, want[0].data)

    def test_pad_ratio(self):
        """A region of 4 × 2 pixels with pad_ratio 0.5 is moved outwards by 2 columns and 1 row on each side."""
        x = normal(1, 2, 9, 11)
        _, top = run_forward(roi_pooling(pooled_h=2, pooled_w=3, pad_ratio=0.5), x, [[0, 4, 5, 7, 6]])
        _, want = run_forward(roi_pooling(pooled_h=2, pooled_w=3), x, [[0, 2, 4, 9, 7]])

        np.testing.assert_array_equal(top[0].data, want[0].data)

    def test_pooled_size(self):
        """pooled_size, once for the height and once for the width, is another way to say pooled_h and pooled_w."""
        _, top = run_forward(roi_pooling(pooled_size=[2, 3]), normal(2, 5, 7, 8), regions(4, 9))

        assert top[0].shape == (4, 5, 2, 3)

    def test_a_whole_image_is_pooled_as_by_pooling(self):
        """Where the bins divide the image evenly, a region that is the image gives what MAX Pooling gives."""
        x = normal(2, 3, 6, 8)
        _, top = run_forward(roi_pooling(pooled_h=3, pooled_w=4), x, [[0, 0, 0, 7, 5], [1, 0, 0, 7, 5]])
        _, want = run_forward(PoolingLayer(dtype=np.float64, pooling_param={"kernel_size": 2, "stride": 2}), x)

        np.testing.assert_array_equal(top[0].data, want[0].data)

    def test_no_regions(self):
        """A batch may have none: the top is empty, and the gradient 0."""
        layer = roi_pooling(pooled_h=2, pooled_w=3)
        bottom, top = run_forward(layer, normal(2, 5, 7, 8), np.zeros((0, 5)))

        assert top[0].shape == (0, 5, 2, 3)
        assert not run_backward(layer, bottom, top, 0, asked=[True, False])[0].any()

    def test_gradients(self):
        """backward is the derivative of forward."""
        layer = roi_pooling(pooled_h=3, pooled_w=2, spatial_scale=0.5)
        rois = regions(5, 16)

        assert check_layer(layer, [filled(normal(2, 3, 7, 8)), filled(rois)]) < 1e-6

    @pytest.mark.parametrize(("message", "fields"), [
        ("roi_pooling_param.pooled_h and pooled_w must be positive, got (0, 3)", {"pooled_w": 3}),
        ("roi_pooling_param.pooled_size must be positive, got (3, 0)", {"pooled_size": [3, 0]}),
        ("roi_pooling_param.pooled_size must be given twice, for height and width, got [3]", {"pooled_size": [3]}),
        ("roi_pooling_param.pooled_size and pooled_h, pooled_w exclude each other",
         {"pooled_size": [3, 2], "pooled_h": 3}),
        ("roi_pooling_param.spatial_scale must be positive, or -1, got 0.0",
         {"pooled_h": 2, "pooled_w": 3, "spatial_scale": 0}),
        ("roi_pooling_param.pad_ratio must not be negative, got -0.5",
         {"pooled_h": 2, "pooled_w": 3, "pad_ratio": -0.5}),
    ])
    def test_errors(self, message, fields):
        """Wrong parameters are errors that show what was given."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(roi_pooling(**fields), normal(2, 3, 7, 8), regions(4))


class TestPSROIPooling:
    def test_by_hand(self):
        """The region is 2 × 2 pixels of a 2 × 4 map, so its bins have one pixel each, of four channels."""
        x = np.arange(32.0).reshape(1, 4, 2, 4)
        layer = psroi_pooling(output_dim=1, group_size=2, spatial_scale=1)
        bottom, top = run_forward(layer, x, [[0, 1, 0, 2, 1]])

        np.testing.assert_array_equal(top[0].data, [[[[1, 8 + 2], [16 + 5, 24 + 6]]]])
        dx, _ = run_backward(layer, bottom, top, [[[[1, 2], [3, 4]]]])
        want = np.zeros(x.shape)
        want[0, [0, 1, 2, 3], [0, 0, 1, 1], [1, 2, 1, 2]] = [1, 2, 3, 4]
        np.testing.assert_array_equal(dx, want)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(("D", "g", "s"), [(2, 3, 1 / 16), (3, 2, 0.125), (1, 7, 0.0625), (5, 1, 0.1)])
    def test_formula(self, dtype, D, g, s):
        """Every bin is the mean of the pixels that the formula gives it, in the channel of the bin."""
        x, rois = normal(2, D * g * g, 17, 19).astype(dtype), regions(23).astype(dtype)
        layer = psroi_pooling(dtype, output_dim=D, group_size=g, spatial_scale=s)
        bottom, top = run_forward(layer, x, rois)
        y = naive_votes(x, rois, D, g, s)

        np.testing.assert_allclose(top[0].data, y, rtol=0, atol=1e-6)
        dy = normal(*y.shape, seed=8).astype(dtype)
        dx = run_backward(layer, bottom, top, dy, asked=[True, False])[0]
        # y is linear in x, so dx · x is dy · y
        np.testing.assert_allclose((dx * x).sum(dtype=float), (dy * y).sum(dtype=float), rtol=1e-4)

    def test_halves_are_rounded_away_from_zero(self):
        """A region from 0.5 to 2.5 begins at pixel 1, and its last pixel is 3; numpy's own rounding gives 0 to 2."""
        x = np.arange(5.0).reshape(1, 1, 1, 5)
        _, top = run_forward(psroi_pooling(output_dim=1, group_size=1, spatial_scale=1), x, [[0, 0.5, 0, 2.5, 0]])

        assert top[0].data.item() == 2

    def test_a_region_without_size(self):
        """Where the corners are the wrong way round, the region is 0.1 pixel wide and high, so it is one pixel."""
        x = np.arange(20.0).reshape(1, 1, 4, 5)
        _, top = run_forward(psroi_pooling(output_dim=1, group_size=1, spatial_scale=1), x, [[0, 3, 2, 0, 0]])

        assert top[0].data.item() == 13

    def test_a_whole_image_is_averaged_as_by_pooling(self):
        """With one bin, a region that is the image gives what global AVE Pooling gives."""
        x = normal(2, 3, 6, 8)
        _, top = run_forward(psroi_pooling(output_dim=3, group_size=1, spatial_scale=0.5), x,
                             [[0, 0, 0, 15, 11], [1, 0, 0, 15, 11]])
        _, want = run_forward(PoolingLayer(dtype=np.float64, pooling_param={"pool": "AVE", "global_pooling": True}), x)

        np.testing.assert_allclose(top[0].data, want[0].data, rtol=1e-12)

    def test_gradients(self):
        """backward is the derivative of forward."""
        layer = psroi_pooling(output_dim=2, group_size=3, spatial_scale=0.5)

        assert check_layer(layer, [filled(normal(2, 18, 7, 8)), filled(regions(5, 16))]) < 1e-6

    @pytest.mark.parametrize(("message", "fields"), [
        ("bottom[0] (2, 3, 7, 8) must have output_dim · group_size² = 8 channels, has 3",
         {"output_dim": 2, "group_size": 2, "spatial_scale": 1}),
        ("psroi_pooling_param.output_dim must be positive, got 0",
         {"output_dim": 0, "group_size": 2, "spatial_scale": 1}),
        ("psroi_pooling_param.group_size must be positive, got -1",
         {"output_dim": 2, "group_size": -1, "spatial_scale": 1}),
        ("psroi_pooling_param.spatial_scale must be positive, got -1.0",
         {"output_dim": 2, "group_size": 2, "spatial_scale": -1}),
    ])
    def test_errors(self, message, fields):
        """Wrong parameters, and channels that do not fit them, are errors that show what was given."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(psroi_pooling(**fields), normal(2, 3, 7, 8), regions(4))


def roi_align(dtype=np.float64, **fields):
    """A ROIAlign layer with these parameters."""
    return ROIAlignLayer(dtype=dtype, roi_pooling_param=fields)


def value_at(plane, h, w):
    """The value of a plane between its pixels; 0 more than half a pixel outside."""
    H, W = plane.shape
    if not (-0.5 <= h <= H - 0.5 and -0.5 <= w <= W - 0.5):
        return 0.0
    h, w = min(max(h, 0), H - 1), min(max(w, 0), W - 1)
    return sum(plane[i, j] * max(0, 1 - abs(h - i)) * max(0, 1 - abs(w - j)) for i in range(H) for j in range(W))


class TestROIAlign:
    def test_by_hand(self):
        """Columns 0.5 and 2, rows 0 and 0.5: 1.5 is between 1 and 2, 3 is a pixel, 5 is between 3 and 7."""
        layer = roi_align(pooled_h=1, pooled_w=1)
        bottom, top = run_forward(layer, [[[[1, 2, 3], [5, 6, 7]]]], [[0, 1, 0.5, 2.5, 1]])

        np.testing.assert_array_equal(top[0].data, [[[[1.5, 3], [3.5, 5]]]])
        dx, droi = run_backward(layer, bottom, top, [[[[1, 10], [100, 1000]]]])
        np.testing.assert_array_equal(dx, [[[[25.5, 25.5, 510], [25, 25, 500]]]])
        assert not droi.any()

    @pytest.mark.parametrize(("oh", "ow", "s", "ratio"), [(3, 4, 1 / 16, 0), (7, 6, 0.05, 0.25), (1, 2, 0.02, 0)])
    def test_formula(self, oh, ow, s, ratio):
        """Each point has the value of x at its place, found by the weights of all pixels; no size, no values."""
        x, rois = normal(2, 3, 7, 9), regions(17)
        _, top = run_forward(roi_align(pooled_h=oh, pooled_w=ow, spatial_scale=s, pad_ratio=ratio), x, rois)
        s, ratio, want = float(np.float32(s)), float(np.float32(ratio)), np.zeros(top[0].shape)
        for r, (n, x1, y1, x2, y2) in enumerate(rois):
            px, py = (x2 - x1 + 1) * ratio, (y2 - y1 + 1) * ratio
            x1, y1, x2, y2 = ((v * s) - 0.5 for v in (x1 - px, y1 - py, x2 + px, y2 + py))
            for c, i, j in np.ndindex(*want.shape[1:]) if x2 > x1 and y2 > y1 else ():
                want[r, c, i, j] = value_at(x[int(n), c], y1 + i * (y2 - y1) / oh, x1 + j * (x2 - x1) / ow)

        assert (want == 0).any()
        assert (want != 0).any()
        np.testing.assert_allclose(top[0].data, want, rtol=1e-9, atol=1e-12)

    def test_a_slope_is_read_as_it_is(self):
        """On x = 3 · h + w, interpolation is exact: y is that formula at the points."""
        x = (3 * np.arange(8.0)[:, None] + np.arange(9))[None, None]
        _, top = run_forward(roi_align(pooled_h=3, pooled_w=4), x, [[0, 1.2, 0.9, 7.2, 6.9]])
        h, w = 0.4 + np.arange(4) * 2, 0.7 + np.arange(5) * 1.5

        np.testing.assert_allclose(top[0].data[0, 0], 3 * h[:, None] + w, rtol=1e-12)

    def test_gradients(self):
        """backward is the derivative of forward."""
        layer = roi_align(pooled_h=3, pooled_w=2, spatial_scale=0.5, pad_ratio=0.25)

        assert check_layer(layer, [filled(normal(2, 3, 7, 8)), filled(regions(5, 16))]) < 1e-6

    @pytest.mark.parametrize(("message", "fields"), [
        ("roi_pooling_param.pooled_w must be positive, got 0", {"pooled_h": 3}),
        ("roi_pooling_param.spatial_scale must be positive, got -1.0",
         {"pooled_h": 2, "pooled_w": 3, "spatial_scale": -1}),
        ("roi_pooling_param.pad_ratio must not be negative, got -0.5",
         {"pooled_h": 2, "pooled_w": 3, "pad_ratio": -0.5}),
    ])
    def test_errors(self, message, fields):
        """Wrong parameters are errors that show what was given."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(roi_align(**fields), normal(2, 3, 7, 8), regions(4))


@pytest.mark.parametrize("layer", [roi_pooling(pooled_h=2, pooled_w=3), roi_align(pooled_h=2, pooled_w=3),
                                   psroi_pooling(output_dim=3, group_size=1, spatial_scale=1)], ids=lambda v: v.type)
@pytest.mark.parametrize(("message", "x", "rois"), [
    ("bottom[0] must have the 4 axes (N, C, H, W), got (3, 7, 8)", (3, 7, 8), [[0, 0, 0, 2, 2]]),
    ("bottom[1] must be (R, 5), with image, x1, y1, x2, y2 for each of R regions, got (2, 4)", (2, 3, 7, 8),
     [[0, 0, 2, 2], [0, 0, 1, 1]]),
    ("region 1 of bottom[1] (2, 5) must have an image from 0 to 1, and corners that are numbers, "
     "got [2.0, 0.0, 0.0, 1.0, 1.0]", (2, 3, 7, 8), [[0, 0, 0, 2, 2], [2, 0, 0, 1, 1]]),
    ("region 0 of bottom[1] (1, 5) must have an image from 0 to 1", (2, 3, 7, 8), [[-1, 0, 0, 2, 2]]),
    ("got [0.0, 0.0, nan, 2.0, 2.0]", (2, 3, 7, 8), [[0, 0, np.nan, 2, 2]]),
])
def test_errors_of_blobs(layer, message, x, rois):
    """Blobs of other shapes, and regions that are in no image or nowhere, are errors that show the first of them."""
    with pytest.raises(LayerError, match=re.escape(message)):
        run_forward(layer, normal(*x), rois)


@pytest.mark.parametrize("far", [1e10, 3e38, np.inf])
def test_corners_of_an_untrained_net(far):
    """Corners that no int32 holds are as good as the farthest that it holds, and no error."""
    x, layer = normal(2, 3, 7, 8), roi_pooling(pooled_h=2, pooled_w=3)
    _, top = run_forward(layer, x, [[0, -far, 2, far, 5], [1, far, 0, far, 2]])
    _, want = run_forward(layer, x, [[0, -1e9, 2, 1e9, 5], [1, 1e9, 0, 1e9, 2]])

    np.testing.assert_array_equal(top[0].data, want[0].data)
    assert not top[0].data[1].any()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1, 1)])
def test_regions_may_have_more_axes(shape):
    """Caffe's blobs often have four axes, so (R, 5, 1, 1) is read as (R, 5)."""
    rois = regions(4, 9)
    _, top = run_forward(roi_pooling(pooled_h=2, pooled_w=3), normal(2, 5, 7, 8), rois.reshape(shape))
    _, want = run_forward(roi_pooling(pooled_h=2, pooled_w=3), normal(2, 5, 7, 8), rois)

    np.testing.assert_array_equal(top[0].data, want[0].data)
