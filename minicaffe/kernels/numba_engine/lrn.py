"""Local response normalization, and its parts, for some pixels of all channels at a time.

The channels of these pixels fit into a core's cache, because each number is read once for every window that holds it.
beta = 0.75, which most nets have, takes two square roots instead of a power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.definitions import lrn as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.pieces import add, copy, floats_of, part, pieces, unless_same
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 15  # numbers that are worked on at a time: some pixels of all channels
COST = 2          # a number, with its two roots and its division, takes as long as to copy so many


@definitions.lrn.implementation("numba", recordable=True)
def lrn(x: np.ndarray, axes: Sequence[int], size: int, alpha: float, k: float, beta: float, s: np.ndarray | None,
        out: np.ndarray) -> None:
    """Compute in cache, across channels and for beta = 0.75 alone. Other cases run on the numpy engine."""
    if not _across_channels(x, axes, beta):
        definitions.lrn.on("numpy")(x, axes, size, alpha, k, beta, s, out)
        return
    N, C, P, width, count = _cut(x)
    buffer = borrow("lrn", (count, C * width), x.dtype) if s is None else None
    _lrn(count, x, unless_same(x, out), s, out, buffer, float(alpha), float(k), size // 2, N, C, P, width, count)


@definitions.lrn_grad.implementation("numba", recordable=True)
def lrn_grad(x: np.ndarray, s: np.ndarray, dy: np.ndarray, axes: Sequence[int], size: int, alpha: float, beta: float,
             out: np.ndarray) -> None:
    """Compute in cache, from the s that the forward pass stored, for the same cases as `lrn`."""
    if not _across_channels(x, axes, beta):
        definitions.lrn_grad.on("numpy")(x, s, dy, axes, size, alpha, beta, out)
        return
    N, C, P, width, count = _cut(x)
    buffer = borrow("lrn", (count, (C + 1) * width), x.dtype)
    _lrn_grad(count, x, s, dy, out, buffer, float(2 * alpha * beta), size // 2, N, C, P, width, count)


def _across_channels(x: np.ndarray, axes: Sequence[int], beta: float) -> bool:
    return tuple(axes) == (1,) and beta == 0.75 and x.size > 0


def _cut(x: np.ndarray) -> tuple[int, int, int, int, int]:
    """N, C, the number P of pixels, how many of them are worked on at a time, and the number of pieces."""
    N, C = x.shape[:2]
    P = math.prod(x.shape[2:])
    width = min(P, max(16, CACHED // C))
    return N, C, P, width, pieces(COST * x.size, N * -(-P // width))


@definitions.window_sum.implementation("numba")
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """Row by row along the axes behind `axis`, so that each addition is one loop over memory."""
    inner = math.prod(x.shape[axis:][1:])
    if inner < 16:  # a loop for each row is slow where rows are so short
        return definitions.window_sum.on("numpy")(x, size, axis, out)
    rows = (-1, x.shape[axis], inner)
    _window_sum(x.reshape(rows), size // 2, out.reshape(rows))
    return out


@definitions.negative_power.implementation("numba")
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """Take two square roots for beta = 0.75. Other cases run on the numpy engine."""
    if beta == 0.75:
        _inverse_three_quarters(s.reshape(-1), out.reshape(-1))
    else:
        definitions.negative_power.on("numpy")(s, beta, out)


@task
def _lrn(block, piece):
    """s = k + alpha · Σ x² over the channels within `reach`, and y = x · s^−¾; x is (N, C, P)."""
    x, other, s_at, y, buffer, alpha_bits, k_bits, reach, N, C, P, width, count = values(block, 13)
    alpha, k = np.float32(words.number(alpha_bits)), np.float32(words.number(k_bits))
    chunks = (P + width - 1) // width
    first, end = part(N * chunks, piece, count)
    for chunk in range(first, end):
        start = chunk % chunks * width
        some, at = min(width, P - start), chunk // chunks * C * P + start
        # s has the layout of x where it is kept, else rows of `width` in borrowed memory
        sums, row = (s_at + 4 * at, P) if s_at else (buffer + 4 * piece * C * width, width)
        for c in range(C):
            s = floats_of(sums, c * row, c * row + some)
            _add_squares(x + 4 * at, c, C, P, reach, s)
            for i in range(some):
                s[i] = s[i] * alpha + k
        for c in range(C):
            source = other + 4 * (at + c * P) if other else 0
            _normalize(source, floats_of(sums, c * row, c * row + some), floats_of(y, at + c * P, at + c * P + some))


@compiled
def _normalize(x, s, y):
    """y = x · s^−¾; x may be address 0, for in place."""
    if x == 0:
        for i in range(y.size):
            y[i] *= _inverse_three_quarters_of(s[i])
    else:
        source = floats_of(x, 0, y.size)
        for i in range(y.size):
            y[i] = source[i] * _inverse_three_quarters_of(s[i])


@compiled
def _add_squares(x, c, C, P, reach, total):
    """total = Σ x² over the channels around c, in the order of window_sum."""
    row = floats_of(x, c * P, c * P + total.size)
    for i in range(total.size):
        total[i] = row[i] * row[i]
    for shift in range(1, reach + 1):
        for other in (c - shift, c + shift):
            if 0 <= other < C:
                row = floats_of(x, other * P, other * P + total.size)
                for i in range(total.size):
                    total[i] += row[i] * row[i]


@task
def _lrn_grad(block, piece):
    """dx = dy · s^−¾ − scale · x · Σ dy · s^−¾ · x / s, the sum over the channels within `reach`; x is (N, C, P)."""
    x_at, s_at, dy, dx_at, buffers, scale_bits, reach, N, C, P, width, count = values(block, 12)
    scale, chunks = np.float32(words.number(scale_bits)), (P + width - 1) // width
    first, end = part(N * chunks, piece, count)
    buffer = words.floats(buffers + 4 * piece * (C + 1) * width, (C + 1) * width)
    for chunk in range(first, end):
        start = chunk % chunks * width
        some, at = min(width, P - start), chunk // chunks * C * P + start
        for c in range(C):
            begin, t = at + c * P, buffer[c * width:c * width + some]
            x, s = floats_of(x_at, begin, begin + some), floats_of(s_at, begin, begin + some)
            copy(floats_of(dy, begin, begin + some), t)  # dy may lie where dx does
            _damp(x, s, t, floats_of(dx_at, begin, begin + some))
        for c in range(C):
            begin = at + c * P
            x, dx = floats_of(x_at, begin, begin + some), floats_of(dx_at, begin, begin + some)
            _take_window(buffer, c, C, width, reach, scale, x, dx, buffer[C * width:C * width + some])


@compiled
def _damp(x, s, t, dx):
    """dx = dy · s^−β and t = dx · x / s, where t is dy before."""
    for i in range(x.size):
        damped = _inverse_three_quarters_of(s[i]) * t[i]
        dx[i] = damped
        t[i] = damped * x[i] / s[i]


@compiled
def _take_window(t, c, C, width, reach, scale, x, dx, total):
    """dx −= scale · x · Σ t over the channels around c; t has rows of `width`."""
    copy(t[c * width:c * width + total.size], total)
    for shift in range(1, reach + 1):
        for other in (c - shift, c + shift):
            if 0 <= other < C:
                add(t[other * width:other * width + total.size], total)
    for i in range(x.size):
        dx[i] -= total[i] * x[i] * scale


@helper
def _inverse_three_quarters_of(s):
    root = np.sqrt(s)
    return np.float32(1) / (np.sqrt(root) * root)


@compiled
def _window_sum(x, reach, out):
    outer, C, inner = x.shape
    for n in range(outer):
        for c in range(C):
            total = out[n, c]
            for i in range(inner):
                total[i] = x[n, c, i]
            for shift in range(1, reach + 1):  # in the order of the numpy engine, so that the bits are the same
                if c >= shift:
                    row = x[n, c - shift]
                    for i in range(inner):
                        total[i] += row[i]
                if c + shift < C:
                    row = x[n, c + shift]
                    for i in range(inner):
                        total[i] += row[i]


@compiled
def _inverse_three_quarters(s, out):
    one = s.dtype.type(1)
    for i in range(s.size):
        root = np.sqrt(s[i])
        out[i] = one / (np.sqrt(root) * root)
