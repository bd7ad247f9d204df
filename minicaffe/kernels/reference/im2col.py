"""Images to columns and back: what turns a convolution into one matrix product."""

from __future__ import annotations

from collections.abc import Iterator

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
    out.fill(0)
    for column, pixel in _taps(x, stride, pad, dilation, out):
        out[column] = x[pixel].swapaxes(0, 1)


@kernel
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add every column entry to the pixel it was copied from: out += the adjoint of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes)
    """
    for column, pixel in _taps(out, stride, pad, dilation, columns):
        out[pixel] += columns[column].swapaxes(0, 1)


def _taps(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes,
          columns: np.ndarray) -> Iterator[tuple[tuple[int | slice, ...], Slices]]:
    """For each place in the window, where it stands in the columns and which pixels it meets."""
    axes, every = x.ndim - 2, slice(None)
    kernel_sizes, positions = columns.shape[1:1 + axes], columns.shape[2 + axes:]
    for tap in np.ndindex(*kernel_sizes):
        offsets = [i * d - p for i, d, p in zip(tap, dilation, pad, strict=True)]
        at, seen = reach_all(offsets, x.shape[2:], positions, stride)
        yield (every, *tap, every, *at), (every, every, *seen)
