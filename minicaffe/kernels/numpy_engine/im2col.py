"""im2col as one copy of a view, and col2im with as few operations as numpy allows."""

from __future__ import annotations

import functools
from operator import mul

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minicaffe.kernels.definitions import im2col as definitions
from minicaffe.kernels.definitions.im2col import Index, Sizes, by_place, window_pixels
from minicaffe.kernels.workspace import borrow


@definitions.im2col.implementation("numpy")
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Copy a view of the images in which a pixel appears once for each window that covers it.

    This is one long operation, where the definition has a short one for each place in the window. Between two
    operations a thread must wait for its turn at the interpreter's lock.
    """
    _, kernel, positions = by_place(out)
    pixels = _padded(x, tuple((o - 1) * s + (k - 1) * d + 1
                              for k, o, s, d in zip(kernel, positions, stride, dilation, strict=True)), pad)
    # In memory, a step in the window is `dilation` pixels long, and a step to the next window `stride` pixels.
    n, c, *steps = pixels.strides
    strides = (c, *map(mul, steps, dilation), n, *map(mul, steps, stride))
    out[...] = as_strided(pixels, out.shape, strides, writeable=False)


@definitions.col2im.implementation("numpy")
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add the columns with one index for each place in the window, where the definition needs two.

    Few numbers are added at a time, so the second index would cost a tenth of the time.
    """
    _, kernel, positions = by_place(columns)
    for column, pixel in _places(kernel, stride, pad, dilation, positions, out.shape[2:]):
        out[pixel] += columns[column].swapaxes(0, 1)


@functools.lru_cache(maxsize=256)  # the same few windows come again in every pass
def _places(kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, positions: Sizes,
            sizes: Sizes) -> list[tuple[Index, Index]]:
    """Return the index into the columns and the index into the images of each place in the window."""
    every = slice(None)
    return [((every, *i, every, *o[1:]), (every, every, *q[1:]))
            for i, o, q in window_pixels(kernel, stride, pad, dilation, positions, sizes)]


def _padded(x: np.ndarray, sizes: Sizes, pad: Sizes) -> np.ndarray:
    """Return the images with zeros around them: the part (N, C, *sizes) that begins at −pad."""
    one = (1,) * len(sizes)
    _, inside, pixels = window_pixels(one, one, pad, one, sizes, x.shape[2:])[0]  # a window of one pixel sees them all
    if x[pixels].shape[2:] == sizes:  # windows see no padding, so nothing is copied
        return x[pixels]
    padded = borrow("padded", (*x.shape[:2], *sizes), x.dtype)
    padded.fill(0)
    padded[inside] = x[pixels]
    return padded
