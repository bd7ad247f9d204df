"""Twins of maps of single numbers: one pass over memory, on vector registers, by all threads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.jit import words
from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.jit.entry import entry
from minicaffe.kernels.jit.pieces import add, copy, flags_of, floats_of, part, pieces, unless_same
from minicaffe.kernels.jit.words import helper
from minicaffe.kernels.reference import elementwise as reference

STRETCH = 1 << 12  # numbers that stay in a core's first cache while others are added to them


@reference.relu.twin("numba", entries=True)
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """See the reference."""
    if x.dtype != np.float32:
        reference.relu.reference(x, alpha, positive, out)
        return
    count = pieces(x.size)
    _relu(count, unless_same(x, out), float(alpha), positive, out, x.size, count)


@reference.relu_grad.twin("numba", entries=True)
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    if dy.dtype != np.float32:
        reference.relu_grad.reference(dy, alpha, positive, out)
        return
    count = pieces(dy.size)
    _relu_grad(count, unless_same(dy, out), float(alpha), positive, out, dy.size, count)


@reference.prelu.twin("numba", entries=True)
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    if x.dtype != np.float32:
        reference.prelu.reference(x, a, out)
        return
    N, C, P = x.shape
    count = pieces(x.size, N * C)
    _prelu(count, unless_same(x, out), a, out, N * C, len(a), P, count)


@reference.affine.twin("numba", entries=True)
def affine(x: np.ndarray, before: np.ndarray | None, scale: np.ndarray | None, after: np.ndarray | None,
           out: np.ndarray) -> None:
    """See the reference."""
    if x.dtype != np.float32:
        reference.affine.reference(x, before, scale, after, out)
        return
    N, C, P = x.shape
    if P == 1:  # a row of channels is longer than rows of one number
        count = pieces(x.size, N)
        _affine_rows(count, unless_same(x, out), before, scale, after, out, N, C, count)
    else:
        count = pieces(x.size, N * C)
        _affine_planes(count, unless_same(x, out), before, scale, after, out, N * C, C, P, count)


@reference.remembered_moments.twin("numba", entries=True)
def remembered_moments(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                       scale: np.ndarray) -> None:
    """See the reference."""
    if mean.dtype != np.float32:
        reference.remembered_moments.reference(mean, variance, factor, eps, mu, scale)
        return
    _remembered_moments(1, mean, variance, factor, float(eps), mu, scale, mean.size)


@reference.weighted_sum.twin("numba", entries=True)
def weighted_sum(a: np.ndarray, p: float, b: np.ndarray, q: float, out: np.ndarray) -> None:
    """See the reference."""
    if a.dtype != np.float32:
        reference.weighted_sum.reference(a, p, b, q, out)
        return
    count = pieces(a.size)
    _weighted_sum(count, unless_same(a, out), float(p), b, float(q), out, a.size, count)


@reference.add_up.twin("numba", entries=True)
def add_up(parts: Sequence[np.ndarray], out: np.ndarray) -> None:
    """See the reference."""
    if out.dtype != np.float32:
        reference.add_up.reference(parts, out)
        return
    count = pieces(len(parts) * out.size)
    _add_up(count, out, out.size, count, len(parts), *parts)


@reference.product.twin("numba", entries=True)
def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    if a.dtype != np.float32:
        reference.product.reference(a, b, out)
        return
    count = pieces(a.size)
    _product(count, unless_same(a, out), b, out, a.size, count)


@reference.larger.twin("numba", entries=True)
def larger(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """See the reference."""
    if a.dtype != np.float32:
        reference.larger.reference(a, b, out)
        return
    count = pieces(a.size)
    _larger(count, unless_same(a, out), b, out, a.size, count)


@reference.copy_columns.twin("numba", entries=True)
def copy_columns(x: np.ndarray, start: int, width: int, out: np.ndarray, at: int) -> None:
    """See the reference."""
    if x.dtype != np.float32 or out.dtype != np.float32:
        reference.copy_columns.reference(x, start, width, out, at)
        return
    rows = len(x)
    parts = pieces(width) if rows == 1 else 1  # of a single row
    count = parts if rows == 1 else pieces(rows * width, rows)
    _copy_columns(count, x, start, width, out, at, rows, x.shape[1], out.shape[1], parts, count)


@reference.crop.twin("numba", entries=True)
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """See the reference."""
    if x.dtype != np.float32:
        reference.crop.reference(x, start, out)
        return
    rows, width = math.prod(out.shape[:-1]), out.shape[-1]
    count = pieces(rows * width, rows)
    _crop(count, x, out, np.array(x.shape, np.int64), np.array(start, np.int64), np.array(out.shape, np.int64), x.ndim,
          rows, width, count)


# --- entries: of two loops, the first runs in place (see unless_same) ----------------------------------------

@entry
def _relu(block, piece):
    first, end = part(block[4], piece, block[5])
    alpha, y = np.float32(words.number(block[1])), floats_of(block[3], first, end)
    if block[2]:
        _set_positive(floats_of(block[0] if block[0] else block[3], first, end), flags_of(block[2], first, end))
    if block[0] == 0:
        for i in range(y.size):
            y[i] = _rectified(y[i], alpha)
    else:
        x = floats_of(block[0], first, end)
        for i in range(y.size):
            y[i] = _rectified(x[i], alpha)


@helper
def _rectified(v, alpha):
    below = np.float32(0) if alpha == 0 else alpha * v  # −∞ is not to become NaN, NaN is to stay
    return below if v <= 0 else v


@compiled
def _set_positive(x, positive):
    for i in range(x.size):
        positive[i] = np.uint8(x[i] > 0)


@entry
def _relu_grad(block, piece):
    first, end = part(block[4], piece, block[5])
    alpha, dx = np.float32(words.number(block[1])), floats_of(block[3], first, end)
    positive = flags_of(block[2], first, end)
    if block[0] == 0:
        for i in range(dx.size):
            d = dx[i]
            dx[i] = d if positive[i] else alpha * d
    else:
        dy = floats_of(block[0], first, end)
        for i in range(dx.size):
            d = dy[i]
            dx[i] = d if positive[i] else alpha * d


@entry
def _prelu(block, piece):
    rows, channels, P = block[3], block[4], block[5]
    slopes = words.floats(block[1], channels)
    first, end = part(rows, piece, block[6])
    for r in range(first, end):
        a, y = slopes[r % channels], floats_of(block[2], r * P, (r + 1) * P)
        if block[0] == 0:
            for i in range(P):
                y[i] = _bent(y[i], a)
        else:
            x = floats_of(block[0], r * P, (r + 1) * P)
            for i in range(P):
                y[i] = _bent(x[i], a)


@helper
def _bent(v, a):
    zero = np.float32(0)
    return (zero if v < zero else v) + a * (zero if v > zero else v)


@entry
def _affine_planes(block, piece):
    rows, C, P = block[5], block[6], block[7]
    first, end = part(rows, piece, block[8])
    for r in range(first, end):
        m, s, b = _number(block[1], r % C, 0), _number(block[2], r % C, 1), _number(block[3], r % C, 0)
        y = floats_of(block[4], r * P, (r + 1) * P)
        if block[0] == 0:
            for i in range(P):
                y[i] = (y[i] - m) * s + b
        else:
            x = floats_of(block[0], r * P, (r + 1) * P)
            for i in range(P):
                y[i] = (x[i] - m) * s + b


@helper
def _number(address, index, default):
    """Number `index` of the array at an address, or the default where there is no array."""
    return words.floats(address, index + 1)[index] if address else np.float32(default)


@entry
def _affine_rows(block, piece):
    N, C = block[5], block[6]
    first, end = part(N, piece, block[7])
    for n in range(first, end):
        y = floats_of(block[4], n * C, (n + 1) * C)
        if block[0]:
            copy(floats_of(block[0], n * C, (n + 1) * C), y)
        if block[1]:
            before = words.floats(block[1], C)
            for c in range(C):
                y[c] -= before[c]
        if block[2]:
            scale = words.floats(block[2], C)
            for c in range(C):
                y[c] *= scale[c]
        if block[3]:
            add(words.floats(block[3], C), y)


@entry
def _remembered_moments(block, piece):
    C, eps = block[6], np.float32(words.number(block[3]))
    mean, variance, mu = words.floats(block[0], C), words.floats(block[1], C), words.floats(block[4], C)
    scale, factor = words.floats(block[5], C), words.floats(block[2], 1)[0]
    share = np.float32(1) / factor if factor != 0 else np.float32(0)
    for c in range(C):
        mu[c] = mean[c] * share
        scale[c] = np.float32(1) / np.sqrt(variance[c] * share + eps)


@entry
def _weighted_sum(block, piece):
    first, end = part(block[5], piece, block[6])
    p, q = np.float32(words.number(block[1])), np.float32(words.number(block[3]))
    b, y = floats_of(block[2], first, end), floats_of(block[4], first, end)
    if block[0] == 0:
        for i in range(y.size):
            y[i] = p * y[i] + q * b[i]
    else:
        a = floats_of(block[0], first, end)
        for i in range(y.size):
            y[i] = p * a[i] + q * b[i]


@entry
def _add_up(block, piece):
    first, end = part(block[1], piece, block[2])
    for start in range(first, end, STRETCH):
        stop = min(end, start + STRETCH)
        total = floats_of(block[0], start, stop)
        copy(floats_of(block[4], start, stop), total)
        for k in range(1, block[3]):
            add(floats_of(block[4 + k], start, stop), total)


@entry
def _product(block, piece):
    first, end = part(block[3], piece, block[4])
    b, y = floats_of(block[1], first, end), floats_of(block[2], first, end)
    if block[0] == 0:
        for i in range(y.size):
            y[i] *= b[i]
    else:
        a = floats_of(block[0], first, end)
        for i in range(y.size):
            y[i] = a[i] * b[i]


@entry
def _larger(block, piece):
    first, end = part(block[3], piece, block[4])
    b, y = floats_of(block[1], first, end), floats_of(block[2], first, end)
    if block[0] == 0:
        for i in range(y.size):
            y[i] = _larger_of(y[i], b[i])
    else:
        a = floats_of(block[0], first, end)
        for i in range(y.size):
            y[i] = _larger_of(a[i], b[i])


@helper
def _larger_of(u, v):
    more = u if u > v else v  # v where either is not a number
    return u if u != u else more


@entry
def _copy_columns(block, piece):
    start, width, at, rows, have, get, parts = block[1], block[2], block[4], block[5], block[6], block[7], block[8]
    if parts > 1:
        first, end = part(width, piece, parts)
        copy(floats_of(block[0], start + first, start + end), floats_of(block[3], at + first, at + end))
        return
    first, end = part(rows, piece, block[9])
    for r in range(first, end):
        x = floats_of(block[0], r * have + start, r * have + start + width)
        copy(x, floats_of(block[3], r * get + at, r * get + at + width))


@entry
def _crop(block, piece):
    axes, rows, width = block[5], block[6], block[7]
    have, start, get = words.ints(block[2], axes), words.ints(block[3], axes), words.ints(block[4], axes)
    first, end = part(rows, piece, block[8])
    for r in range(first, end):
        rest, at, step = r, start[axes - 1], have[axes - 1]
        for axis in range(axes - 2, -1, -1):
            at += (rest % get[axis] + start[axis]) * step
            rest, step = rest // get[axis], step * have[axis]
        copy(floats_of(block[0], at, at + width), floats_of(block[1], r * width, (r + 1) * width))
