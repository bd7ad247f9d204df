"""Pooling with VECTOR neighbouring windows at a time, one in each element of a vector; threads share the planes.

A window is only a few pixels wide, so a loop over one window could not use vectors. Where windows are too far apart, or
too few lie in a row, they are computed one by one: the tasks whose names end in `_one_by_one`.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import pooling as definitions
from minicaffe.kernels.definitions.pooling import LOWEST, Pair
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import floats_of, indices_of, part, pieces, sum_of
from minicaffe.kernels.numba_engine.registers import MASKS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.vectors import (
    as_floats,
    evens,
    if_greater,
    lesser,
    load,
    over,
    plus,
    ramp,
    spread,
    store,
    times,
    zipped,
    zipped_rest,
)
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

LEAST = np.float32(LOWEST)  # a float32, so that compiled code compares numbers of one type
OUTPUT_COST = 4  # to compute an output takes as long as to copy so many numbers


@definitions.max_pool.implementation("numba", recordable=True)
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray, index: np.ndarray | None) -> None:
    """VECTOR windows at a time; the index of the maximum is found in the same pass."""
    planes, sizes = x.shape[0] * x.shape[1], (*x.shape[2:], *y.shape[2:])
    count = pieces(x.size + OUTPUT_COST * y.size, planes)
    run = _max_pool if _by_vectors(y, stride) else _max_pool_one_by_one
    run(count, x, y, index, planes, *sizes, *kernel, *stride, *pad, count)


@definitions.max_pool_grad.implementation("numba", recordable=True)
def max_pool_grad(dy: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """Plane by plane: a plane stays in cache from its clearing to the last addition."""
    planes = dy.shape[0] * dy.shape[1]
    count = pieces(dx.size + OUTPUT_COST * dy.size, planes)
    _max_pool_grad(count, dy, index, dx, planes, dy.shape[2] * dy.shape[3], dx.shape[2] * dx.shape[3], count)


@definitions.ave_pool.implementation("numba", recordable=True)
def ave_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> None:
    """VECTOR windows at a time; one window as large as the image is a plain sum."""
    planes, sizes = x.shape[0] * x.shape[1], (*x.shape[2:], *y.shape[2:])
    count = pieces(x.size + OUTPUT_COST * y.size, planes)
    if _global(x, kernel, pad, y):
        _means(count, x, y, planes, sizes[0] * sizes[1], count)
        return
    run = _ave_pool if _by_vectors(y, stride) else _ave_pool_one_by_one
    run(count, x, y, planes, *sizes, *kernel, *stride, *pad, count)


@definitions.ave_pool_grad.implementation("numba", recordable=True)
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """VECTOR pixels at a time: what windows give to the pixels of a row is added up once for all rows of a window."""
    planes, sizes = dy.shape[0] * dy.shape[1], (*dx.shape[2:], *dy.shape[2:])
    count = pieces(dx.size + OUTPUT_COST * dy.size, planes)
    if _global(dx, kernel, pad, dy):
        _spread_means(count, dy, dx, planes, sizes[0] * sizes[1], count)
        return
    shares = borrow("shares", (count, dy.shape[2] * dy.shape[3]), dx.dtype)
    run = _ave_pool_grad if _by_vectors(dy, stride) else _ave_pool_grad_one_by_one
    run(count, dy, dx, shares, planes, *sizes, *kernel, *stride, *pad, count)


def _by_vectors(y: np.ndarray, stride: Pair) -> bool:
    """Return whether windows lie close enough together, and enough of them in a row, to be computed by vectors.

    `_pixels` can read every pixel or every other one, so that neighbouring windows may be at most 2 pixels apart.
    """
    return MASKS and stride[1] <= 2 and y.shape[3] > 2


def _global(x: np.ndarray, kernel: Pair, pad: Pair, y: np.ndarray) -> bool:
    """Return whether there is one window, the image."""
    return (*x.shape[2:], *y.shape[2:], *pad) == (*kernel, 1, 1, 0, 0)


# --- compiled tasks ------------------------------------------------------------------------------------------------

@helper
def _pixels(row, left, W, sw, other):
    """Pixels left, left + sw, … of a row of W at an address; `other` beyond its ends."""
    if sw == 1:
        return load(row, left, W, other)
    return evens(load(row, left, W, other), load(row, left + VECTOR, W, other))


@task
def _max_pool(block, piece):
    """y = the largest pixel of each window and index = its place in its plane; VECTOR windows at a time."""
    x, y, index, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 15)
    first, end = part(planes, piece, count)
    lowest = spread(LEAST)
    for row in range(first * oh, end * oh):
        plane, r = row // oh, row % oh
        source = x + 4 * plane * H * W
        for q in range(0, ow, VECTOR):
            best, chosen = lowest, spread(np.int32(-1))
            # Rows beyond the image are left out. Pixels beyond the ends of a row are read as the lowest number, because
            # other windows of the vector may have pixels there.
            for h in range(max(0, r * sh - ph), min(H, r * sh - ph + kh)):
                for j in range(kw):
                    left = q * sw - pw + j
                    v = _pixels(source + 4 * h * W, left, W, sw, lowest)
                    chosen = if_greater(v, best, ramp(np.int32(h * W + left), np.int32(sw)), chosen)
                    best = if_greater(v, best, v, best)
            store(y + 4 * row * ow, q, ow, best)
            if index:
                store(index + 4 * row * ow, q, ow, chosen)


@task
def _max_pool_one_by_one(block, piece):
    """Compute the same as `_max_pool`, one window at a time."""
    x, y, index, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 15)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        pixels = floats_of(x, plane * H * W, (plane + 1) * H * W)
        for o in range(oh * ow):
            r, q = o // ow, o % ow
            best, chosen = LEAST, np.int32(-1)
            for h in range(max(0, r * sh - ph), min(H, r * sh - ph + kh)):
                for w in range(max(0, q * sw - pw), min(W, q * sw - pw + kw)):
                    if pixels[h * W + w] > best:
                        best, chosen = pixels[h * W + w], np.int32(h * W + w)
            words.floats(y, planes * oh * ow)[plane * oh * ow + o] = best
            if index:
                indices_of(index, 0, planes * oh * ow)[plane * oh * ow + o] = chosen


@task
def _max_pool_grad(block, piece):
    """dx[index] += dy, plane by plane; where index is −1, no pixel was chosen."""
    dy_at, index_at, dx_at, planes, outputs, inputs, count = values(block, 7)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        dx = floats_of(dx_at, plane * inputs, (plane + 1) * inputs)
        dy = floats_of(dy_at, plane * outputs, (plane + 1) * outputs)
        index = indices_of(index_at, plane * outputs, (plane + 1) * outputs)
        dx[:] = 0  # a plane at a time, which is in cache when it is added to
        for o in range(outputs):
            if index[o] >= 0:
                dx[np.uintp(index[o])] += dy[o]


@task
def _ave_pool(block, piece):
    """y = the mean of each window's pixels, of which the padding has some; VECTOR windows at a time."""
    x, y, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 14)
    first, end = part(planes, piece, count)
    zero = spread(np.float32(0))
    for row in range(first * oh, end * oh):
        plane, r = row // oh, row % oh
        top, bottom = r * sh - ph, min(r * sh - ph + kh, H + ph)
        source = x + 4 * plane * H * W
        for q in range(0, ow, VECTOR):
            total, left = zero, q * sw - pw
            for h in range(max(0, top), min(H, bottom)):
                for j in range(kw):
                    total = plus(total, _pixels(source + 4 * h * W, left + j, W, sw, zero))
            size = _sizes(bottom - top, left, sw, kw, W + pw)
            store(y + 4 * row * ow, q, ow, over(total, size))


