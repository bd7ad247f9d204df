"""Correlation of images with filters, and its two gradients.

Convolution runs the three as forward, data gradient and weight gradient; Deconvolution swaps the first two.
A few images at a time become columns, or a few rows of a large image, as many as about stay in cache; each few is
one piece of work for a thread. Few large pieces are better than many small ones: between two operations a thread waits
for its turn at the interpreter's lock.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.registry import kernel


@kernel
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """out[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·stride + i·dilation − pad], the sum over i and k's group of c.

    x (N, C, *sizes), w (K, C / group, *kernel), b (K,) or None, out (N, K, *positions)
    """
    raise NotImplementedError


@kernel
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out[n, c] = Σ w[k, c, i] · dy[n, k, o] over all k, i, o that read the pixel: the adjoint of correlate in x.

    dy (N, K, *positions), w (K, C / group, *kernel), out (N, C, *sizes)
    """
    raise NotImplementedError


@kernel
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """out[k, c, i] += Σ dy[n, k, o] · x[n, c, o·stride + i·dilation − pad]: the adjoint of correlate in w.

    x (N, C, *sizes), dy (N, K, *positions), out (K, C / group, *kernel)

    Pieces are dealt to lanes; each lane adds its pieces in order, then the lanes are added in order. Their number
    follows from the shapes, so any number of threads gives the same bits.
    """
    raise NotImplementedError


@kernel
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """out[k] += Σ dy[n, k, o]: the gradient of a bias. dy (N, K, *positions), out (K,)"""
    raise NotImplementedError
