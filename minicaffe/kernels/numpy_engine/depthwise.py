"""Correlations in which each filter reads one channel, as in depthwise layers: one place of the filters at a time.

A product of matrices would be one of a single row for each channel. Here a place of all filters is multiplied by all
pixels under it, in one operation of numpy. Threads share the images, and blocks of channels that stay in a cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions.im2col import Sizes, window_pixels

CACHED = 1 << 16  # numbers of the channels that are computed at a time


def fits(w: np.ndarray, group: int) -> bool:
    """Return whether each filter reads one channel."""
    return group > 1 and w.shape[1] == 1


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """out = b + w ⋆ x."""
    places = window_pixels(w.shape[2:], stride, pad, dilation, out.shape[2:], x.shape[2:])
    filters = _of_channels(w, group, x.ndim)

    def some(n: int, c: slice) -> None:
        pixels, y = x[n, c, None], out[n].reshape(group, -1, *out.shape[2:])[c]
        y[...] = 0 if b is None else b.reshape(group, -1, *(1 for _ in out.shape[2:]))[c]
        for i, o, q in places:
            y[o] += filters[i][c] * pixels[q]

    _for_channels(some, x, out)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out = the gradient of x."""
    places = window_pixels(w.shape[2:], stride, pad, dilation, dy.shape[2:], out.shape[2:])
    filters = _of_channels(w, group, dy.ndim)

    def some(n: int, c: slice) -> None:
        dx, slopes = out[n, c], dy[n].reshape(group, -1, *dy.shape[2:])[c]
        dx[...] = 0
        for i, o, q in places:
            dx[q] += (filters[i][c] * slopes[o]).sum(axis=1)

    _for_channels(some, out, dy)


def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """out += the gradient of w. Each block of channels adds up its images in their order."""
    places = window_pixels(out.shape[2:], stride, pad, dilation, dy.shape[2:], x.shape[2:])
    dw, axes = _of_channels(out, group, 2), tuple(range(2, x.ndim))

    def some(n: int, c: slice) -> None:
        pixels, slopes = x[n, c, None], dy[n].reshape(group, -1, *dy.shape[2:])[c]
        for i, o, q in places:
            dw[i][c] += (slopes[o] * pixels[q]).sum(axis=axes)

    _for_channels(some, x, dy, by_image=False)


def _of_channels(w: np.ndarray, group: int, axes: int) -> np.ndarray:
    """Return the filters (K, 1, *kernel) seen as (*kernel, C, K / C, 1, …): so many axes after those of the places."""
    places = np.moveaxis(w.reshape(group, -1, *w.shape[2:]), (0, 1), (-2, -1))
    return places.reshape(*places.shape, *(1 for _ in range(axes - 2)))


def _for_channels(some: Callable[[int, slice], None], x: np.ndarray, y: np.ndarray, by_image: bool = True) -> None:
    """Call some(n, c) for each image n and each block of channels c of x (N, C, …), on the threads.

    y (N, K, …) is what is computed from x, or the other way round. Without `by_image`, the images of a block of
    channels are taken one after the other.
    """
    N, C = x.shape[:2]
    step = max(1, CACHED * N * C // max(1, x.size, y.size))
    blocks = [slice(c, c + step) for c in range(0, C, step)]
    if by_image:
        shards.run(lambda i: some(i // len(blocks), blocks[i % len(blocks)]), N * len(blocks))
        return

    def all_images(i: int) -> None:
        for n in range(N):
            some(n, blocks[i])

    shards.run(all_images, len(blocks))
