"""Correlation of images with filters, and its two gradients.

The mathematicians' convolution turns the filter around first; a correlation takes it as it is, and so do the
convolutions of neural networks.

Convolution runs the three as forward, data gradient and weight gradient; Deconvolution swaps the first two. So `out` is
y in one and dx in the other. All three sum products of w[k, c, i], x[n, c, q] and dy[n, k, o], two of the three at a
time, in which place i of the filter at position o lies on pixel q = o·stride + i·dilation − pad. The loops run over the
places i. For each of them a matrix (K, C) is multiplied with all pixels at once: n, o and q are not looped over.

The channels are cut into `group` equal parts: output channels of one part see only the input channels of that part.

Derived in docs/maths/vision.md#convolution-and-deconvolution
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes, window_pixels
from minicaffe.kernels.registry import kernel


@kernel
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """out[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·stride + i·dilation − pad] over i and the channels c of k's group.

    x (N, C, *sizes), w (K, C / group, *kernel), b (K,) or None, out (N, K, *positions)
    """
    w_at = by_place(w)
    out.fill(0)
    for i, o, q in window_pixels(w.shape[2:], stride, pad, dilation, out.shape[2:], x.shape[2:]):
        for k, c in groups(group, out, x):
            # [:, k] and [o] both cut slices, so out[:, k][o] is a part of out, and += writes into out itself
            out[:, k][o] += np.einsum("kc,nc...->nk...", w_at[i][k], x[:, c][q], optimize=True)
    if b is not None:
        out += b.reshape(-1, *(1 for _ in out.shape[2:]))


@kernel
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out[n, c, q] = Σ w[k, c, i] · dy[n, k, o] over all k, i, o with o·stride + i·dilation − pad = q.

    This is the gradient of `correlate` for x. dy (N, K, *positions), w (K, C / group, *kernel), out (N, C, *sizes)
    """
    w_at = by_place(w)
    out.fill(0)
    for i, o, q in window_pixels(w.shape[2:], stride, pad, dilation, dy.shape[2:], out.shape[2:]):
        for k, c in groups(group, dy, out):
            out[:, c][q] += np.einsum("kc,nk...->nc...", w_at[i][k], dy[:, k][o], optimize=True)


@kernel
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """out[k, c, i] += Σ dy[n, k, o] · x[n, c, o·stride + i·dilation − pad], the sum over n and o.

    This is the gradient of `correlate` for w, added to what out holds.
    x (N, C, *sizes), dy (N, K, *positions), out (K, C / group, *kernel)
    """
    dw_at = by_place(out)
    n_and_o = (0, *range(2, x.ndim))
    for i, o, q in window_pixels(out.shape[2:], stride, pad, dilation, dy.shape[2:], x.shape[2:]):
        for k, c in groups(group, dy, x):
            # "nk...,nc...->kc", which einsum refuses: it cannot sum over the axes of ...
            dw_at[i][k] += np.tensordot(dy[:, k][o], x[:, c][q], (n_and_o, n_and_o))


@kernel
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """out[k] += Σ dy[n, k, o]: the gradient of a bias. dy (N, K, *positions), out (K,)"""
    out += dy.reshape(*dy.shape[:2], -1).sum(axis=2).sum(axis=0)


def by_place(w: np.ndarray) -> np.ndarray:
    """Return the filters (K, C / group, *kernel) seen as (*kernel, K, C / group): one matrix for each place i."""
    return np.moveaxis(w, (0, 1), (-2, -1))


def groups(group: int, y: np.ndarray, x: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """For each group, its channels k of y and its channels c of x."""
    K, C = y.shape[1] // group, x.shape[1] // group
    for g in range(group):
        yield slice(g * K, (g + 1) * K), slice(g * C, (g + 1) * C)
