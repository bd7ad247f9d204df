"""Images to columns and back: what turns a convolution into one matrix product."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel

Sizes = tuple[int, ...]


@kernel
def im2col(x: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Lay out what the window sees at every position; zeros where it sees padding.

    x (N, C, *sizes), out (C, *kernel, N, *positions):
    out[c, i, n, o] = x[n, c, o·stride + i·dilation − pad]

    A negative pad lets the first window begin inside the image.
    """
    raise NotImplementedError


@kernel
def col2im(columns: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, out: np.ndarray) -> None:
    """Add every column entry to the pixel it was copied from: out += the adjoint of im2col.

    columns (C, *kernel, N, *positions), out (N, C, *sizes)
    """
    raise NotImplementedError
