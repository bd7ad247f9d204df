"""Twins of the correlations for small filters of stride 1: no columns, no matrix product.

A block of L images is laid side by side in the innermost axis, so that every pixel is a full vector register and a
filter's tap is one multiplication of it. Four filters share each pixel that is read. Other shapes go to the reference.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels import shards, tape
from minicaffe.kernels.jit import planes
from minicaffe.kernels.jit.compiled import compiled, compiled_sums
from minicaffe.kernels.reference import convolution as reference
from minicaffe.kernels.reference import winograd
from minicaffe.kernels.reference.im2col import Sizes
from minicaffe.kernels.workspace import borrow

BLOCKS = (8, 16)          # images in a block, L
TAPS = (3, 5)             # widths of a filter that have a loop of their own
MOST_CHANNELS = 32        # for three taps: beyond, a matrix product makes up for its columns
FILTERS = 4               # filters that share a pixel
WIDEST = 2048             # values of one row of a block: FILTERS rows of sums must stay in the first cache
PIECES = 12               # pieces at least, where the filters allow it
FILTERS_A_PIECE = 32      # filters in a piece, which lays out its images by itself; half as many where pieces are few
WEIGHT_LANES = 16         # partial weight gradients at most
LANE_VALUES = 1 << 23     # values of all partial weight gradients together


@reference.correlate.twin("numba", entries=True)
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """See the reference."""
    if _fits(x, w, stride, pad, dilation, out):
        tape.spoil()
        _slide(x, w.reshape(group, -1, *w.shape[1:]), b, pad, out)
    elif planes.fits(x, out) and not winograd.fits(x, w, stride, pad, dilation, group, out):
        planes.correlate(x, w, b, stride, pad, dilation, group, out)
    else:
        reference.correlate.reference(x, w, b, stride, pad, dilation, group, out)


@reference.correlate_data_grad.twin("numba")
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """See the reference. The adjoint of sliding w is sliding its mirror image, k − 1 − pad further out."""
    if _fits(out, w, stride, pad, dilation, dy):
        mirrored = w.reshape(group, -1, *w.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2)
        _slide(dy, mirrored, None, tuple(k - 1 - p for k, p in zip(w.shape[2:], pad, strict=True)), out)
    elif (planes.fits(dy, out) and set(stride) == {1}
          and not winograd.fits(out, w, stride, pad, dilation, group, dy)):
        planes.correlate_data_grad(dy, w, stride, pad, dilation, group, out)
    else:
        reference.correlate_data_grad.reference(dy, w, stride, pad, dilation, group, out)


@reference.correlate_weight_grad.twin("numba")
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """See the reference."""
    if not _fits(x, out, stride, pad, dilation, dy):
        reference.correlate_weight_grad.reference(x, dy, stride, pad, dilation, group, out)
        return
    blocks, (K, C, kh, kw) = _blocks(len(x)), out.shape
    filters = K // group
    packed = -(-filters // FILTERS) * FILTERS
    lanes = min(len(blocks), WEIGHT_LANES, max(1, LANE_VALUES // (group * packed * C * kh * kw)))
    splits = _splits(lanes * group, filters)
    partial = borrow("weight lanes", (lanes, group, splits, math.ceil(packed / splits / FILTERS) * FILTERS, C, kh, kw),
                     x.dtype)

    def piece(p: int) -> None:
        lane, rest = divmod(p, group * splits)
        g, s = divmod(rest, splits)
        dw = partial[lane, g, s]
        dw[...] = 0
        first = g * filters + s * dw.shape[0]
        count = max(0, min(dw.shape[0], (g + 1) * filters - first))
        for images, L in blocks[lane * len(blocks) // lanes:(lane + 1) * len(blocks) // lanes]:
            a = _lay_out(x[images, g * C:(g + 1) * C], pad[1], pad[1], L, "x block", spare=kw)
            c = _lay_out(dy[images, first:first + count], 0, kw - 1, L, "dy block", filters=dw.shape[0])
            _sum_products[L](a, c, pad[0], dy.shape[2], dw)

    shards.run(piece, lanes * group * splits)
    for lane in range(lanes):
        for g in range(group):
            out[g * filters:(g + 1) * filters] += partial[lane, g].reshape(-1, C, kh, kw)[:filters]


def _fits(x: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, y: np.ndarray) -> bool:
    """Whether this file has a loop for a correlation of x with w that gives y."""
    if x.ndim != 4 or w.shape[3] not in TAPS or set(stride) | set(dilation) != {1} or len(x) < 8:
        return False
    if any(p >= k for p, k in zip(pad, w.shape[2:], strict=True)):
        return False
    if w.shape[3] == 3 and w.shape[1] > MOST_CHANNELS:
        return False
    return max(x.shape[3] + 2 * pad[1], y.shape[3] + w.shape[3]) * _blocks(len(x))[0][1] <= WIDEST


def _blocks(images: int) -> list[tuple[slice, int]]:
    """The images in blocks of 16, the last of 8 if that is enough; each with its L."""
    blocks = [(slice(i, i + 16), 16) for i in range(0, images, 16)]
    if 0 < images % 16 <= 8:
        blocks[-1] = (blocks[-1][0], 8)
    return blocks


def _splits(pieces: int, filters: int) -> int:
    """In how many parts to cut the filters, so that there are enough pieces for the threads."""
    fewest = FILTERS_A_PIECE if pieces >= 4 else FILTERS_A_PIECE // 2
    return max(1, min(-(-PIECES // pieces), filters // fewest))


def _slide(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, pad: Sizes, out: np.ndarray) -> None:
    """out[n, k] = b[k] + the filters w (groups, K, C, kh, kw) slid over x."""
    blocks, (group, K, C, kh, kw) = _blocks(len(x)), w.shape
    packed = np.zeros((group, -(-K // FILTERS) * FILTERS, C, kh, kw), w.dtype)
    packed[:, :K] = w
    bias = np.zeros(group * K, w.dtype) if b is None else b
    splits = _splits(len(blocks) * group, K)
    step = math.ceil(packed.shape[1] / splits / FILTERS) * FILTERS

    def piece(p: int) -> None:
        block, rest = divmod(p, group * splits)
        (images, L), (g, s) = blocks[block], divmod(rest, splits)
        a = _lay_out(x[images, g * C:(g + 1) * C], pad[1], pad[1], L, "x block")
        filters = slice(g * K + s * step, min(g * K + (s + 1) * step, (g + 1) * K))
        sums = borrow("sums", (FILTERS * out.shape[3] * L,), x.dtype)
        _correlate_rows[L](a, packed[g, s * step:(s + 1) * step], bias[filters], pad[0], out[images, filters], sums)

    shards.run(piece, len(blocks) * group * splits)


def _lay_out(x: np.ndarray, left: int, right: int, L: int, slot: str, *, spare: int = 0,
             filters: int = 0) -> np.ndarray:
    """A block of images as (C, H, left + W + right, L), zeros beside the images and where there is none.

    `spare` pixels may be read past the end; `filters` makes room for so many channels.
    """
    _, C, H, W = x.shape
    shape = (max(C, filters), H, left + W + right, L)
    memory = borrow(slot, (math.prod(shape) + spare * L,), x.dtype)
    memory[math.prod(shape):] = 0
    block = memory[:math.prod(shape)].reshape(shape)
    block[C:] = 0
    _interleave(x, left, block)
    return memory if spare else block


@compiled
def _interleave(x, left, out):
    N, C, H, W = x.shape
    width, L = out.shape[2], out.shape[3]
    for c in range(C):
        for h in range(H):
            row = out[c, h]
            for q in range(left):
                for n in range(L):
                    row[q, n] = 0
            for q in range(left + W, width):
                for n in range(L):
                    row[q, n] = 0
            for q in range(W):
                for n in range(N):
                    row[left + q, n] = x[n, c, h, q]
                for n in range(N, L):
                    row[left + q, n] = 0


def _make_correlate_rows(L):
    """The loop for blocks of L images: the compiler must know L to see that rows of sums and pixels lie apart."""

    @compiled_sums
    def correlate_rows(x, w, b, pad, out, sums):
        N, K, oh, ow = out.shape
        C, H = x.shape[0], x.shape[1]
        kh, taps = w.shape[2], w.shape[3]
        pixels = x.reshape(C, H, x.shape[2] * L)
        size = ow * L
        s0, s1, s2, s3 = sums[:size], sums[size:2 * size], sums[2 * size:3 * size], sums[3 * size:4 * size]
        for r in range(oh):
            for k in range(0, w.shape[0], 4):
                for q in range(4 * size):
                    sums[q] = 0
                for c in range(C):
                    for i in range(max(0, pad - r), min(kh, H + pad - r)):
                        row = pixels[c, r + i - pad]
                        w00, w01, w02 = w[k, c, i, 0], w[k, c, i, 1], w[k, c, i, 2]
                        w10, w11, w12 = w[k + 1, c, i, 0], w[k + 1, c, i, 1], w[k + 1, c, i, 2]
                        w20, w21, w22 = w[k + 2, c, i, 0], w[k + 2, c, i, 1], w[k + 2, c, i, 2]
                        w30, w31, w32 = w[k + 3, c, i, 0], w[k + 3, c, i, 1], w[k + 3, c, i, 2]
                        if taps == 5:
                            w03, w04 = w[k, c, i, 3], w[k, c, i, 4]
                            w13, w14 = w[k + 1, c, i, 3], w[k + 1, c, i, 4]
                            w23, w24 = w[k + 2, c, i, 3], w[k + 2, c, i, 4]
                            w33, w34 = w[k + 3, c, i, 3], w[k + 3, c, i, 4]
                            for q in range(size):
                                x0, x1, x2, x3, x4 = row[q], row[q + L], row[q + 2 * L], row[q + 3 * L], row[q + 4 * L]
                                s0[q] += w00 * x0 + w01 * x1 + w02 * x2 + w03 * x3 + w04 * x4
                                s1[q] += w10 * x0 + w11 * x1 + w12 * x2 + w13 * x3 + w14 * x4
                                s2[q] += w20 * x0 + w21 * x1 + w22 * x2 + w23 * x3 + w24 * x4
                                s3[q] += w30 * x0 + w31 * x1 + w32 * x2 + w33 * x3 + w34 * x4
                        else:
                            for q in range(size):
                                x0, x1, x2 = row[q], row[q + L], row[q + 2 * L]
                                s0[q] += w00 * x0 + w01 * x1 + w02 * x2
                                s1[q] += w10 * x0 + w11 * x1 + w12 * x2
                                s2[q] += w20 * x0 + w21 * x1 + w22 * x2
                                s3[q] += w30 * x0 + w31 * x1 + w32 * x2
                for f in range(min(4, K - k)):
                    at, bias = f * size, b[k + f]
                    for n in range(N):
                        y = out[n, k + f, r]
                        for q in range(ow):
                            y[q] = sums[at + q * L + n] + bias

    return correlate_rows


def _make_sum_products(L):
    """The weight gradient's loop for blocks of L images."""

    @compiled_sums
    def sum_products(x, dy, pad, oh, dw):
        # x is flat, with spare pixels behind its end: where they are read, dy is 0
        K, width = dy.shape[0], dy.shape[2] * L
        C, kh, taps = dw.shape[1], dw.shape[2], dw.shape[3]
        H = x.size // (C * width)
        slopes = dy.reshape(K, oh * width)
        zero = dw.dtype.type(0)
        for k in range(0, K, 4):
            for c in range(C):
                for i in range(kh):
                    first, end = max(0, pad - i), min(oh, H + pad - i)
                    start = (c * H + first + i - pad) * width
                    row, size = x[start:], (end - first) * width
                    y0, y1 = slopes[k, first * width:], slopes[k + 1, first * width:]
                    y2, y3 = slopes[k + 2, first * width:], slopes[k + 3, first * width:]
                    s00 = s01 = s02 = s03 = s04 = zero
                    s10 = s11 = s12 = s13 = s14 = zero
                    s20 = s21 = s22 = s23 = s24 = zero
                    s30 = s31 = s32 = s33 = s34 = zero
                    if taps == 5:
                        for q in range(size):
                            x0, x1, x2, x3, x4 = row[q], row[q + L], row[q + 2 * L], row[q + 3 * L], row[q + 4 * L]
                            d0, d1, d2, d3 = y0[q], y1[q], y2[q], y3[q]
                            s00 += d0 * x0
                            s01 += d0 * x1
                            s02 += d0 * x2
                            s03 += d0 * x3
                            s04 += d0 * x4
                            s10 += d1 * x0
                            s11 += d1 * x1
                            s12 += d1 * x2
                            s13 += d1 * x3
                            s14 += d1 * x4
                            s20 += d2 * x0
                            s21 += d2 * x1
                            s22 += d2 * x2
                            s23 += d2 * x3
                            s24 += d2 * x4
                            s30 += d3 * x0
                            s31 += d3 * x1
                            s32 += d3 * x2
                            s33 += d3 * x3
                            s34 += d3 * x4
                        dw[k, c, i, 3] += s03
                        dw[k, c, i, 4] += s04
                        dw[k + 1, c, i, 3] += s13
                        dw[k + 1, c, i, 4] += s14
                        dw[k + 2, c, i, 3] += s23
                        dw[k + 2, c, i, 4] += s24
                        dw[k + 3, c, i, 3] += s33
                        dw[k + 3, c, i, 4] += s34
                    else:
                        for q in range(size):
                            x0, x1, x2 = row[q], row[q + L], row[q + 2 * L]
                            d0, d1, d2, d3 = y0[q], y1[q], y2[q], y3[q]
                            s00 += d0 * x0
                            s01 += d0 * x1
                            s02 += d0 * x2
                            s10 += d1 * x0
                            s11 += d1 * x1
                            s12 += d1 * x2
                            s20 += d2 * x0
                            s21 += d2 * x1
                            s22 += d2 * x2
                            s30 += d3 * x0
                            s31 += d3 * x1
                            s32 += d3 * x2
                    dw[k, c, i, 0] += s00
                    dw[k, c, i, 1] += s01
                    dw[k, c, i, 2] += s02
                    dw[k + 1, c, i, 0] += s10
                    dw[k + 1, c, i, 1] += s11
                    dw[k + 1, c, i, 2] += s12
                    dw[k + 2, c, i, 0] += s20
                    dw[k + 2, c, i, 1] += s21
                    dw[k + 2, c, i, 2] += s22
                    dw[k + 3, c, i, 0] += s30
                    dw[k + 3, c, i, 1] += s31
                    dw[k + 3, c, i, 2] += s32

    return sum_products


_correlate_rows = {L: _make_correlate_rows(L) for L in BLOCKS}
_sum_products = {L: _make_sum_products(L) for L in BLOCKS}
