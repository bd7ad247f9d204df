"""Correlations in which each filter reads one channel, as in depthwise layers: plane by plane, without padded copies.

Such a filter has few weights, so that a padded copy of the image would take as long as the filter itself. Here each
pixel is read where it lies, and masks leave out what is beyond the border.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import part, pieces
from minicaffe.kernels.numba_engine.registers import MASKS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.vectors import (
    evens,
    load,
    load_whole,
    odds,
    plus_times,
    spread,
    store,
    store_whole,
)
from minicaffe.kernels.numba_engine.words import helper, values

MOST_PLACES = 9  # of larger filters, tiles of many outputs (planes.py) are quicker, although they copy the image


def fits(w: np.ndarray, stride: Sizes, group: int) -> bool:
    """Return whether each filter reads one channel and is small, with a stride that vectors can take."""
    return MASKS and group > 1 and w.shape[1] == 1 and w.shape[2] * w.shape[3] <= MOST_PLACES and stride[1] <= 2


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + w ⋆ x; VECTOR outputs of a row at a time."""
    N, K = out.shape[:2]
    count = pieces(out.size * max(1, w[0].size // 4), N * K)
    _correlate(count, x, w, b, out, N * K, K, K // group, *x.shape[2:], *out.shape[2:], *w.shape[2:], *stride, *pad,
               *dilation, count)


@task
def _correlate(block, piece):
    """y[n, k] = b[k] + w[k] ⋆ x[n, k // m], plane by plane of y."""
    x, w, b, y, planes, K, m, H, W, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw, count = values(block, 20)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        k = plane % K
        source, to = x + 4 * (plane // K * (K // m) + k // m) * H * W, y + 4 * plane * oh * ow
        weights, bias = w + 4 * k * kh * kw, words.floats(b, K)[k]
        if kh == 3 and kw == 3 and sh == 1 and sw == 1 and dh == 1 and dw == 1:
            _plane_3x3(source, weights, bias, to, H, W, oh, ow, ph, pw)
        elif kh == 3 and kw == 3 and sw == 2 and dh == 1 and dw == 1:
            _plane_3x3_by_2(source, weights, bias, to, H, W, oh, ow, sh, ph, pw)
        else:
            _plane(source, weights, bias, to, H, W, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw)


@helper
def _plane_3x3(source, weights, bias, to, H, W, oh, ow, ph, pw):
    """Compute the same as `_plane` for the usual filter, and read every row of x once for the three rows of the filter.
    """
    q = 0
    while q < ow:
        if q >= pw and q - pw + 2 * VECTOR + 2 <= W and q + 2 * VECTOR <= ow:  # nothing is beyond a border
            _columns_inside(source, weights, bias, to, H, W, oh, ow, ph, q, q - pw)
            q += 2 * VECTOR
        else:
            _columns(source, weights, bias, to, H, W, oh, ow, ph, q, q - pw)
            q += VECTOR


@helper
def _columns(source, weights, bias, to, H, W, oh, ow, ph, q, left):
    """VECTOR columns of `_plane_3x3`, from column q on."""
    w, zero, empty = words.floats(weights, 9), spread(np.float32(0)), spread(bias)
    one = two = empty  # the outputs that have got one row of the filter so far, and those that have got two
    for r in range(-2, oh):
        h, three = r + 2 - ph, two
        two, one = one, empty
        if 0 <= h < H:
            row = source + 4 * h * W
            u, v, z = load(row, left, W, zero), load(row, left + 1, W, zero), load(row, left + 2, W, zero)
            one = _added(one, w[0], u, w[1], v, w[2], z)
            two = _added(two, w[3], u, w[4], v, w[5], z)
            three = _added(three, w[6], u, w[7], v, w[8], z)
        if r >= 0:
            store(to + 4 * r * ow, q, ow, three)


@helper
def _columns_inside(source, weights, bias, to, H, W, oh, ow, ph, q, left):
    """Compute 2 · VECTOR columns as `_columns` does, without masks.

    A sum waits for the one before it, so two vectors of sums take little longer than one.
    """
    w, empty = words.floats(weights, 9), spread(bias)
    one = two = one_b = two_b = empty
    for r in range(-2, oh):
        h, three, three_b = r + 2 - ph, two, two_b
        two, one, two_b, one_b = one, empty, one_b, empty
        if 0 <= h < H:
            row = source + 4 * h * W
            u, v, z = load_whole(row, left), load_whole(row, left + 1), load_whole(row, left + 2)
            one = _added(one, w[0], u, w[1], v, w[2], z)
            two = _added(two, w[3], u, w[4], v, w[5], z)
            three = _added(three, w[6], u, w[7], v, w[8], z)
            row += 4 * VECTOR
            u, v, z = load_whole(row, left), load_whole(row, left + 1), load_whole(row, left + 2)
            one_b = _added(one_b, w[0], u, w[1], v, w[2], z)
            two_b = _added(two_b, w[3], u, w[4], v, w[5], z)
            three_b = _added(three_b, w[6], u, w[7], v, w[8], z)
        if r >= 0:
            store_whole(to + 4 * r * ow, q, three)
            store_whole(to + 4 * r * ow, q + VECTOR, three_b)


@helper
def _plane_3x3_by_2(source, weights, bias, to, H, W, oh, ow, sh, ph, pw):
    """Compute the same as `_plane` for the usual filter at every other pixel of a row."""
    w, zero = words.floats(weights, 9), spread(np.float32(0))
    for r in range(oh):
        for q in range(0, ow, VECTOR):
            total, left = spread(bias), 2 * q - pw
            inside = left >= 0 and left + 2 * VECTOR + 2 <= W and q + VECTOR <= ow  # nothing is beyond a border
            for i in range(3):
                h = r * sh - ph + i
                if 0 <= h < H:
                    row = source + 4 * h * W
                    if inside:
                        u, v = load_whole(row, left), load_whole(row, left + VECTOR)
                        z = evens(load_whole(row, left + 2), load_whole(row, left + 2 + VECTOR))
                    else:
                        u, v = load(row, left, W, zero), load(row, left + VECTOR, W, zero)
                        z = _pixels(row, left + 2, W, 2, zero)
                    total = _added(total, w[3 * i], evens(u, v), w[3 * i + 1], odds(u, v), w[3 * i + 2], z)
            if inside:
                store_whole(to + 4 * r * ow, q, total)
            else:
                store(to + 4 * r * ow, q, ow, total)


@helper
def _added(total, a, u, b, v, c, z):
    """Return total + a · u + b · v + c · z."""
    return plus_times(plus_times(plus_times(total, spread(a), u), spread(b), v), spread(c), z)


@helper
def _plane(source, weights, bias, to, H, W, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw):
    """Compute a plane of y from one of x."""
    w, zero = words.floats(weights, kh * kw), spread(np.float32(0))
    for r in range(oh):
        for q in range(0, ow, VECTOR):
            total = spread(bias)
            for i in range(kh):
                h = r * sh - ph + i * dh
                if h < 0 or h >= H:
                    continue
                row, left = source + 4 * h * W, q * sw - pw
                for j in range(kw):
                    total = plus_times(total, spread(w[i * kw + j]), _pixels(row, left + j * dw, W, sw, zero))
            store(to + 4 * r * ow, q, ow, total)


@helper
def _pixels(row, left, W, sw, zero):
    """Pixels left, left + sw, … of a row of W at an address; 0 beyond its ends."""
    if sw == 1:
        return load(row, left, W, zero)
    return evens(load(row, left, W, zero), load(row, left + VECTOR, W, zero))
