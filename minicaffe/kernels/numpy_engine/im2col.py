"""Images to columns and back: what turns a convolution into one matrix product."""

from __future__ import annotations

import functools
from operator import mul

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minicaffe.kernels.definitions import im2col as definitions
from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numpy_engine.windows import Slices, reach_all
from minicaffe.kernels.workspace import borrow


@definitions.im2col.implementation("numpy")
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Lay out what the window sees at every position; zeros where it sees padding.

    x (N, C, *sizes), out (C, *kernel, N, *positions):
    out[c, i, n, o] = x[n, c, o·stride + i·dilation − pad]

    A negative pad lets the first window begin inside the image.
    """
    window = _window(out)
    pixels = _padded(x, tuple((o - 1) * s + (k - 1) * d + 1
                              for k, o, s, d in zip(*window, stride, dilation, strict=True)), pad)
    n, c, *steps = pixels.strides
    strides = (c, *map(mul, steps, dilation), n, *map(mul, steps, stride))
    # one copy of a view in which a pixel stands once for each window that sees it, not one copy a place in the window:
    # every operation waits for its turn at the interpreter's lock
    out[...] = as_strided(pixels, out.shape, strides, writeable=False)


def _padded(x: np.ndarray, sizes: Sizes, pad: Sizes) -> np.ndarray:
    """The part (N, C, *sizes) of the images, on endless grounds of zeros, that begins at −pad."""
    every = slice(None)
    at, seen = reach_all([-p for p in pad], x.shape[2:], sizes, [1] * len(sizes))
    target, source = (every, every, *at), (every, every, *seen)
    if x[source].shape[2:] == sizes:
        return x[source]
    padded = borrow("padded", (*x.shape[:2], *sizes), x.dtype)
    padded.fill(0)
    padded[target] = x[source]
    return padded


@definitions.col2im.implementation("numpy")
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add every column entry to the pixel it was copied from: out += the adjoint of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes)
    """
    for column, pixel in _taps(out.shape[2:], _window(columns), stride, pad, dilation):
        out[pixel] += columns[column].swapaxes(0, 1)


def _window(columns: np.ndarray) -> tuple[Sizes, Sizes]:
    """The kernel and the positions of columns."""
    axes = columns.ndim // 2 - 1
    return columns.shape[1:1 + axes], columns.shape[2 + axes:]


@functools.lru_cache(maxsize=256)
def _taps(sizes: Sizes, window: tuple[Sizes, Sizes], stride: Sizes, pad: Sizes,
          dilation: Sizes) -> list[tuple[tuple[int | slice, ...], Slices]]:
    """For each place in the window, where it stands in the columns and which pixels it meets.

    The same few geometries come again in every pass, and their arithmetic would take longer than the sums.
    """
    (kernel_sizes, positions), every, taps = window, slice(None), []
    for tap in np.ndindex(*kernel_sizes):
        offsets = [i * d - p for i, d, p in zip(tap, dilation, pad, strict=True)]
        at, seen = reach_all(offsets, sizes, positions, stride)
        taps.append(((every, *tap, every, *at), (every, every, *seen)))
    return taps
