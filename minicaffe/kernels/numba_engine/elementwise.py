"""Number by number in compiled tasks: one pass over memory, on vector registers, by all threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicaffe.kernels.definitions import elementwise as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.pieces import add, copy, flags_of, floats_of, part, pieces, unless_same
from minicaffe.kernels.numba_engine.task import Task, task
from minicaffe.kernels.numba_engine.words import helper, values

LEAST = np.finfo(np.float32).min
STRETCH = 1 << 12  # numbers that stay in a core's first cache while others are added to them


@definitions.relu.implementation("numba", recordable=True)
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """Pass over memory once: a piece of the mask is written while the piece of x is in cache."""
    count = pieces(x.size)
    _relu(count, unless_same(x, out), float(alpha), positive, out, x.size, count)


@definitions.relu_grad.implementation("numba", recordable=True)
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """Pass over memory once."""
    count = pieces(dy.size)
    _relu_grad(count, unless_same(dy, out), float(alpha), positive, out, dy.size, count)


@definitions.tanh_grad.implementation("numba", recordable=True)
def tanh_grad(dy: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """Pass over memory once."""
    count = pieces(dy.size)
    _tanh_grad(count, unless_same(dy, out), y, out, dy.size, count, 0.0, 0.0)


@definitions.add_all.implementation("numba", recordable=True)
def add_all(x: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Add chunks that stay in the first cache, so that each sum is written to main memory once."""
    count = pieces(len(x) * out.size)
    _add_all(count, out, out.size, count, len(x), *x)


@definitions.weighted_sum.implementation("numba", recordable=True)
def weighted_sum(x: Sequence[np.ndarray], c: Sequence[float], out: np.ndarray) -> None:
    """Two arrays at a time."""
    total, p, count = x[0], float(c[0]), pieces(out.size)
    for x_i, q in zip(x[1:], c[1:], strict=True):
        _weighted_sum(count, unless_same(total, out), x_i, out, out.size, count, p, float(q))
        total, p = out, 1.0


@definitions.multiply.implementation("numba", recordable=True)
def multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Pass over memory once."""
    count = pieces(a.size)
    _multiply(count, unless_same(a, out), b, out, a.size, count, 0.0, 0.0)


@definitions.maximum.implementation("numba", recordable=True)
def maximum(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Pass over memory once."""
    count = pieces(a.size)
    _maximum(count, unless_same(a, out), b, out, a.size, count, 0.0, 0.0)


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
        _rectify(out, alpha)
    else:
        source = floats_of(x, first, end)
        for i in range(out.size):
            out[i] = _rectified(source[i], alpha)


@compiled
def _rectify(out, alpha):
    """y = y where y > 0, else alpha · y.

    LLVM makes a masked store of a choice between a new number and the one that is there, and with AVX2 that takes four
    times as long. So what is stored is a product, with 1 where nothing changes.
    """
    zero, one = np.float32(0), np.float32(1)
    if alpha == 0:
        for i in range(out.size):
            v = out[i]
            v = LEAST if v < LEAST else v  # 0 · −∞ would be NaN
            out[i] = v * (zero if v <= zero else one) + zero  # −0 + 0 is 0, as in `_rectified`
    else:
        for i in range(out.size):
            out[i] *= alpha if out[i] <= zero else one


@helper
def _rectified(v, alpha):
    below = np.float32(0) if alpha == 0 else alpha * v  # 0 · −∞ would be NaN
    return below if v <= 0 else v  # so NaN, for which v <= 0 is false, stays NaN


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
            # a product and no choice, for the same reason as in `_rectify`
            out[i] *= np.float32(1) if positive[i] else alpha
    else:
        source = floats_of(dy, first, end)
        for i in range(out.size):
            d = source[i]
            out[i] = d if positive[i] else alpha * d


def _of_pairs(formula: Callable[..., Any]) -> Task:
    """Return a task that computes formula(u, v, p, q) for the numbers u and v of two arrays."""

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
def _slope_of(u, v, p, q):
    return u * (np.float32(1) - v * v)


@helper
def _larger_of(u, v, p, q):
    more = u if u > v else v  # v where either is not a number
    return u if u != u else more


_weighted_sum, _multiply, _maximum = _of_pairs(_sum_of), _of_pairs(_product_of), _of_pairs(_larger_of)
_tanh_grad = _of_pairs(_slope_of)


@task
def _add_all(block, piece):
    """y = the sum of any number of arrays, whose addresses end the block."""
    y, size, count, arrays = values(block, 4)
    first, end = part(size, piece, count)
    for start in range(first, end, STRETCH):
        stop = min(end, start + STRETCH)
        total = floats_of(y, start, stop)
        copy(floats_of(block[4], start, stop), total)  # block[4] is the address of the first array
        for k in range(1, arrays):
            add(floats_of(block[4 + k], start, stop), total)
