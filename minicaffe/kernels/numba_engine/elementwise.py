"""Twins of maps of single numbers: one pass over memory, on vector registers, by all threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicaffe.kernels.definitions import elementwise as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.pieces import add, copy, flags_of, floats_of, part, pieces, unless_same
from minicaffe.kernels.numba_engine.task import Task, task
from minicaffe.kernels.numba_engine.words import helper, values

STRETCH = 1 << 12  # numbers that stay in a core's first cache while others are added to them


@definitions.relu.implementation("numba", recordable=True)
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(x.size)
    _relu(count, unless_same(x, out), float(alpha), positive, out, x.size, count)


@definitions.relu_grad.implementation("numba", recordable=True)
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(dy.size)
    _relu_grad(count, unless_same(dy, out), float(alpha), positive, out, dy.size, count)


@definitions.prelu.implementation("numba", recordable=True)
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """See the definition."""
    N, C, P = x.shape
    count = pieces(x.size, N * C)
    _prelu(count, unless_same(x, out), a, out, N * C, len(a), P, count)


@definitions.affine.implementation("numba", recordable=True)
def affine(x: np.ndarray, before: np.ndarray | None, scale: np.ndarray | None, after: np.ndarray | None,
           out: np.ndarray) -> None:
    """See the definition."""
    N, C, P = x.shape
    if P == 1:  # a row of channels is longer than rows of one number
        count = pieces(x.size, N)
        _affine_rows(count, unless_same(x, out), before, scale, after, out, N, C, count)
    else:
        count = pieces(x.size, N * C)
        _affine_planes(count, unless_same(x, out), before, scale, after, out, N * C, C, P, count)


@definitions.remembered_moments.implementation("numba", recordable=True)
def remembered_moments(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                       scale: np.ndarray) -> None:
    """See the definition."""
    _remembered_moments(1, mean, variance, factor, float(eps), mu, scale, mean.size)


@definitions.weighted_sum.implementation("numba", recordable=True)
def weighted_sum(a: np.ndarray, p: float, b: np.ndarray, q: float, out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(a.size)
    _weighted_sum(count, unless_same(a, out), b, out, a.size, count, float(p), float(q))


@definitions.add_up.implementation("numba", recordable=True)
def add_up(parts: Sequence[np.ndarray], out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(len(parts) * out.size)
    _add_up(count, out, out.size, count, len(parts), *parts)


@definitions.product.implementation("numba", recordable=True)
def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(a.size)
    _product(count, unless_same(a, out), b, out, a.size, count, 0.0, 0.0)


@definitions.larger.implementation("numba", recordable=True)
def larger(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """See the definition."""
    count = pieces(a.size)
    _larger(count, unless_same(a, out), b, out, a.size, count, 0.0, 0.0)


@definitions.copy_columns.implementation("numba", recordable=True)
def copy_columns(x: np.ndarray, start: int, width: int, out: np.ndarray, at: int) -> None:
    """See the definition."""
    if out.dtype != x.dtype:
        definitions.copy_columns.on("numpy")(x, start, width, out, at)
        return
    rows = len(x)
    parts = pieces(width) if rows == 1 else 1  # of a single row
    count = parts if rows == 1 else pieces(rows * width, rows)
    _copy_columns(count, x, start, width, out, at, rows, x.shape[1], out.shape[1], parts, count)


@definitions.crop.implementation("numba", recordable=True)
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """See the definition."""
    rows, width = math.prod(out.shape[:-1]), out.shape[-1]
    count = pieces(rows * width, rows)
    _crop(count, x, out, np.array(x.shape, np.int64), np.array(start, np.int64), np.array(out.shape, np.int64), x.ndim,
          rows, width, count)


# --- compiled tasks: x is address 0 to work in place, and then the first of two loops runs (see unless_same) --------

@task
def _relu(block, piece):
    """y = x where x > 0, else alpha · x; and where x > 0, if there is a mask."""
    x, slope, mask, y, size, count = values(block, 6)
    first, end = part(size, piece, count)
    alpha, out = np.float32(words.number(slope)), floats_of(y, first, end)
    if mask:
        _set_positive(floats_of(x if x else y, first, end), flags_of(mask, first, end))
    if x == 0:
        for i in range(out.size):
            out[i] = _rectified(out[i], alpha)
    else:
        source = floats_of(x, first, end)
        for i in range(out.size):
            out[i] = _rectified(source[i], alpha)


@helper
def _rectified(v, alpha):
    below = np.float32(0) if alpha == 0 else alpha * v  # −∞ is not to become NaN, NaN is to stay
    return below if v <= 0 else v


@compiled
def _set_positive(x, positive):
    for i in range(x.size):
        positive[i] = np.uint8(x[i] > 0)


@task
def _relu_grad(block, piece):
    """dx = dy where the mask is set, else alpha · dy."""
    dy, slope, mask, dx, size, count = values(block, 6)
    first, end = part(size, piece, count)
    alpha, positive, out = np.float32(words.number(slope)), flags_of(mask, first, end), floats_of(dx, first, end)
    if dy == 0:
        for i in range(out.size):
            d = out[i]
            out[i] = d if positive[i] else alpha * d
    else:
        source = floats_of(dy, first, end)
        for i in range(out.size):
            d = source[i]
            out[i] = d if positive[i] else alpha * d


@task
def _prelu(block, piece):
    """y = max(x, 0) + a · min(x, 0), by rows of P numbers with a slope each: slopes repeat."""
    x, slopes, y, rows, channels, P, count = values(block, 7)
    a_of = words.floats(slopes, channels)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        a, out = a_of[r % channels], floats_of(y, r * P, (r + 1) * P)
        if x == 0:
            for i in range(P):
                out[i] = _bent(out[i], a)
        else:
            source = floats_of(x, r * P, (r + 1) * P)
            for i in range(P):
                out[i] = _bent(source[i], a)


@helper
def _bent(v, a):
    zero = np.float32(0)
    return (zero if v < zero else v) + a * (zero if v > zero else v)


@task
def _affine_planes(block, piece):
    """y = (x − before[c]) · scale[c] + after[c], by rows of P numbers of a channel c."""
    x, before, scale, after, y, rows, C, P, count = values(block, 9)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        m, s, b = _number(before, r % C, 0), _number(scale, r % C, 1), _number(after, r % C, 0)
        out = floats_of(y, r * P, (r + 1) * P)
        if x == 0:
            for i in range(P):
                out[i] = (out[i] - m) * s + b
        else:
            source = floats_of(x, r * P, (r + 1) * P)
            for i in range(P):
                out[i] = (source[i] - m) * s + b


@helper
def _number(address, index, default):
    """Number `index` of the array at an address, or the default where there is no array."""
    return words.floats(address, index + 1)[index] if address else np.float32(default)


@task
def _affine_rows(block, piece):
    """The same by rows of a number a channel."""
    x, before, scale, after, y, N, C, count = values(block, 8)
    first, end = part(N, piece, count)
    for n in range(first, end):
        out = floats_of(y, n * C, (n + 1) * C)
        if x:
            copy(floats_of(x, n * C, (n + 1) * C), out)
        if before:
            means = words.floats(before, C)
            for c in range(C):
                out[c] -= means[c]
        if scale:
            factors = words.floats(scale, C)
            for c in range(C):
                out[c] *= factors[c]
        if after:
            add(words.floats(after, C), out)


@task
def _remembered_moments(block, piece):
    """mu = mean / factor and scale = 1 / √(variance / factor + eps), of a channel each; 1 / 0 counts as 0 here."""
    mean_at, variance_at, factor_at, little, mu_at, scale_at, C = values(block, 7)
    mean, variance, factor = words.floats(mean_at, C), words.floats(variance_at, C), words.floats(factor_at, 1)[0]
    mu, scale, eps = words.floats(mu_at, C), words.floats(scale_at, C), np.float32(words.number(little))
    share = np.float32(1) / factor if factor != 0 else np.float32(0)
    for c in range(C):
        mu[c] = mean[c] * share
        scale[c] = np.float32(1) / np.sqrt(variance[c] * share + eps)


def _of_pairs(formula: Callable[..., Any]) -> Task:
    """A task that computes formula(u, v, p, q) for the numbers u and v of two arrays."""

    @task
    def apply(block, piece):
        a, b, y, size, count, p_bits, q_bits = values(block, 7)
        first, end = part(size, piece, count)
        p, q = np.float32(words.number(p_bits)), np.float32(words.number(q_bits))
        v, out = floats_of(b, first, end), floats_of(y, first, end)
        if a == 0:
            for i in range(out.size):
                out[i] = formula(out[i], v[i], p, q)
        else:
            u = floats_of(a, first, end)
            for i in range(out.size):
                out[i] = formula(u[i], v[i], p, q)

    return apply


@helper
def _sum_of(u, v, p, q):
    return p * u + q * v


@helper
def _product_of(u, v, p, q):
    return u * v


@helper
def _larger_of(u, v, p, q):
    more = u if u > v else v  # v where either is not a number
    return u if u != u else more


_weighted_sum, _product, _larger = _of_pairs(_sum_of), _of_pairs(_product_of), _of_pairs(_larger_of)


@task
def _add_up(block, piece):
    """y = the sum of any number of arrays, whose addresses end the block."""
    y, size, count, arrays = values(block, 4)
    first, end = part(size, piece, count)
    for start in range(first, end, STRETCH):
        stop = min(end, start + STRETCH)
        total = floats_of(y, start, stop)
        copy(floats_of(block[4], start, stop), total)
        for k in range(1, arrays):
            add(floats_of(block[4 + k], start, stop), total)


@task
def _copy_columns(block, piece):
    """y[r, at + i] = x[r, start + i] for i below width; rows of x and y have `have` and `get` numbers."""
    x, start, width, y, at, rows, have, get, parts, count = values(block, 10)
    if parts > 1:
        first, end = part(width, piece, parts)
        copy(floats_of(x, start + first, start + end), floats_of(y, at + first, at + end))
        return
    first, end = part(rows, piece, count)
    for r in range(first, end):
        source, to = r * have + start, r * get + at
        copy(floats_of(x, source, source + width), floats_of(y, to, to + width))


@task
def _crop(block, piece):
    """y[i, j, …] = x[i + start 0, j + start 1, …], by rows along the last axis."""
    x, y, sizes, starts, wanted, axes, rows, width, count = values(block, 9)
    have, start, get = words.ints(sizes, axes), words.ints(starts, axes), words.ints(wanted, axes)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        rest, at, step = r, start[axes - 1], have[axes - 1]
        for axis in range(axes - 2, -1, -1):
            at += (rest % get[axis] + start[axis]) * step
            rest, step = rest // get[axis], step * have[axis]
        copy(floats_of(x, at, at + width), floats_of(y, r * width, (r + 1) * width))
