"""Images to columns and back, and the pixels that a sliding window lies on: convolution and pooling use them too.

Why columns serve a convolution: docs/maths/vision.md#convolution-and-deconvolution
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicaffe.kernels.registry import kernel

Sizes = tuple[int, ...]
Index = tuple[Any, ...]  # what stands between the brackets of an array


@kernel
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Lay out what the window sees at every position; zeros where it sees padding.

    x (N, C, *sizes), out (C, *kernel, N, *positions):
    out[c, i, n, o] = x[n, c, o·stride + i·dilation − pad]

    A negative pad lets the first window begin inside the image.
    """
    columns, kernel, positions = by_place(out)
    columns.fill(0)
    for i, o, q in window_pixels(kernel, stride, pad, dilation, positions, x.shape[2:]):
        columns[i][o] = x[q].swapaxes(0, 1)


@kernel
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add every number of the columns to the pixel that im2col copied it from: the adjoint of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes):
    out[n, c, q] += Σ columns[c, i, n, o] over all i, o with o·stride + i·dilation − pad = q
    """
    columns, kernel, positions = by_place(columns)
    for i, o, q in window_pixels(kernel, stride, pad, dilation, positions, out.shape[2:]):
        out[q] += columns[i][o].swapaxes(0, 1)


@functools.lru_cache(maxsize=256)  # the same few windows come again in every pass
def window_pixels(kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, positions: Sizes,
                  sizes: Sizes) -> list[tuple[Sizes, Index, Index]]:
    """All (i, o, q) for which place i of the window at position o lies on pixel q = o·stride + i·dilation − pad.

    One place i after the other, in reading order, comes with all its positions o and all their pixels q. What lies
    in the padding is no pixel, and is left out. `o` and `q` index the last axes of arrays (…, *positions) and
    (…, *sizes).
    """
    found = []
    for i in np.ndindex(*kernel):
        o, q = [], []
        for place, s, p, d, count, size in zip(i, stride, pad, dilation, positions, sizes, strict=True):
            offset = place * d - p                            # q = o·s + offset
            first = max(0, -(offset // s))                    # the first o with q ≥ 0
            end = max(first, min(count, (size - 1 - offset) // s + 1))  # one after the last o with q < size
            o.append(slice(first, end))
            q.append(slice(first * s + offset, end * s + offset, s))
        found.append((i, (..., *o), (..., *q)))
    return found


def by_place(columns: np.ndarray) -> tuple[np.ndarray, Sizes, Sizes]:
    """Columns (C, *kernel, N, *positions) seen as (*kernel, C, N, *positions); then kernel and positions."""
    axes = columns.ndim // 2 - 1
    return np.moveaxis(columns, 0, axes), columns.shape[1:1 + axes], columns.shape[2 + axes:]
