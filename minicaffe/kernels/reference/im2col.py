"""Images to columns and back: what turns a convolution into one matrix product."""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.reference.windows import Slices, reach_all
from minicaffe.kernels.registry import kernel

Sizes = tuple[int, ...]


@kernel
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Lay out what the window sees at every position; zeros where it sees padding.

    x (N, C, *sizes), out (C, *kernel, N, *positions):
    out[c, i, n, o] = x[n, c, o·stride + i·dilation − pad]

    A negative pad lets the first window begin inside the image.
    """
    taps, all_seen = _taps(x.shape[2:], _window(out), stride, pad, dilation)
    if not all_seen:
        out.fill(0)
    for column, pixel in taps:
        out[column] = x[pixel].swapaxes(0, 1)


@kernel
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add every column entry to the pixel it was copied from: out += the adjoint of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes)
    """
    for column, pixel in _taps(out.shape[2:], _window(columns), stride, pad, dilation)[0]:
        out[pixel] += columns[column].swapaxes(0, 1)


def _window(columns: np.ndarray) -> tuple[Sizes, Sizes]:
    """The kernel and the positions of columns."""
    axes = columns.ndim // 2 - 1
    return columns.shape[1:1 + axes], columns.shape[2 + axes:]


@functools.lru_cache(maxsize=256)
def _taps(sizes: Sizes, window: tuple[Sizes, Sizes], stride: Sizes, pad: Sizes,
          dilation: Sizes) -> tuple[list[tuple[tuple[int | slice, ...], Slices]], bool]:
    """For each place in the window, where it stands in the columns and which pixels it meets; whether it always does.

    The same few geometries come again in every pass, and their arithmetic would take longer than the copies.
    """
    (kernel_sizes, positions), every, taps = window, slice(None), []
    all_seen = True
    for tap in np.ndindex(*kernel_sizes):
        offsets = [i * d - p for i, d, p in zip(tap, dilation, pad, strict=True)]
        at, seen = reach_all(offsets, sizes, positions, stride)
        all_seen &= at == tuple(slice(0, o) for o in positions)
        taps.append(((every, *tap, every, *at), (every, every, *seen)))
    return taps, all_seen
