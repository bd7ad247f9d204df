"""Correlations without column matrices: the choice between the four ways to compute one.

Winograd's transforms (winograd_slices.py, winograd.py) take 3×3 and 5×5 filters with many channels. Otherwise filters
slide over the images.
Filters that read one channel each slide over the images as they lie (depthwise.py).
A data gradient is scattered where a mirrored filter would see little but zeros (scattering.py, interleaved.py).
Where there are enough images, blocks of them are interleaved (interleaved.py). The rest become padded planes
(planes.py).
Other numbers of axes, and processors without masked vectors, are left to the numpy engine.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from minicaffe.kernels.definitions import convolution as definitions
from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import (
    depthwise,
    interleaved,
    layout,
    planes,
    scattering,
    winograd,
    winograd_slices,
    words,
)
from minicaffe.kernels.numba_engine.layout import Geometry
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.registers import MASKS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import tile_memory, zeros
from minicaffe.kernels.numba_engine.words import values
from minicaffe.kernels.winograd_matrices import worthwhile
from minicaffe.kernels.workspace import borrow

WIDEST_BLOCK = 3 << 18  # numbers of a block and group that stay in a core's cache while filters slide over them
STRETCH = 64            # channels whose sums, as float64, fit into the memory of a tile
WIDEST_ROWS = 1 << 17   # the same for the rows that outputs of one row are computed from, of a larger block
SPREADS = 1.25          # from so many times more pixels than outputs on, the data gradient is scattered: see below


@definitions.correlate.implementation("numba", recordable=True)
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """Use Winograd's transforms where they fit, else slide the filters."""
    if not _fits(x, out):
        definitions.correlate.on("numpy")(x, w, b, stride, pad, dilation, group, out)
        return
    bias = zeros(len(w)) if b is None else b
    if winograd_slices.fits(w, stride, pad, dilation, group, out):
        winograd_slices.correlate(x, w, bias, pad, group, out)
    else:
        _slide(x, w, bias, stride, pad, dilation, group, out)


@definitions.correlate_data_grad.implementation("numba", recordable=True)
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """Use Winograd's transforms, scatter dy, or correlate dy with mirrored filters."""
    if not _fits(dy, out):
        definitions.correlate_data_grad.on("numpy")(dy, w, stride, pad, dilation, group, out)
        return
    if winograd_slices.fits(w, stride, pad, dilation, group, dy):
        winograd_slices.correlate_data_grad(dy, w, pad, group, out)
        return
    if scattering.stamps_fit(w, stride, dilation):
        scattering.stamp(dy, w, stride, pad, dilation, group, out)
        return
    whole = 0
    if _scatters(dy, w, stride, dilation, group, out):
        whole = len(dy) // VECTOR * VECTOR
        if whole:
            at = _geometry(out, w, dy, stride, pad, dilation)
            interleaved.correlate_data_grad(dy[:whole], w, at, stride, pad, group, out[:whole])
    if whole < len(dy):
        by_columns = scattering.columns_fit(dy, w, stride, pad, dilation, group, out)
        (scattering.by_columns if by_columns else _gather)(dy[whole:], w, stride, pad, dilation, group, out[whole:])


@definitions.correlate_weight_grad.implementation("numba", recordable=True)
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """Use Winograd's transforms, or products of dy with the pixels at each tap's offset."""
    if not _fits(x, dy):
        definitions.correlate_weight_grad.on("numpy")(x, dy, stride, pad, dilation, group, out)
        return
    if worthwhile(out, stride, pad, dilation, group, dy) and winograd_slices.whole_vectors(out, group):
        winograd.correlate_weight_grad(x, dy, pad, group, out)
        return
    at = _geometry(x, out, dy, stride, pad, dilation)
    whole = 0 if at.bare else len(x) // VECTOR * VECTOR  # bare images need no layout at all, so none is interleaved
    if whole:
        interleaved.add_weight_grad(x[:whole], dy[:whole], at, stride, pad, group, out)
    if whole < len(x):
        planes.add_weight_grad(x[whole:], dy[whole:], at, stride, pad, group, out)


