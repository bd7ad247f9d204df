"""What ROIPooling, PSROIPooling and ROIAlign share: how regions are read, and where the bins of their grids lie."""

import numpy as np

from minicaffe.layer import Layer

FAR = 1e9  # corners are computed with as int32, and no map is that large


class RegionLayer(Layer):
    """A layer that reads a feature map x (N, C, H, W) and regions of it, roi (R, 5) = image, x1, y1, x2, y2.

    The corners are in pixels of the net's image, and spatial_scale turns them into places of x. No gradient goes to
    the regions.
    """

    bottoms = 2

    def check_limits(self, *fields):
        """Raise a LayerError for a field that is so large that places of x would become infinite or NaN."""
        for field in fields:
            self.check(getattr(self.param, field) <= FAR, field, f"must be at most {FAR:g}")

    def check_regions(self, bottom):
        """Raise a LayerError unless x has four axes and roi has rows of five numbers; return R, the number of rows."""
        x, roi = bottom[0].shape, bottom[1].shape
        if len(x) != 4:
            self.fail(f"bottom[0] must have the 4 axes (N, C, H, W), got {x}")
        if len(roi) < 2 or bottom[1].count != roi[0] * 5:
            self.fail(f"bottom[1] must be (R, 5), with image, x1, y1, x2, y2 for each of R regions, got {roi}")
        return roi[0]

    def read_regions(self, bottom):
        """Return (image, corners): the image of each region (R,) int32, and (R, 2, 2) as [[y1, x1], [y2, x2]].

        Corners beyond ±1e9, as untrained nets give them, are moved there. Raise a LayerError for a region in an image
        that is not there, or with a corner that is NaN.
        """
        roi, N = bottom[1].data.reshape(-1, 5), bottom[0].shape[0]
        # Caffe: the number of the image is truncated. The negation, because NaN fails every comparison and must be bad
        bad = ~((roi[:, 0] > -1) & (roi[:, 0] < N) & ~np.isnan(roi[:, 1:]).any(axis=1))
        if bad.any():
            r = int(bad.argmax())
            self.fail(f"region {r} of bottom[1] {bottom[1].shape} must have an image from 0 to {N - 1}, and corners "
                      f"that are numbers, got {[float(v) for v in roi[r]]}",
                      hint="the first number of a region is its image, and the other four are x1, y1, x2, y2")
        return roi[:, 0].astype(np.int32), roi[:, [2, 1, 4, 3]].reshape(-1, 2, 2).clip(-FAR, FAR)

    def allow_force_backward(self, bottom_index):
        return bottom_index == 0

    def gradient_to(self, j):
        return j == 0

    def numbers_for(self, j, bottom, draw):
        if j == 0:
            return None
        (N, _, H, W), R = bottom[0].shape, bottom[1].shape[0]
        a, b = draw.uniform(0, 1, (2, R, 2)) * ((W, H) / np.array(self.param.spatial_scale))
        image = draw.integers(N, size=(R, 1))
        return np.concatenate([image, np.minimum(a, b), np.maximum(a, b)], axis=1).reshape(bottom[1].shape)


def rounded(v):
    """Return v rounded to whole numbers, and halves away from 0, as C does: numpy rounds them to the even number."""
    whole = np.trunc(v)
    return whole + np.sign(v) * (np.abs(v - whole) >= 0.5)


def edges(size, count):
    """Return where the bins of each region begin and end along one axis, counted from the region's first place.

    size    the length of one bin of each region, (R,)
    The result is (R, count + 1), in the number type of `size`, which must be that of the blobs: Caffe computes so, and
    with another precision some bins would begin or end at another pixel.
    """
    return np.arange(count + 1).astype(size.dtype) * size[:, None]


def whole_bins(begins, ends, limit):
    """Return the bins as the kernels take them, (R, count, 2), cut to the `limit` pixels of x on this axis."""
    return np.stack([begins, ends], axis=2).clip(0, limit).astype(np.int32)