@helper
def _sizes(height, left, sw, kw, end):
    """height · min(kw, end − left) of windows that begin at left, left + sw, …"""
    width = plus(lesser(ramp(np.int32(left + kw), np.int32(sw)), spread(np.int32(end))),
                 ramp(np.int32(-left), np.int32(-sw)))
    return times(as_floats(width), spread(np.float32(height)))


@task
def _ave_pool_one_by_one(block, piece):
    """Compute the same as `_ave_pool`, one window at a time."""
    x, y, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 14)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        pixels = floats_of(x, plane * H * W, (plane + 1) * H * W)
        for o in range(oh * ow):
            top, left = o // ow * sh - ph, o % ow * sw - pw
            bottom, right = min(top + kh, H + ph), min(left + kw, W + pw)
            total = np.float32(0)
            for h in range(max(0, top), min(H, bottom)):
                for w in range(max(0, left), min(W, right)):
                    total += pixels[h * W + w]
            words.floats(y, planes * oh * ow)[plane * oh * ow + o] = (
                total / np.float32((bottom - top) * (right - left)))


@task
def _means(block, piece):
    """y[plane] = the mean of its pixels."""
    x, means, planes, size, count = values(block, 5)
    first, end = part(planes, piece, count)
    y = words.floats(means, planes)
    for plane in range(first, end):
        y[plane] = sum_of(floats_of(x, plane * size, (plane + 1) * size)) / np.float32(size)


