"""Copies in compiled tasks. One task serves all of them but crop: it copies columns of one matrix into another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.definitions import copying as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import copy as copy_floats
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import values

COPIED = 1 << 13  # numbers of a slice that are worth a piece: a Concat copies several small ones, one after the other


@definitions.copy.implementation("numba", recordable=True)
def copy(x: np.ndarray, out: np.ndarray) -> None:
    """Copy x as a single row, which is cut into pieces."""
    if x.dtype != out.dtype:
        definitions.copy.on("numpy")(x, out)
        return
    count = pieces(x.size)
    _copy_columns(count, x, 0, x.size, out, 0, 1, x.size, x.size, count, count)


@definitions.take_slice.implementation("numba", recordable=True)
def take_slice(x: np.ndarray, axis: int, start: int, out: np.ndarray) -> None:
    """Copy columns of a matrix, as `_columns` finds them."""
    if x.dtype != out.dtype:
        definitions.take_slice.on("numpy")(x, axis, start, out)
        return
    rows, have, width, first = _columns(x.shape, out.shape, axis, start)
    parts, count = _cut(rows, width)
    _copy_columns(count, x, first, width, out, 0, rows, have, width, parts, count)


@definitions.put_slice.implementation("numba", recordable=True)
def put_slice(x: np.ndarray, axis: int, start: int, out: np.ndarray) -> None:
    """Copy columns of a matrix, as `_columns` finds them."""
    if x.dtype != out.dtype:
        definitions.put_slice.on("numpy")(x, axis, start, out)
        return
    rows, get, width, first = _columns(out.shape, x.shape, axis, start)
    parts, count = _cut(rows, width)
    _copy_columns(count, x, 0, width, out, first, rows, width, get, parts, count)


def _columns(whole: tuple[int, ...], cut_out: tuple[int, ...], axis: int, start: int) -> tuple[int, int, int, int]:
    """Return (rows, length of a row of the whole array, length of a row of the slice, where the slice begins in a row).

    Both arrays are seen as matrices, whose rows hold the numbers of one index of the axes before `axis`.
    """
    inner = math.prod(whole[axis + 1:])
    return math.prod(whole[:axis]), whole[axis] * inner, cut_out[axis] * inner, start * inner


def _cut(rows: int, width: int) -> tuple[int, int]:
    """Return into how many parts a single row is cut, and into how many pieces the whole work."""
    if rows == 1:
        return pieces(width, worth=COPIED), pieces(width, worth=COPIED)
    return 1, pieces(rows * width, rows, COPIED)


@definitions.crop.implementation("numba", recordable=True)
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """Row by row along the last axis, where numbers lie side by side."""
    rows, width = math.prod(out.shape[:-1]), out.shape[-1]
    count = pieces(rows * width, rows)
    _crop(count, x, out, np.array(x.shape, np.int64), np.array(start, np.int64), np.array(out.shape, np.int64), x.ndim,
          rows, width, count)


@task
def _copy_columns(block, piece):
    """y[r, at + i] = x[r, start + i] for i below width; rows of x and y have `have` and `get` numbers."""
    x, start, width, y, at, rows, have, get, parts, count = values(block, 10)
    if parts > 1:
        first, end = part(width, piece, parts)
        copy_floats(floats_of(x, start + first, start + end), floats_of(y, at + first, at + end))
        return
    first, end = part(rows, piece, count)
    for r in range(first, end):
        source, to = r * have + start, r * get + at
        copy_floats(floats_of(x, source, source + width), floats_of(y, to, to + width))


@task
def _crop(block, piece):
    """y[i, j, …] = x[i + start 0, j + start 1, …], by rows along the last axis."""
    x, y, sizes, starts, wanted, axes, rows, width, count = values(block, 9)
    have, start, get = words.ints(sizes, axes), words.ints(starts, axes), words.ints(wanted, axes)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        # Row r of y has one index on each axis but the last. They are taken off r from the back, and give the place of
        # the row in x.
        rest, at, step = r, start[axes - 1], have[axes - 1]
        for axis in range(axes - 2, -1, -1):
            at += (rest % get[axis] + start[axis]) * step
            rest, step = rest // get[axis], step * have[axis]
        copy_floats(floats_of(x, at, at + width), floats_of(y, r * width, (r + 1) * width))


@definitions.transpose.implementation("numba", recordable=True)
def transpose(x: np.ndarray, order: Sequence[int], out: np.ndarray) -> None:
    """Row by row of out, after axes that stay neighbours have become one.

    So NCHW to NHWC is a transposition of a matrix for each image, and an order that changes nothing is a copy.
    """
    if x.dtype != out.dtype:
        definitions.transpose.on("numpy")(x, order, out)
        return
    sizes, steps = _merged(x.shape, order)
    width = sizes[-1]
    rows = x.size // max(1, width)
    if len(sizes) == 1:
        copy(x, out)
        return
    count = pieces(x.size, rows)
    _transpose(count, x, out, np.array(sizes, np.int64), np.array(steps, np.int64), len(sizes), rows, width, count)


def _merged(shape: Sequence[int], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the sizes of out's axes, and how far apart in x the numbers along each of them lie.

    Axes of x that follow each other in out, too, are one axis here, and those of size 1 are left out.
    """
    sizes, steps, before = [1], [1], None
    for axis in (axis for axis in order if shape[axis] != 1):
        step = math.prod(shape[axis + 1:])
        if before is not None and all(shape[i] == 1 for i in range(before + 1, axis)) and axis > before:
            sizes[-1], steps[-1] = sizes[-1] * shape[axis], step
        else:
            sizes, steps = [*sizes, shape[axis]], [*steps, step]
        before = axis
    return (sizes[1:], steps[1:]) if len(sizes) > 1 else (sizes, steps)


@task
def _transpose(block, piece):
    """Rows of y along its last axis: their numbers lie steps[axes − 1] apart in x."""
    x, y, sizes_at, steps_at, axes, rows, width, count = values(block, 8)
    sizes, steps = words.ints(sizes_at, axes), words.ints(steps_at, axes)
    first, end = part(rows, piece, count)
    apart = steps[axes - 1]
    for r in range(first, end):
        rest, at = r, 0
        for axis in range(axes - 2, -1, -1):  # the index of row r on each axis but the last
            at += rest % sizes[axis] * steps[axis]
            rest //= sizes[axis]
        source, row = floats_of(x, at, at + (width - 1) * apart + 1), floats_of(y, r * width, (r + 1) * width)
        for i in range(width):
            row[i] = source[i * apart]
