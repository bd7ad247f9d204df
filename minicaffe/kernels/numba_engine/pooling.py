"""Pooling with VECTOR neighbouring pixels or windows at a time, one in each element of a vector.

A window is only a few pixels wide, so a loop over one window could not use vectors. So all windows of a row are
computed together, in two steps. The first step combines the rows that these windows cover, column by column, into one
line. The second step combines in that line the columns of each window, since neighbouring windows share columns. The
line has room on both sides for the padding, so that vectors are loaded without a mask. Where windows are too far apart,
or too few lie in a row, tasks whose names end in `_one_by_one` compute them one by one. Threads share the planes.
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
    load_indices,
    load_whole,
    over,
    plus,
    plus_times,
    ramp,
    spread,
    store,
    store_whole,
    times,
    zipped,
    zipped_rest,
)
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

LEAST = np.float32(LOWEST)  # a float32, so that compiled code compares numbers of one type
OUTPUT_COST = 4       # to compute an output takes as long as to copy so many numbers
PIECE_WORK = 3 << 10  # the same numbers that are worth a piece of their own
LINES = 2048          # numbers of the lines that are filled at a time: they stay in the first cache


@definitions.max_pool.implementation("numba", recordable=True)
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray, index: np.ndarray | None) -> None:
    """VECTOR windows at a time; the index of the maximum is found in the same pass."""
    planes, sizes = x.shape[0] * x.shape[1], (*x.shape[2:], *y.shape[2:])
    count = pieces(x.size + OUTPUT_COST * y.size, planes, PIECE_WORK)
    if _by_vectors(y, stride):
        rows, length = _lines(x, kernel, stride, pad, y)
        lines = borrow("lines of windows", (count, 2, rows, length), x.dtype)
        _max_pool(count, x, y, index, lines, planes, *sizes, *kernel, *stride, *pad, rows, length, count)
    else:
        _max_pool_one_by_one(count, x, y, index, planes, *sizes, *kernel, *stride, *pad, count)


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
    count = pieces(x.size + OUTPUT_COST * y.size, planes, PIECE_WORK)
    if _global(x, kernel, pad, y):
        _means(count, x, y, planes, sizes[0] * sizes[1], count)
        return
    if _by_vectors(y, stride):
        rows, length = _lines(x, kernel, stride, pad, y)
        lines = borrow("lines of windows", (count, rows, length), x.dtype)
        _ave_pool(count, x, y, lines, planes, *sizes, *kernel, *stride, *pad, rows, length, count)
    else:
        _ave_pool_one_by_one(count, x, y, planes, *sizes, *kernel, *stride, *pad, count)


@definitions.ave_pool_grad.implementation("numba", recordable=True)
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """VECTOR pixels at a time: the rows of windows that cover a row of pixels are added up before their columns are."""
    planes, sizes = dy.shape[0] * dy.shape[1], (*dx.shape[2:], *dy.shape[2:])
    count = pieces(dx.size + OUTPUT_COST * dy.size, planes)
    if _global(dx, kernel, pad, dy):
        _spread_means(count, dy, dx, planes, sizes[0] * sizes[1], count)
        return
    if _by_vectors(dy, stride):
        length = 2 * kernel[1] + dx.shape[3] + dy.shape[3] + 2 * VECTOR
        rows = max(1, min(dx.shape[2], LINES // length))
        lines = borrow("lines of windows", (count, (1 + rows) * length + dy.shape[2]), dx.dtype)
        _ave_pool_grad(count, dy, dx, lines, planes, *sizes, *kernel, *stride, *pad, rows, length, count)
    else:
        _ave_pool_grad_one_by_one(count, dy, dx, planes, *sizes, *kernel, *stride, *pad, count)


def _by_vectors(y: np.ndarray, stride: Pair) -> bool:
    """Return whether windows lie close enough together, and enough of them in a row, to be computed by vectors.

    `_every` can read every number of a line or every other one, so that neighbouring windows may be at most 2 pixels
    apart.
    """
    return MASKS and stride[1] <= 2 and y.shape[3] > 2


def _lines(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> tuple[int, int]:
    """Return how many lines are filled at a time, and the numbers of each.

    A line holds a row of x with its padding, and whole vectors can be read from it for all windows of a row.
    """
    read = -(-y.shape[3] // VECTOR) * VECTOR * stride[1] + kernel[1]
    length = max(read, pad[1] + max(x.shape[3], VECTOR))
    return max(1, min(y.shape[2], LINES // length)), length


def _global(x: np.ndarray, kernel: Pair, pad: Pair, y: np.ndarray) -> bool:
    """Return whether there is one window, the image."""
    return (*x.shape[2:], *y.shape[2:], *pad) == (*kernel, 1, 1, 0, 0)


# --- compiled tasks ------------------------------------------------------------------------------------------------

@helper
def _column(v, W):
    """Where a vector of a row begins: at v, or earlier, so that the row does not end before it does."""
    return max(0, min(v, W - VECTOR))


@helper
def _pixels(row, v, W, other):
    """Pixels v, v + 1, … of a row of W at an address, where v is a `_column`; `other` behind its end."""
    return load_whole(row, v) if W >= VECTOR else load(row, v, W, other)


@helper
def _every(line, at, step):
    """Numbers at, at + step, … of a line; the step is 1 or 2."""
    return load_whole(line, at) if step == 1 else evens(load_whole(line, at), load_whole(line, at + VECTOR))


@helper
def _every_index(line, at, step):
    """Do the same as `_every` for indices."""
    return load_indices(line, at) if step == 1 else evens(load_indices(line, at), load_indices(line, at + VECTOR))


@helper
def _put(plane, at, size, value):
    """Write a vector to a plane of `size` numbers, from number `at` on.

    Rows are written one after the other, so what a vector writes behind the end of its row is overwritten by the next.
    A mask is needed at the end of the plane alone.
    """
    if size - at >= VECTOR:
        store_whole(plane, at, value)
    else:
        store(plane, at, size, value)


@helper
def _largest(a, b, c, lowest):
    """The largest of three numbers, element by element: three rows or columns are what most nets pool over."""
    best = if_greater(a, lowest, a, lowest)
    best = if_greater(b, best, b, best)
    return if_greater(c, best, c, best)


@task
def _max_pool(block, piece):
    """y = the largest pixel of each window and index = its place in its plane."""
    x, y, index, lines, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, some, length, count = values(block, 18)
    first, end = part(planes, piece, count)
    lowest, nowhere = spread(LEAST), spread(np.int32(-1))
    line, behind = lines + 8 * piece * some * length, 4 * some * length  # how far behind a pixel its place stands
    floats_of(line, 0, some * length)[:] = LEAST  # which stays beside the pixels: the padding
    if index:
        indices_of(line + behind, 0, some * length)[:] = -1
    for plane in range(first, end):
        source, largest, chosen_at = x + 4 * plane * H * W, y + 4 * plane * oh * ow, index + 4 * plane * oh * ow
        for begin in range(0, oh, some):
            rows = range(begin, min(begin + some, oh))
            for r in rows:
                to, top, bottom = line + 4 * ((r - begin) * length + pw), max(0, r * sh - ph), min(H, r * sh - ph + kh)
                for at in range(0, W, VECTOR):
                    v = _column(at, W)
                    best, chosen = lowest, nowhere
                    if bottom - top == 3 and not index:
                        row = source + 4 * top * W
                        store_whole(to, v, _largest(_pixels(row, v, W, lowest), _pixels(row + 4 * W, v, W, lowest),
                                                    _pixels(row + 8 * W, v, W, lowest), lowest))
                        continue
                    for h in range(top, bottom):
                        pixels = _pixels(source + 4 * h * W, v, W, lowest)
                        if index:
                            chosen = if_greater(pixels, best, ramp(np.int32(h * W + v), np.int32(1)), chosen)
                        best = if_greater(pixels, best, pixels, best)
                    store_whole(to, v, best)
                    if index:
                        store_whole(to + behind, v, chosen)
            for r in rows:
                for q in range(0, ow, VECTOR):
                    best, chosen, at = lowest, nowhere, line + 4 * ((r - begin) * length + q * sw)
                    if kw == 3 and not index:
                        best = _largest(_every(at, 0, sw), _every(at, 1, sw), _every(at, 2, sw), lowest)
                        _put(largest, r * ow + q, oh * ow, best)
                        continue
                    for j in range(kw):
                        v = _every(at, j, sw)
                        if index:  # of equal pixels the first is chosen, which may stand in a later column
                            place = _every_index(at + behind, j, sw)
                            chosen = if_greater(v, best, place, if_greater(best, v, chosen, lesser(place, chosen)))
                        best = if_greater(v, best, v, best)
                    _put(largest, r * ow + q, oh * ow, best)
                    if index:
                        _put(chosen_at, r * ow + q, oh * ow, chosen)


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
    """y = the mean of each window's pixels, of which the padding has some."""
    x, y, lines, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, some, length, count = values(block, 17)
    first, end = part(planes, piece, count)
    zero, line = spread(np.float32(0)), lines + 4 * piece * some * length
    floats_of(line, 0, some * length)[:] = 0  # which stays beside the sums: the padding
    for plane in range(first, end):
        source, means = x + 4 * plane * H * W, y + 4 * plane * oh * ow
        for begin in range(0, oh, some):
            rows = range(begin, min(begin + some, oh))
            for r in rows:
                to, top, bottom = line + 4 * ((r - begin) * length + pw), max(0, r * sh - ph), min(H, r * sh - ph + kh)
                for at in range(0, W, VECTOR):
                    v, total = _column(at, W), zero
                    for h in range(top, bottom):
                        total = plus(total, _pixels(source + 4 * h * W, v, W, zero))
                    store_whole(to, v, total)
            for r in rows:
                height = min(kh, H + 2 * ph - r * sh)
                for q in range(0, ow, VECTOR):
                    total, at = zero, line + 4 * ((r - begin) * length + q * sw)
                    for j in range(kw):
                        total = plus(total, _every(at, j, sw))
                    size = _sizes(height, q * sw - pw, sw, kw, W + pw)
                    _put(means, r * ow + q, oh * ow, over(total, size))


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
    """dx = the sum of the shares, dy / size, of the windows that read a pixel."""
    dy, dx, lines, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, some, length, count = values(block, 17)
    first, end = part(planes, piece, count)
    line = lines + 4 * piece * ((1 + some) * length + oh)
    of_columns, of_rows = line + 4 * some * length, floats_of(line, (1 + some) * length, (1 + some) * length + oh)
    floats_of(line, 0, (1 + some) * length)[:] = 0  # which stays where there are no windows
    for q in range(ow):
        floats_of(of_columns, q, q + 1)[0] = np.float32(1) / np.float32(min(kw, W + 2 * pw - q * sw))
    for r in range(oh):
        of_rows[r] = np.float32(1) / np.float32(min(kh, H + 2 * ph - r * sh))
    zero = spread(np.float32(0))
    for plane in range(first, end):
        source, to = dy + 4 * plane * oh * ow, dx + 4 * plane * H * W
        top = bottom = 0  # the first row of windows that covers row h, and the first one behind it
        for begin in range(0, H, some):
            rows = range(begin, min(begin + some, H))
            for h in rows:
                shares = line + 4 * ((h - begin) * length + kw)
                while top * sh - ph + kh <= h:
                    top += 1
                while bottom < oh and bottom * sh - ph <= h:
                    bottom += 1
                for at in range(0, ow, VECTOR):
                    q, total = _column(at, ow), zero
                    for r in range(top, bottom):
                        row = _pixels(source + 4 * r * ow, q, ow, zero)
                        total = plus_times(total, row, spread(of_rows[r]))
                    store_whole(shares, q, times(total, load_whole(of_columns, q)))
            for h in rows:
                shares = line + 4 * ((h - begin) * length + kw)
                if sw == 1:
                    for w in range(0, W, VECTOR):
                        _put(to, h * W + w, H * W, _received(shares, w + pw, kw))
                    continue
                for m in range(0, (W + 1) // 2, VECTOR):  # pixels 2m, 2m + 2, … and their right neighbours
                    left = _received(shares, m + pw // 2, (kw + 1 - pw % 2) // 2)
                    right = _received(shares, m + (pw + 1) // 2, (kw + pw % 2) // 2)
                    _put(to, h * W + 2 * m, H * W, zipped(left, right))
                    if 2 * m + VECTOR < W:
                        _put(to, h * W + 2 * m + VECTOR, H * W, zipped_rest(left, right))


@helper
def _received(shares, q, windows):
    """Return the sums of the shares of so many windows, q and those to the left of it, for VECTOR values of q."""
    total = spread(np.float32(0))
    for i in range(windows):
        total = plus(total, load_whole(shares, q - i))
    return total


@task
def _ave_pool_grad_one_by_one(block, piece):
    """Compute the same as `_ave_pool_grad`, one window at a time."""
    dy_at, dx_at, planes, H, W, oh, ow, kh, kw, sh, sw, ph, pw, count = values(block, 14)
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