@task
def _spread_means(block, piece):
    """dx = dy[plane] / size, all over the plane."""
    slopes, dx, planes, size, count = values(block, 5)
    first, end = part(planes, piece, count)
    dy = words.floats(slopes, planes)
    for plane in range(first, end):
        floats_of(dx, plane * size, (plane + 1) * size)[:] = dy[plane] / np.float32(size)


@task
def _ave_pool_grad(block, piece):
    """dx = the sum of the shares, dy / size, of the windows that read a pixel; VECTOR pixels at a time."""
    dy_at, dx_at, shares_at, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 15)
    first, end = part(planes, piece, count)
    shares = shares_at + 4 * piece * oh * ow
    for plane in range(first, end):
        dx = dx_at + 4 * plane * H * W
        floats_of(dx, 0, H * W)[:] = 0
        for r in range(oh):
            height, row = min(r * sh - ph + kh, H + ph) - (r * sh - ph), 4 * r * ow
            for q in range(0, ow, VECTOR):
                dy = load(dy_at + 4 * plane * oh * ow + row, q, ow, spread(np.float32(0)))
                store(shares + row, q, ow, over(dy, _sizes(height, q * sw - pw, sw, kw, W + pw)))
        for r in range(oh):
            top, bottom, row = max(0, r * sh - ph), min(H, r * sh - ph + kh), shares + 4 * r * ow
            if sw == 1:
                for w in range(0, W, VECTOR):
                    received = _received(row, w + pw, ow, 0, kw, 1)
                    for h in range(top, bottom):
                        _add(dx + 4 * h * W, w, W, received)
            else:
                for m in range(0, (W + 1) // 2, VECTOR):  # pixels 2m, 2m + 2, … and their right neighbours
                    left = _received(row, m + pw // 2, ow, pw % 2, kw, 2)
                    right = _received(row, m + (pw + 1) // 2, ow, (pw + 1) % 2, kw, 2)
                    for h in range(top, bottom):
                        _add(dx + 4 * h * W, 2 * m, W, zipped(left, right))
                        _add(dx + 4 * h * W, 2 * m + VECTOR, W, zipped_rest(left, right))


@helper
def _received(shares, q, ow, tap, kw, sw):
    """The sums of the shares of windows q, q − 1, … whose taps `tap`, tap + sw, … lie on a pixel, for VECTOR pixels."""
    total = spread(np.float32(0))
    for j in range(tap, kw, sw):
        total = plus(total, load(shares, q - j // sw, ow, spread(np.float32(0))))
    return total


@helper
def _add(row, at, W, more):
    """Add to the pixels from `at` on of a row of W."""
    store(row, at, W, plus(load(row, at, W, more), more))


@task
def _ave_pool_grad_one_by_one(block, piece):
    """Compute the same as `_ave_pool_grad`, one window at a time."""
    dy_at, dx_at, _, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 15)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        dx = floats_of(dx_at, plane * H * W, (plane + 1) * H * W)
        dy = floats_of(dy_at, plane * oh * ow, (plane + 1) * oh * ow)
        dx[:] = 0
        for o in range(oh * ow):
            top, left = o // ow * sh - ph, o % ow * sw - pw
            bottom, right = min(top + kh, H + ph), min(left + kw, W + pw)
            share = dy[o] / np.float32((bottom - top) * (right - left))
            for h in range(max(0, top), min(H, bottom)):
                for w in range(max(0, left), min(W, right)):
                    dx[h * W + w] += share
