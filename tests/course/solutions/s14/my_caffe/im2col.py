"""Images as columns: what the windows of a convolution see, and the way back."""

import numpy as np

from my_caffe.window import output_size


def im2col(x, kernel, stride, pad):
    """Return the pixels under each window of one image x (C, H, W), as a matrix (C · kh · kw, oh · ow).

    Each column is a window, in the order (oy, ox). Each row is a place in the window, in the order (c, iy, ix). Pixels
    beyond the image are 0. `kernel`, `stride` and `pad` are pairs.
    """
    (C, H, W), (ph, pw) = x.shape, pad
    (kh, kw), (sh, sw) = kernel, stride
    oh, ow = places((H, W), kernel, stride, pad)
    wide = np.zeros((C, H + 2 * ph, W + 2 * pw))
    wide[:, ph:ph + H, pw:pw + W] = x
    columns = np.zeros((C, kh, kw, oh, ow))
    for iy, ix in np.ndindex(kh, kw):
        columns[:, iy, ix] = wide[:, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw]
    return columns.reshape(C * kh * kw, oh * ow)


def col2im(columns, shape, kernel, stride, pad):
    """Return an image of this shape (C, H, W): each number of the columns is added to its pixel.

    It is the pixel from which im2col with the same kernel, stride and pad would have copied the number. What belongs to
    the padding is dropped.
    """
    (C, H, W), (ph, pw) = shape, pad
    (kh, kw), (sh, sw) = kernel, stride
    oh, ow = places((H, W), kernel, stride, pad)
    wide = np.zeros((C, H + 2 * ph, W + 2 * pw))
    parts = columns.reshape(C, kh, kw, oh, ow)
    for iy, ix in np.ndindex(kh, kw):
        wide[:, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw] += parts[:, iy, ix]
    return wide[:, ph:ph + H, pw:pw + W]


def places(size, kernel, stride, pad):
    """Return how many places the window has on each axis."""
    return tuple(output_size(*axis) for axis in zip(size, kernel, stride, pad, strict=True))
