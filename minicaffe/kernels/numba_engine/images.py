"""Images made ready for a net, in one compiled task: each pixel is read once, and each number of the top written once.

OpenCV holds the channels of a pixel side by side, and a net each channel by itself. Here a row of pixels is first taken
apart into rows of bytes, one for each channel, which stay in the first cache. The arithmetic then runs along these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.definitions import images as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import flags_of, floats_of
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import array_at, byte_pointer, helper, values
from minicaffe.kernels.workspace import borrow


@definitions.crop_and_scale.implementation("numba")
def crop_and_scale(x: Sequence[np.ndarray], tops: np.ndarray, lefts: np.ndarray, mirrored: np.ndarray,
                   mean: np.ndarray | None, scale: float, out: np.ndarray) -> None:
    """In a single piece, so that no thread is woken, which the threads that decode images would have to wait for."""
    if out.dtype != np.float32:
        definitions.crop_and_scale.on("numpy")(x, tops, lefts, mirrored, mean, scale, out)
        return
    N, C, h, w = out.shape
    places = np.empty((7, N), np.int64)
    if isinstance(x, np.ndarray):
        places[0] = _address(x) + x.strides[0] * np.arange(N)
        places[1:4] = np.array(x.strides[1:])[:, None]
    else:
        places[0] = [_address(image) for image in x]
        places[1:4] = np.array([image.strides for image in x], np.int64).reshape(N, 3).T
    places[4], places[5], places[6] = tops, lefts, mirrored
    H, W, means = 1, 1, np.zeros(C, np.float32)
    if mean is not None and mean[0].size > 1:
        (H, W), means = mean.shape[1:], np.ascontiguousarray(mean, np.float32)
    elif mean is not None:
        means[:] = mean.ravel()
    _crop_and_scale(1, places, means, float(out.dtype.type(scale)), out, borrow("rows of channels", (C, w), np.uint8),
                    N, C, h, w, H, W)


def _address(x: np.ndarray) -> int:
    return int(x.__array_interface__["data"][0])


@task
def _crop_and_scale(block, piece):
    """y[n, c, i, j] = (x[n, c, top + i, left + j] − mean) · scale for all images.

    `places` has for each image: its address, how many bytes further the next channel, row and pixel are, the first row
    and column of the crop, and whether it is mirrored. `mean` has a number for each channel, or the size of an image
    (C, H, W). `rows` has room for C rows of bytes.
    """
    places, mean, factor, y, rows, N, C, h, w, H, W = values(block, 11)
    place, scale = words.ints(places, (7, N)), np.float32(words.number(factor))
    for n in range(N):
        of_channel, of_row, of_pixel, mirrored = place[1, n], place[2, n], place[3, n], place[6, n]
        top, left = place[4, n], place[5, n]
        height, width = h, w
        if of_pixel == 1 and of_row == w and not mirrored and (W == w or H * W == 1):
            height, width = 1, h * w  # one long row, which is quicker
        for i in range(height):
            x, step = place[0, n] + (top + i) * of_row + left * of_pixel, of_channel
            if of_pixel != 1:
                _separate(x, of_channel, of_pixel, C, width, rows)
                x, step = rows, width
            for c in range(C):
                to = y + 4 * ((n * C + c) * height + i) * width
                if H * W == 1:
                    _scale(x + c * step, floats_of(mean, c, c + 1)[0], scale, mirrored, to, width)
                else:
                    at = (c * H + top + i) * W + left
                    _subtract_and_scale(x + c * step, mean + 4 * at, scale, mirrored, to, width)


@helper
def _separate(x, of_channel, of_pixel, C, w, rows):
    """Write each channel of a row of w pixels into a row of its own."""
    if C == 3 and of_channel == 1 and of_pixel == 3:  # numbers in the source, so that LLVM uses vector registers
        row = array_at(byte_pointer(x), (w, 3))
        a, b, c = flags_of(rows, 0, w), flags_of(rows, w, 2 * w), flags_of(rows, 2 * w, 3 * w)
        for j in range(w):
            a[j], b[j], c[j] = row[j, 0], row[j, 1], row[j, 2]
        return
    for k in range(C):
        to = flags_of(rows, k * w, (k + 1) * w)
        for j in range(w):
            to[j] = array_at(byte_pointer(x + k * of_channel + j * of_pixel), 1)[0]


@helper
def _scale(x, mean, scale, mirrored, y, w):
    """y = (x − mean) · scale for a row of w bytes, in reverse order where it is mirrored.

    A signed index might be negative and count from the end, so LLVM would use no vector registers for it.
    """
    row, out = flags_of(x, 0, w), floats_of(y, 0, w)
    if mirrored:
        for j in range(w):
            out[j] = (np.float32(row[np.uint64(w - 1 - j)]) - mean) * scale
    else:
        for j in range(w):
            out[j] = (np.float32(row[j]) - mean) * scale


@helper
def _subtract_and_scale(x, mean, scale, mirrored, y, w):
    """Do the same as `_scale` with a mean for each byte."""
    row, means, out = flags_of(x, 0, w), floats_of(mean, 0, w), floats_of(y, 0, w)
    if mirrored:
        for j in range(w):
            out[j] = (np.float32(row[np.uint64(w - 1 - j)]) - means[np.uint64(w - 1 - j)]) * scale
    else:
        for j in range(w):
            out[j] = (np.float32(row[j]) - means[j]) * scale
