"""Twins of the correlations: which images are woven, which are slid over as planes, what is left to the reference."""

from __future__ import annotations

import functools
import math

import numpy as np

from minicaffe.kernels.definitions import convolution as definitions
from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import layout, planes, winograd, words, woven
from minicaffe.kernels.numba_engine.entry import entry
from minicaffe.kernels.numba_engine.layout import Geometry
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.registers import LANES, MASKS
from minicaffe.kernels.numba_engine.tiles import zeros
from minicaffe.kernels.numba_engine.words import values
from minicaffe.kernels.winograd_matrices import worthwhile
from minicaffe.kernels.workspace import borrow

WIDEST_BLOCK = 3 << 18  # numbers of a group's woven pixels: more do not stay in a core's cache while filters slide
SPREADS = 1.25          # times as many pixels as slopes: then slopes are spread, for a mirrored filter would see zeros


@definitions.correlate.implementation("numba", recordable=True)
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """See the definition."""
    if not _fits(x, out):
        definitions.correlate.on("numpy")(x, w, b, stride, pad, dilation, group, out)
        return
    bias = zeros(len(w)) if b is None else b
    if _winograd_fits(x, w, stride, pad, dilation, group, out):
        winograd.correlate(x, w, bias, pad, group, out)
    else:
        _slide(x, w, bias, stride, pad, dilation, group, out)


@definitions.correlate_data_grad.implementation("numba", recordable=True)
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """See the definition."""
    if not _fits(dy, out):
        definitions.correlate_data_grad.on("numpy")(dy, w, stride, pad, dilation, group, out)
        return
    if _winograd_fits(out, w, stride, pad, dilation, group, dy):
        winograd.correlate_data_grad(dy, w, pad, group, out)
        return
    whole = 0
    if math.prod(out.shape[2:]) > SPREADS * math.prod(dy.shape[2:]):
        whole = len(dy) // LANES * LANES
        if whole:
            at = _geometry(out, w, dy, stride, pad, dilation)
            woven.correlate_data_grad(dy[:whole], w, at, stride, pad, group, out[:whole])
    if whole < len(dy):
        _gather(dy[whole:], w, stride, pad, dilation, group, out[whole:])


@definitions.correlate_weight_grad.implementation("numba", recordable=True)
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """See the definition."""
    if not _fits(x, dy):
        definitions.correlate_weight_grad.on("numpy")(x, dy, stride, pad, dilation, group, out)
        return
    if _winograd_fits(x, out, stride, pad, dilation, group, dy):
        winograd.correlate_weight_grad(x, dy, pad, group, out)
        return
    at = _geometry(x, out, dy, stride, pad, dilation)
    whole = 0 if at.bare else len(x) // LANES * LANES
    if whole:
        woven.add_weight_grad(x[:whole], dy[:whole], at, stride, pad, group, out)
    if whole < len(x):
        planes.add_weight_grad(x[whole:], dy[whole:], at, stride, pad, group, out)


def _fits(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether tiles serve: two spatial axes, something to compute."""
    return x.ndim == 4 and x.size > 0 and y.size > 0 and MASKS


def _winograd_fits(x: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                   y: np.ndarray) -> bool:
    return (winograd.fits(w.shape[1], len(w) // group)
            and worthwhile(x, w, stride, pad, dilation, group, y))


def _geometry(x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes) -> Geometry:
    return layout.geometry(w.shape[1], *x.shape[2:], tuple(w.shape[2:]), tuple(stride), tuple(pad), tuple(dilation),
                           *y.shape[2:])


def _slide(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
           out: np.ndarray) -> None:
    """Woven, where images fill blocks that stay in a cache; as planes, those that are left."""
    at = _geometry(x, w, out, stride, pad, dilation)
    weaves = not at.bare and w.shape[1] * at.channel * LANES <= WIDEST_BLOCK
    whole = len(x) // LANES * LANES if weaves else 0
    if whole:
        woven.correlate(x[:whole], w, b, at, stride, pad, group, out[:whole])
    if whole < len(x):
        planes.correlate(x[whole:], w, b, at, stride, pad, group, out[whole:])


def _gather(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
            out: np.ndarray) -> None:
    """out: the pixels of each phase of the stride are correlations of dy with the filters' taps that reach them."""
    nothing, (H, W) = zeros(out.shape[1]), out.shape[2:]
    rows, columns = (_phases(*sizes) for sizes in zip(w.shape[2:], stride, pad, dilation, strict=True))
    for a, row_taps, row_pad, row_step in rows:
        for b, column_taps, column_pad, column_step in columns:
            target = out
            if max(stride) > 1:
                target = borrow("phase", (*out.shape[:2], max(0, -(-(H - a) // stride[0])),
                                          max(0, -(-(W - b) // stride[1]))), out.dtype)
            if not target.size:
                continue
            if len(row_taps) and len(column_taps):
                filters = layout.turn(w, row_taps, column_taps, group)
                _slide(dy, filters, nothing, (1, 1), (row_pad, column_pad), (row_step, column_step), group, target)
            layout.spread(target, out, (a, b), stride, zero=not (len(row_taps) and len(column_taps)))


@functools.lru_cache(maxsize=64)
def _phases(kernel: int, stride: int, pad: int, dilation: int) -> list[tuple[int, np.ndarray, int, int]]:
    """For every s-th pixel from a on: a, the taps that reach it, with the padding and dilation of their correlation.

    Pixel a + u·s is reached by tap i from output u + (a + pad − i·dilation) / s, where that is a whole number.
    """
    phases = []
    for a in range(stride):
        taps = np.array([i for i in reversed(range(kernel)) if (a + pad - i * dilation) % stride == 0], np.int64)
        first = (a + pad - dilation * int(taps[0])) // stride if len(taps) else 0
        phases.append((a, taps, -first, dilation // math.gcd(dilation, stride)))
    return phases


@definitions.add_channel_sums.implementation("numba", recordable=True)
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """See the reference. A channel of an image is summed in float32, channels over the images in float64."""
    N, K = dy.shape[:2]
    if dy.size and dy.flags.c_contiguous:
        count = pieces(dy.size, K)
        _add_channel_sums(count, dy, out, N, K, dy.size // (N * K), count)
    else:
        definitions.add_channel_sums.on("numpy")(dy, out)


@entry(sums=True)
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
