"""im2col and col2im for two spatial axes, and for one, which is seen as two of which the first has size 1."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import im2col as definitions
from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.layout import reach


@definitions.im2col.implementation("numba")
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Row by row: which outputs lie inside the image is computed once for a row, so the inner loops only copy."""
    if x.ndim == 4:
        _im2col(x, *stride, *pad, *dilation, out)
    elif x.ndim == 3:
        N, C, W = x.shape
        _, k, _, o = out.shape
        _im2col(x.reshape(N, C, 1, W), 1, *stride, 0, *pad, 1, *dilation, out.reshape(C, 1, k, N, 1, o))
    else:
        definitions.im2col.on("numpy")(x, stride, pad, dilation, out)


@definitions.col2im.implementation("numba")
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Row by row, as im2col; the inner loops only add."""
    if out.ndim == 4:
        _col2im(columns, *stride, *pad, *dilation, out)
    elif out.ndim == 3:
        N, C, W = out.shape
        _, k, _, o = columns.shape
        _col2im(columns.reshape(C, 1, k, N, 1, o), 1, *stride, 0, *pad, 1, *dilation, out.reshape(N, C, 1, W))
    else:
        definitions.col2im.on("numpy")(columns, stride, pad, dilation, out)


@compiled
def _im2col(x, sh, sw, ph, pw, dh, dw, out):
    N, C, H, W = x.shape
    _, kh, kw, _, oh, ow = out.shape
    # The arrays are flat, because to make a view of each row would take longer than to copy it. Indices are unsigned,
    # because numba tests for signed ones whether they are negative.
    source, target = x.reshape(x.size), out.reshape(out.size)
    to, width, step = np.uintp(0), np.uintp(ow), np.uintp(sw)
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                left = j * dw - pw
                first, end = reach(left, sw, W, ow)
                before, count, upto = np.uintp(first), np.uintp(end - first), np.uintp(end)
                for n in range(N):
                    for r in range(oh):
                        h = r * sh + i * dh - ph
                        if 0 <= h < H and end > first:
                            seen, at = np.uintp(((n * C + c) * H + h) * W + first * sw + left), to + before
                            if sw == 1:
                                for q in range(count):
                                    target[at + q] = source[seen + q]
                            else:
                                for q in range(count):
                                    target[at + q] = source[seen + q * step]
                            for q in range(before):
                                target[to + q] = 0
                            for q in range(upto, width):
                                target[to + q] = 0
                        else:
                            for q in range(width):
                                target[to + q] = 0
                        to += width


@compiled
def _col2im(columns, sh, sw, ph, pw, dh, dw, out):
    N, C, H, W = out.shape
    _, kh, kw, _, oh, ow = columns.shape
    source, target = columns.reshape(columns.size), out.reshape(out.size)
    start, width, step = np.uintp(0), np.uintp(ow), np.uintp(sw)
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                left = j * dw - pw
                first, end = reach(left, sw, W, ow)
                before, count = np.uintp(first), np.uintp(end - first)
                for n in range(N):
                    for r in range(oh):
                        h = r * sh + i * dh - ph
                        if 0 <= h < H and end > first:
                            seen, at = np.uintp(((n * C + c) * H + h) * W + first * sw + left), start + before
                            if sw == 1:
                                for q in range(count):
                                    target[seen + q] += source[at + q]
                            else:
                                for q in range(count):
                                    target[seen + q * step] += source[at + q]
                        start += width
