"""Convolution and windows by their definitions, for the checks of steps 13 and 14."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Pair = tuple[int, int]
Window = tuple[slice, slice, slice, slice]


def count(size: int, kernel: int, stride: int, pad: int) -> int:
    """Return how many places a window has along an axis, by counting them."""
    return sum(1 for first in range(-pad, size + pad) if (first + pad) % stride == 0 and first + kernel <= size + pad)


def padded(x: np.ndarray, pad: Pair, **mode: Any) -> np.ndarray:
    """Return images with zeros around each, or with what np.pad's `mode` says."""
    return np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])), **mode)


def middle(x: np.ndarray, pad: Pair) -> np.ndarray:
    """Return padded images without the padding."""
    return x[:, :, pad[0]:x.shape[2] - pad[0], pad[1]:x.shape[3] - pad[1]]


def windows(shape: Pair, kernel: Pair, stride: Pair) -> Iterator[tuple[int, int, Window]]:
    """Yield (oy, ox, part of the images) for each place of a window on images that are padded already."""
    oh, ow = (count(n, k, s, 0) for n, k, s in zip(shape, kernel, stride, strict=True))
    for oy, ox in np.ndindex(oh, ow):
        top, left = oy * stride[0], ox * stride[1]
        yield oy, ox, (slice(None), slice(None), slice(top, top + kernel[0]), slice(left, left + kernel[1]))


def correlate(wide: np.ndarray, w: np.ndarray, stride: Pair) -> np.ndarray:
    """Return Σ w · x of every window on padded images: y without b."""
    found = {(oy, ox): np.einsum("nchw,kchw->nk", wide[part], w)
             for oy, ox, part in windows(wide.shape[2:], w.shape[2:], stride)}
    oy, ox = max(found)
    y = np.zeros((len(wide), len(w), oy + 1, ox + 1))
    for (oy, ox), values in found.items():
        y[:, :, oy, ox] = values
    return y


def correlate_back(dy: np.ndarray, w: np.ndarray, shape: tuple[int, ...], stride: Pair, add: bool = True) -> np.ndarray:
    """Return dx for padded images of this shape; without `add`, of each pixel's shares the last one alone."""
    dx = np.zeros(shape)
    for oy, ox, part in windows((shape[2], shape[3]), w.shape[2:], stride):
        dx[part] = dx[part] * add + np.einsum("nk,kchw->nchw", dy[:, :, oy, ox], w)
    return dx


def weight_grad(dy: np.ndarray, wide: np.ndarray, kernel: Pair, stride: Pair) -> np.ndarray:
    """Return dw for padded images."""
    return np.asarray(sum(np.einsum("nk,nchw->kchw", dy[:, :, oy, ox], wide[part])
                          for oy, ox, part in windows(wide.shape[2:], kernel, stride)))
