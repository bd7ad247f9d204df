"""Images of another size, in compiled tasks that share out the planes."""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.definitions import resizing as definitions
from minicaffe.kernels.definitions.resizing import Pair, corner_aligned
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import copy, floats_of, part, pieces
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import values
from minicaffe.kernels.workspace import borrow

Table = tuple[np.ndarray, np.ndarray, np.ndarray]


@definitions.interpolate.implementation("numba", recordable=True)
def interpolate(x: np.ndarray, start: Pair, size: Pair, out: np.ndarray) -> None:
    """A row of out at a time: first the mean of two rows of x, then its numbers."""
    planes = out.shape[0] * out.shape[1]
    count = pieces(2 * out.size, planes)
    between = borrow("rows", (count, size[1]), x.dtype)
    _interpolate(count, x, out, *_table(size[0], out.shape[2]), *_table(size[1], out.shape[3]), between, planes,
                 *x.shape[2:], *start, size[1], *out.shape[2:], count)


@definitions.interpolate_grad.implementation("numba", recordable=True)
def interpolate_grad(dy: np.ndarray, start: Pair, size: Pair, out: np.ndarray) -> None:
    """A row of dy at a time, which is added to one row first, and this row then to two rows of out."""
    planes = dy.shape[0] * dy.shape[1]
    count = pieces(2 * dy.size + out.size, planes)
    between = borrow("rows", (count, size[1]), dy.dtype)
    _interpolate_grad(count, dy, out, *_table(size[0], dy.shape[2]), *_table(size[1], dy.shape[3]), between, planes,
                      *out.shape[2:], *start, size[1], *dy.shape[2:], count)


@definitions.repeat_pixels.implementation("numba", recordable=True)
def repeat_pixels(x: np.ndarray, scale: Pair, out: np.ndarray) -> None:
    """Repeat the pixels of a row, and then the row."""
    rows = x.shape[0] * x.shape[1] * x.shape[2]
    count = pieces(out.size, rows)
    _repeat_pixels(count, x, out, rows, x.shape[3], *scale, count)


@functools.lru_cache(maxsize=64)
def _table(size: int, to: int) -> Table:
    """Return what `corner_aligned` does, as compiled tasks read it."""
    before, after, share = corner_aligned(size, to, np.dtype(np.float32))
    return before.astype(np.int64), after.astype(np.int64), share


@task
def _interpolate(block, piece):
    """y[i, j] = the mean of four pixels, plane by plane."""
    (x, y, above_at, below_at, row_share_at, left_at, right_at, column_share_at, between_at, planes, H, W, first_row,
     first_column, width, oh, ow, count) = values(block, 18)
    above, below, row_share = words.ints(above_at, oh), words.ints(below_at, oh), words.floats(row_share_at, oh)
    left, right, column_share = words.ints(left_at, ow), words.ints(right_at, ow), words.floats(column_share_at, ow)
    between = floats_of(between_at, piece * width, (piece + 1) * width)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        for i in range(oh):
            a = (plane * H + first_row + above[i]) * W + first_column
            b = (plane * H + first_row + below[i]) * W + first_column
            top, bottom, share = floats_of(x, a, a + width), floats_of(x, b, b + width), row_share[i]
            for v in range(width):
                between[v] = top[v] * (np.float32(1) - share) + bottom[v] * share
            out = floats_of(y, (plane * oh + i) * ow, (plane * oh + i + 1) * ow)
            for j in range(ow):
                out[j] = between[left[j]] * (np.float32(1) - column_share[j]) + between[right[j]] * column_share[j]


@task
def _interpolate_grad(block, piece):
    """Add each number of dy to four pixels, plane by plane."""
    (dy, dx, above_at, below_at, row_share_at, left_at, right_at, column_share_at, between_at, planes, H, W, first_row,
     first_column, width, oh, ow, count) = values(block, 18)
    above, below, row_share = words.ints(above_at, oh), words.ints(below_at, oh), words.floats(row_share_at, oh)
    left, right, column_share = words.ints(left_at, ow), words.ints(right_at, ow), words.floats(column_share_at, ow)
    between = floats_of(between_at, piece * width, (piece + 1) * width)
    first, end = part(planes, piece, count)
    for plane in range(first, end):
        floats_of(dx, plane * H * W, (plane + 1) * H * W)[:] = 0
        for i in range(oh):
            slopes = floats_of(dy, (plane * oh + i) * ow, (plane * oh + i + 1) * ow)
            between[:] = 0
            for j in range(ow):
                between[left[j]] += slopes[j] * (np.float32(1) - column_share[j])
                between[right[j]] += slopes[j] * column_share[j]
            a = (plane * H + first_row + above[i]) * W + first_column
            b = (plane * H + first_row + below[i]) * W + first_column
            top, bottom, share = floats_of(dx, a, a + width), floats_of(dx, b, b + width), row_share[i]
            for v in range(width):
                top[v] += between[v] * (np.float32(1) - share)
            for v in range(width):
                bottom[v] += between[v] * share


@task
def _repeat_pixels(block, piece):
    """Write each row of x, its pixels `wide` times, to `high` rows of y."""
    x, y, rows, W, high, wide, count = values(block, 7)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        row, at = floats_of(x, r * W, (r + 1) * W), r * high * W * wide
        out = floats_of(y, at, at + W * wide)
        for v in range(W):
            for j in range(wide):
                out[v * wide + j] = row[v]
        for i in range(1, high):
            copy(out, floats_of(y, at + i * W * wide, at + (i + 1) * W * wide))
