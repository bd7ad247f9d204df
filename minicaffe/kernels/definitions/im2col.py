"""Copy images to columns and back, and list the pixels under a sliding window, for convolution and pooling too.

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
    """Add every entry of the columns to the pixel that im2col copied it from: the backward pass of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes):
    out[n, c, q] += Σ columns[c, i, n, o] over all i, o with o·stride + i·dilation − pad = q
    """
    columns, kernel, positions = by_place(columns)
    for i, o, q in window_pixels(kernel, stride, pad, dilation, positions, out.shape[2:]):
        out[q] += columns[i][o].swapaxes(0, 1)


@functools.lru_cache(maxsize=256)  # the same few windows come again in every pass
def window_pixels(kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, positions: Sizes,
                  sizes: Sizes) -> list[tuple[Sizes, Index, Index]]:
    """Return all (i, o, q) for which place i of the window at position o is on pixel q = o·stride + i·dilation − pad.

    The list has one element for each place i, row by row. Its o selects all positions at which i is on a pixel, and
    its q for these pixels, in the same order. Both are slices along the last axes of arrays (…, *positions) and
    (…, *sizes), so that `y[o] += w * x[q]` treats all positions at once. Where i is in the padding there is no
    pixel, so that position is not in o.
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
