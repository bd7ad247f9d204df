"""Pooling over regions of images, and its gradients: each region is cut into oh × ow bins, and a bin gives one number.

x and dx are (N, C, H, W), y, dy and index (R, D, oh, ow). For region r, image[r] is the number of its image;
rows[r, i] = (first, end) are the rows of the bins (i, ·), and columns[r, j] the columns of the bins (·, j), all int32.
They lie inside the image. A bin with first ≥ end holds no pixel, and gives 0. h (R, oh) and w (R, ow) are places of
points instead of bins: 0 is the middle of the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicaffe.kernels.definitions.pooling import LOWEST
from minicaffe.kernels.registry import kernel

Place = tuple[int, int, int]


@kernel
def region_max_pool(x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, y: np.ndarray,
                    index: np.ndarray | None) -> None:
    """y[r, c, i, j] = x[m], m the first of the largest pixels of the bin, and index = m as h·W + w; −1 for none."""
    W = x.shape[3]
    y.fill(0)
    if index is not None:
        index.fill(-1)
    for (r, i, j), h, w in bins(rows, columns):
        pixels = x[image[r], :, h, w].reshape(x.shape[1], (h.stop - h.start) * (w.stop - w.start))
        # Caffe: the search begins with the lowest float32. Where no pixel is larger (NaN never is), y keeps that number
        larger = np.where(pixels > LOWEST, pixels, LOWEST)
        m = larger.argmax(axis=1)
        y[r, :, i, j] = largest = larger[np.arange(len(m)), m]
        if index is not None:
            width = w.stop - w.start
            index[r, :, i, j] = np.where(largest > LOWEST, (h.start + m // width) * W + w.start + m % width, -1)


@kernel
def region_max_pool_grad(dy: np.ndarray, image: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """dx[m] = Σ dy over the bins with index m, of all regions in the image."""
    dx.fill(0)
    for r, c in np.ndindex(*dy.shape[:2]):
        chose = index[r, c] >= 0
        np.add.at(dx[image[r], c].reshape(-1), index[r, c][chose], dy[r, c][chose])


@kernel
def region_vote(x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, y: np.ndarray) -> None:
    """y[r, d, i, j] = the mean over the bin of channel (d · oh + i) · ow + j of x, which has D · oh · ow channels."""
    y.fill(0)
    maps = by_bin(x, y)
    for (r, i, j), h, w in bins(rows, columns):
        y[r, :, i, j] = maps[image[r], :, i, j, h, w].mean(axis=(1, 2))


@kernel
def region_vote_grad(dy: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray,
                     dx: np.ndarray) -> None:
    """dx = Σ dy / a over the bins that hold the pixel, in the channel that the bin reads; a pixels are in the bin."""
    dx.fill(0)
    maps = by_bin(dx, dy)
    for (r, i, j), h, w in bins(rows, columns):
        a = dy.dtype.type((h.stop - h.start) * (w.stop - w.start))
        maps[image[r], :, i, j, h, w] += (dy[r, :, i, j] / a)[:, None, None]


@kernel
def region_samples(x: np.ndarray, image: np.ndarray, h: np.ndarray, w: np.ndarray, y: np.ndarray) -> None:
    """y[r, c, i, j] = x at (h[r, i], w[r, j]), between its four neighbours; 0 more than half a pixel outside."""
    if not x.size:  # a map without pixels
        y.fill(0)
        return
    for r in range(len(y)):
        (inside_h, rows), (inside_w, columns) = neighbours(h[r], x.shape[2]), neighbours(w[r], x.shape[3])
        y[r] = sum(np.multiply.outer(a, b) * x[image[r]][:, i[:, None], j] for i, a in rows for j, b in columns)
        y[r, :, ~np.logical_and.outer(inside_h, inside_w)] = 0


@kernel
def region_samples_grad(dy: np.ndarray, image: np.ndarray, h: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """dx = Σ dy, times the parts with which `region_samples` takes a pixel."""
    dx.fill(0)
    for r in range(len(dy) if dx.size else 0):
        (inside_h, rows), (inside_w, columns) = neighbours(h[r], dx.shape[2]), neighbours(w[r], dx.shape[3])
        share = np.where(np.logical_and.outer(inside_h, inside_w), dy[r], 0)
        for i, a in rows:
            for j, b in columns:
                q = np.add.outer(i * dx.shape[3], j)
                for plane, d in zip(dx[image[r]], np.multiply.outer(a, b) * share, strict=True):
                    np.add.at(plane.reshape(-1), q, d)


def bins(rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[Place, slice, slice]]:
    """Yield each bin that holds a pixel: its region and its place in the grid, (r, i, j), its rows and its columns."""
    for r, i, j in np.ndindex(*rows.shape[:2], columns.shape[1]):
        h, w = slice(*rows[r, i].tolist()), slice(*columns[r, j].tolist())
        if h.start < h.stop and w.start < w.stop:
            yield (r, i, j), h, w


def by_bin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x (N, D · oh · ow, H, W) as (N, D, oh, ow, H, W), where y has the sizes (R, D, oh, ow)."""
    return x.reshape(x.shape[0], *y.shape[1:], *x.shape[2:])


def neighbours(at: np.ndarray, size: int) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return which places on an axis lie on a map of this size, and the two pixels around each with their parts.

    A place between the edge of the map and the middle of its first or last pixel takes that pixel whole.
    """
    inside = (at >= -0.5) & (at <= size - 0.5)
    low = np.floor(at).astype(np.int64)
    part = at.clip(0, size - 1) - low.clip(0, size - 1).astype(at.dtype)
    return inside, [(low.clip(0, size - 1), 1 - part), ((low + 1).clip(0, size - 1), part)]
