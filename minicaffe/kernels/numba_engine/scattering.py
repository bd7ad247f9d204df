"""Data gradients by scattering: each output's gradient is added to the pixels that the output was computed from.

A correlation with mirrored filters (convolution.py) gathers them instead. It needs one correlation for each of s × s
phases, and reads many zeros where an image is not much larger than a filter. Two cases are quicker in the other
direction:

  stamps    a large stride, as where a Deconvolution makes images larger: a row of a filter is added to a line of x
  columns   a large filter on a small image, as in a fully convolutional net: wᵀ · dy is one product of matrices
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.definitions.matmul import matmul
from minicaffe.kernels.numba_engine import tiles
from minicaffe.kernels.numba_engine.layout import reach
from minicaffe.kernels.numba_engine.matmul import LARGE
from minicaffe.kernels.numba_engine.pieces import copy, floats_of, part, pieces
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import ROWS, WIDTH, starts
from minicaffe.kernels.numba_engine.words import values
from minicaffe.kernels.workspace import borrow

PHASES = 64             # from so many phases on, each of them is too little work
PRODUCT_WORK = 1 << 23  # multiplications from which a product is worth its columns
MORE_PIXELS = 1.5       # from so many outputs for each gradient on, mirrored filters read too many zeros


def stamps_fit(w: np.ndarray, stride: Sizes, dilation: Sizes) -> bool:
    """Return whether filters are stamped: the stride is large, and a row of a filter fills a vector."""
    return math.prod(stride) >= PHASES and w.shape[3] >= VECTOR and dilation[1] == 1


def columns_fit(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                out: np.ndarray) -> bool:
    """Return whether columns are less work than mirrored filters, and take no more memory than w.

    A large product for filters of one tap needs no columns, and mirrored filters would be a copy of them.
    """
    P, (H, W) = math.prod(dy.shape[2:]), out.shape[2:]
    if _are_columns(w, stride, pad):
        return len(w) // group * P >= LARGE
    gathered = H * (W + (w.shape[3] - 1) * dilation[1]) / math.prod(stride)
    return gathered > MORE_PIXELS * P and len(w) // group >= P and P * w.size >= PRODUCT_WORK


def _are_columns(w: np.ndarray, stride: Sizes, pad: Sizes) -> bool:
    """Return whether each pixel is read by one output alone, through the only tap, so that x is its own columns."""
    return set(w.shape[2:]) | set(stride) == {1} and not any(pad)


def stamp(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
          out: np.ndarray) -> None:
    """out = the gradient of x, line by line: all rows of filters that lie on a line are added up in a cache."""
    (N, K, oh, ow), (C, H, W), (kh, kw) = dy.shape, out.shape[1:], w.shape[2:]
    length = max((ow - 1) * stride[1] + kw, pad[1] + W)
    count = pieces(out.size, N * C * H)
    _stamp(count, dy, w, out, borrow("line of an image", (count, length), dy.dtype),
           starts(C // group * kh * kw, K // group), starts(stride[1], ow), N * C * H, group, K // group, C // group, H,
           W, oh, ow, kh, kw, *stride, *pad, dilation[0], length, count)


@task
def _stamp(block, piece):
    """x[n, c, h, v · sw + j − pw] = Σ w[k, c, i, j] · dy[n, k, u, v] over k and v, u · sh + i · dh − ph = h."""
    (dy, w, x, memory, offsets, ends, lines, group, filters, channels, H, W, oh, ow, kh, kw, sh, _, ph, pw, dh, length,
     count) = values(block, 23)
    begin, stop = part(lines, piece, count)
    line, of_filter = memory + 4 * piece * length, channels * kh * kw
    for at in range(begin, stop):
        image, h = at // H, at % H  # a channel of an image
        n, g, c = image // (group * channels), image // channels % group, image % channels
        floats_of(line, 0, length)[:] = 0
        for i in range(kh):
            below = h + ph - i * dh
            u = below // sh
            if below % sh or u < 0 or u >= oh:
                continue
            row = w + 4 * (g * filters * of_filter + (c * kh + i) * kw)
            grads = dy + 4 * ((n * group + g) * filters * oh + u) * ow
            for j in range(0, kw, WIDTH):
                for v in range(0, ow, ROWS):
                    tiles.multiply_and_add(grads + 4 * v, 1, min(ROWS, ow - v), oh * ow, row + 4 * j, offsets, filters,
                                           min(WIDTH, kw - j), ends + 8 * v, line + 4 * j)
        copy(floats_of(line, pw, pw + W), floats_of(x, at * W, (at + 1) * W))


def by_columns(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
               out: np.ndarray) -> None:
    """out = the gradient of x: columns = wᵀ · dy, each of which is added to the pixels of a filter's place."""
    (N, K, oh, ow), (C, H, W), (kh, kw) = dy.shape, out.shape[1:], w.shape[2:]
    filters, P = w.reshape(group, K // group, -1), oh * ow
    bare = _are_columns(w, stride, pad)
    columns = borrow("columns", (0 if bare else group, filters.shape[2], P), dy.dtype)
    for n in range(N):
        product = out[n].reshape(group, -1, P) if bare else columns
        for g, grads in enumerate(dy[n].reshape(group, K // group, P)):
            matmul(filters[g].T, grads, product[g])
        if not bare:
            count = pieces(columns.size, C)
            _add_columns(count, columns, out[n], C, H, W, oh, ow, kh, kw, *stride, *pad, *dilation, count)


@task
def _add_columns(block, piece):
    """x[c, u · sh + i · dh − ph, v · sw + j · dw − pw] = Σ columns[c, i, j, u, v], for some channels c."""
    columns, x, C, H, W, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw, count = values(block, 16)
    begin, stop = part(C, piece, count)
    floats_of(x, begin * H * W, stop * H * W)[:] = 0
    for c in range(begin, stop):
        for tap in range(kh * kw):
            top, left = tap // kw * dh - ph, tap % kw * dw - pw
            first, end = reach(left, sw, W, ow)
            for u in range(oh):
                h = u * sh + top
                if h < 0 or h >= H:
                    continue
                start, row = (c * H + h) * W + left, ((c * kh * kw + tap) * oh + u) * ow
                source = floats_of(columns, row + first, row + end)
                target = floats_of(x, start + first * sw, start + end * sw)
                for v in range(end - first):
                    target[v * sw] += source[v]
