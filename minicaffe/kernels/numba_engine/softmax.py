"""Softmax: a row, or some columns, stay in a core's first cache for all three passes over them.

The passes are: find the largest number, sum the exponentials, divide by the sum.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.definitions import softmax as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.exponential import bits_of, exp, number_of
from minicaffe.kernels.numba_engine.pieces import copy, floats_of, indices_of, part, pieces, sum_of, unless_same
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

CELLS = 1 << 12  # cells whose logarithms are worth a piece of their own
WIDTH = 512  # columns that are computed at a time: their maxima and sums stay in the first cache
COST = 4     # an exponential takes as long as to copy so many numbers


@definitions.softmax.implementation("numba", recordable=True)
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """Row by row where the axis is the last, else WIDTH columns at a time."""
    outer, C, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1:])
    if inner == 1:
        count = pieces(COST * x.size, outer)
        _softmax_rows(count, unless_same(x, out), out, outer, C, count)
    else:
        count = pieces(COST * x.size, outer * -(-inner // WIDTH))
        buffer = borrow("softmax", (count, 2, WIDTH), np.float32)
        _softmax_columns(count, unless_same(x, out), out, buffer, outer, C, inner, count)
    return out


@task
def _softmax_rows(block, piece):
    """y[n, c] = exp(x[n, c] − m) / Σ exp(x[n, j] − m), for some rows n."""
    x, out, outer, C, count = values(block, 5)
    first, end = part(outer, piece, count)
    for n in range(first, end):
        y = floats_of(out, n * C, (n + 1) * C)
        if x:
            copy(floats_of(x, n * C, (n + 1) * C), y)
        most = _largest(y)
        for c in range(C):
            y[c] = exp(y[c] - most)
        total = sum_of(y)
        for c in range(C):
            y[c] /= total


@task
def _softmax_columns(block, piece):
    """Compute the softmax of x (outer, C, inner) along C, WIDTH columns at a time."""
    x, y, buffer, outer, C, inner, count = values(block, 7)
    chunks = (inner + WIDTH - 1) // WIDTH
    first, end = part(outer * chunks, piece, count)
    most = floats_of(buffer, 2 * piece * WIDTH, (2 * piece + 1) * WIDTH)
    total = floats_of(buffer, (2 * piece + 1) * WIDTH, (2 * piece + 2) * WIDTH)
    for chunk in range(first, end):
        start = chunk % chunks * WIDTH
        width, at = min(WIDTH, inner - start), chunk // chunks * C * inner + start
        _normalize_columns(x, y, at, C, inner, most[:width], total[:width])


@compiled
def _normalize_columns(x, y, at, C, inner, most, total):
    """Softmax down some columns, the first of which begins at number `at`; x is address 0 to work in place."""
    width = most.size
    most[:] = -np.inf
    total[:] = 0
    for c in range(C):
        row = floats_of(x if x else y, at + c * inner, at + c * inner + width)
        for i in range(width):
            most[i] = row[i] if row[i] > most[i] else most[i]
    for c in range(C):
        row = floats_of(y, at + c * inner, at + c * inner + width)
        if x:
            copy(floats_of(x, at + c * inner, at + c * inner + width), row)
        for i in range(width):
            row[i] = exp(row[i] - most[i])
            total[i] += row[i]
    for c in range(C):
        row = floats_of(y, at + c * inner, at + c * inner + width)
        for i in range(width):
            row[i] /= total[i]


@compiled
def _largest(x):
    """Return the maximum of x, and NaN if x has a NaN whose sign is +.

    The bits of the numbers are compared as integers: LLVM computes a maximum of integers with vectors, but because of
    NaN not one of floats. Where the sign is −, all other bits are flipped, so that the bits sort like the floats.
    """
    most = np.int32(-1 << 31)
    for i in range(x.size):
        bits = bits_of(x[i])
        most = max(most, bits ^ ((bits >> np.int32(31)) & np.int32(0x7fffffff)))
    return number_of(most ^ ((most >> np.int32(31)) & np.int32(0x7fffffff)))


# --- the loss of one class for each cell ---------------------------------------------------------------------------

@definitions.class_loss.implementation("numba", recordable=True)
def class_loss(p: np.ndarray, label: np.ndarray, least: float, Z: float, own: np.ndarray, wrong: np.ndarray,
               out: np.ndarray) -> None:
    """Each piece adds up its cells in float64. Then one task adds up the pieces, in their order."""
    count = pieces(own.size, worth=CELLS)
    sums = borrow("losses", (count, 2), np.float64)
    _class_losses(count, p, label, own, sums, own.size, *p.shape[1:], count, float(least))
    _add_losses(1, sums, count, float(Z), wrong, out)


@task
def _class_losses(block, piece):
    """sums[piece] = Σ −log max(p[own], least), and how many labels are no class, for some cells."""
    p, label, own, sums, cells, C, inner, count, least = values(block, 9)
    first, end = part(cells, piece, count)
    labels, classes, smallest = floats_of(label, first, end), indices_of(own, first, end), words.number(least)
    total, wrong = 0.0, 0.0
    for i in range(end - first):
        if not -1 < labels[i] < C:  # written so that NaN is wrong, too
            wrong += 1
            continue
        k, cell = np.int64(labels[i]), first + i
        classes[i] = k
        v = np.float64(words.floats(p + 4 * ((cell // inner * C + k) * inner + cell % inner), 1)[0])
        total -= math.log(smallest if v < smallest else v)
    mine = words.doubles(sums + 16 * piece, 2)
    mine[0], mine[1] = total, wrong


@task
def _add_losses(block, piece):
    """out = the sum of the pieces / Z, unless a label was wrong."""
    address, count, divisor, wrong_at, out = values(block, 5)
    sums, total, wrong = words.doubles(address, 2 * count), 0.0, 0.0
    for i in range(count):
        total += sums[2 * i]
        wrong += sums[2 * i + 1]
    indices_of(wrong_at, 0, 1)[0] = wrong > 0
    if wrong == 0:
        words.floats(out, 1)[0] = total / words.number(divisor)


@definitions.class_loss_grad.implementation("numba", recordable=True)
def class_loss_grad(p: np.ndarray, own: np.ndarray, dy: np.ndarray, Z: float, share: float, out: np.ndarray) -> None:
    """Scale all probabilities, then compute the number of each cell's own class anew."""
    count, cells = pieces(p.size), pieces(own.size, worth=CELLS)
    _scale(count, p, dy, float(Z), float(share), out, p.size, count)
    _take_own_away(cells, p, dy, float(Z), float(share), out, own.size, cells, own, *p.shape[1:])


@helper
def _factor(dy, divisor, share):
    """Return share · dy / Z."""
    return np.float32(np.float64(words.floats(dy, 1)[0]) / words.number(divisor) * words.number(share))


@task
def _scale(block, piece):
    """out = p · factor."""
    p, dy, divisor, share, target, size, count = values(block, 7)
    first, end = part(size, piece, count)
    factor, source, out = _factor(dy, divisor, share), floats_of(p, first, end), floats_of(target, first, end)
    for i in range(out.size):
        out[i] = source[i] * factor


@task
def _take_own_away(block, piece):
    """out[own] = (p[own] − 1) · factor, for some cells."""
    p, dy, divisor, share, target, cells, count, own, C, inner = values(block, 10)
    first, end = part(cells, piece, count)
    factor, classes = _factor(dy, divisor, share), indices_of(own, first, end)
    for cell in range(first, end):
        at = 4 * ((cell // inner * C + classes[cell - first]) * inner + cell % inner)
        words.floats(target + at, 1)[0] = (words.floats(p + at, 1)[0] - np.float32(1)) * factor