def _fits(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether tiles can compute this: two spatial axes, masked vectors, and something to compute."""
    return x.ndim == 4 and x.size > 0 and y.size > 0 and MASKS


def _scatters(dy: np.ndarray, w: np.ndarray, stride: Sizes, dilation: Sizes, group: int, out: np.ndarray) -> bool:
    """Return whether to add each gradient to the pixels that its output was computed from.

    With a stride, or without padding, a correlation with mirrored filters reads many zeros beside dy, so this is less
    work. But with stride 1 interleaved.py leaves the zeros out itself.
    """
    height, width = (size + (k - 1) * d for size, k, d in zip(out.shape[2:], w.shape[2:], dilation, strict=True))
    leaves_out = max(stride) == 1 and _stay_in_cache(len(w) // group, w.shape[2], width, height * width)
    return not leaves_out and math.prod(out.shape[2:]) > SPREADS * math.prod(dy.shape[2:])


def _stay_in_cache(channels: int, kh: int, row: int, plane: int) -> bool:
    """Return whether interleaved channels with so many numbers in a row and a plane are read from a core's cache."""
    return channels * VECTOR * kh * row <= WIDEST_ROWS or channels * VECTOR * plane <= WIDEST_BLOCK


def _geometry(x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes) -> Geometry:
    return layout.geometry(w.shape[1], *x.shape[2:], tuple(w.shape[2:]), tuple(stride), tuple(pad), tuple(dilation),
                           *y.shape[2:])


def _slide(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
           out: np.ndarray) -> None:
    """out = b + w ⋆ x: interleaved where images fill blocks that stay in a cache, the other images as planes."""
    if depthwise.fits(w, stride, group):
        depthwise.correlate(x, w, b, stride, pad, dilation, group, out)
        return
    at = _geometry(x, w, out, stride, pad, dilation)
    row = at.width * len(at.phases[1])
    interleaves = not at.bare and _stay_in_cache(w.shape[1], w.shape[2], row, at.channel)
    whole = len(x) // VECTOR * VECTOR if interleaves else 0
    if whole:
        interleaved.correlate(x[:whole], w, b, at, stride, pad, group, out[:whole])
    if whole < len(x):
        planes.correlate(x[whole:], w, b, at, stride, pad, group, out[whole:])


def _gather(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
            out: np.ndarray) -> None:
    """out = the gradient of x, each pixel from the gradients of all outputs that it was read for.

    With a stride s, only every s-th tap reads a given pixel. So pixels fall into s × s phases, and each phase is a
    correlation of dy with the taps that read its pixels.
    """
    nothing, (H, W) = zeros(out.shape[1]), out.shape[2:]
    rows, columns = (_phases(*sizes) for sizes in zip(w.shape[2:], stride, pad, dilation, strict=True))
    for a, row_taps, row_pad, row_step in rows:
        for b, column_taps, column_pad, column_step in columns:
            target = out
            if max(stride) > 1:
                target = borrow("phase", (*out.shape[:2], max(0, -(-(H - a) // stride[0])),
                                          max(0, -(-(W - b) // stride[1]))), out.dtype)
            if not target.size:  # the stride is larger than the image
                continue
            if len(row_taps) and len(column_taps):
                filters = layout.turn(w, row_taps, column_taps, group)
                _slide(dy, filters, nothing, (1, 1), (row_pad, column_pad), (row_step, column_step), group, target)
            layout.spread(target, out, (a, b), stride, zero=not (len(row_taps) and len(column_taps)))


@functools.lru_cache(maxsize=64)
def _phases(kernel: int, stride: int, pad: int, dilation: int) -> list[tuple[int, np.ndarray, int, int]]:
    """For every s-th pixel from a on: a, the taps that read it, with the padding and dilation of their correlation.

    Pixel a + u·s is read by tap i for output u + (a + pad − i·dilation) / s, where that is a whole number.
    """
    phases = []
    for a in range(stride):
        taps = np.array([i for i in reversed(range(kernel)) if (a + pad - i * dilation) % stride == 0], np.int64)
        first = (a + pad - dilation * int(taps[0])) // stride if len(taps) else 0
        phases.append((a, taps, -first, dilation // math.gcd(dilation, stride)))
    return phases


@definitions.add_channel_sums.implementation("numba", recordable=True)
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """Read dy once. A channel of an image is summed in float32, these sums over the images in float64."""
    N, K = dy.shape[:2]
    if dy.size and dy.flags.c_contiguous:  # a task takes no array with gaps
        count, P = pieces(dy.size, K), dy.size // (N * K)
        if P == 1:
            _add_row_sums(count, dy, out, N, K, count)
        else:
            _add_channel_sums(count, dy, out, N, K, P, count)
    else:
        definitions.add_channel_sums.on("numpy")(dy, out)


@task(sums=True)
def _add_channel_sums(block, piece):
    """out[k] += Σ dy[n, k, j] over n and j, for some channels k."""
    dy, sums, N, K, P, count = values(block, 6)
    out = words.floats(sums, K)
    first, end = part(K, piece, count)
    for k in range(first, end):
        total = np.float64(0)
        for n in range(N):
            row, of_image = floats_of(dy, (n * K + k) * P, (n * K + k + 1) * P), np.float32(0)
            for j in range(P):
                of_image += row[j]
            total += of_image
        out[k] += np.float32(total)


@task
def _add_row_sums(block, piece):
    """out[k] += Σ dy[n, k] over n, for some k, STRETCH of them at a time: memory is read in its order, row by row."""
    dy, sums, N, K, count = values(block, 5)
    first, end = part(K, piece, count)
    totals = words.array_at(words.double_pointer(tile_memory()), STRETCH)
    for start in range(first, end, STRETCH):
        out = floats_of(sums, start, min(end, start + STRETCH))
        for k in range(STRETCH):
            totals[k] = 0
        for n in range(N):
            row = floats_of(dy, n * K + start, n * K + start + out.size)
            for k in range(row.size):
                totals[k] += row[k]
        for k in range(out.size):
            out[k] += np.float32(totals[k])
