"""Pooling over regions, compiled: threads share the channels, or the regions and channels together."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import regions as definitions
from minicaffe.kernels.definitions.pooling import LOWEST
from minicaffe.kernels.numba_engine.pieces import floats_of, indices_of, part, pieces
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, values

ONE = np.float32(1)
LEAST = np.float32(LOWEST)  # a float32, so that compiled code compares numbers of one type


@definitions.region_max_pool.implementation("numba", recordable=True)
def region_max_pool(x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, y: np.ndarray,
                    index: np.ndarray | None) -> None:
    """A region's channel at a time, which is a small part of one plane."""
    R, C, oh, ow = y.shape
    count = pieces(y.size + _pixels(rows, columns) * C, R * C)
    _region_max_pool(count, x, image, rows, columns, y, index, R, C, oh, ow, *x.shape[2:], count)


@definitions.region_max_pool_grad.implementation("numba", recordable=True)
def region_max_pool_grad(dy: np.ndarray, image: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """Threads share the channels, for several regions may add to one plane."""
    R, C, oh, ow = dy.shape
    N, _, H, W = dx.shape
    count = pieces(dx.size + dy.size, C)
    _region_max_pool_grad(count, dy, image, index, dx, R, C, oh * ow, N, H * W, count)


@definitions.region_vote.implementation("numba", recordable=True)
def region_vote(x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, y: np.ndarray) -> None:
    """A region's channel at a time: each of its bins reads another plane."""
    R, D, oh, ow = y.shape
    count = pieces(y.size + _pixels(rows, columns) * D, R * D)
    _region_vote(count, x, image, rows, columns, y, R, D, oh, ow, *x.shape[2:], count)


@definitions.region_vote_grad.implementation("numba", recordable=True)
def region_vote_grad(dy: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, dx: np.ndarray) -> None:
    """Threads share the channels of y, for several regions may add to one plane."""
    R, D, oh, ow = dy.shape
    N, _, H, W = dx.shape
    count = pieces(dx.size + _pixels(rows, columns) * D, D)
    _region_vote_grad(count, dy, image, rows, columns, dx, R, D, oh, ow, N, H, W, count)


@definitions.region_samples.implementation("numba", recordable=True)
def region_samples(x: np.ndarray, image: np.ndarray, h: np.ndarray, w: np.ndarray, y: np.ndarray) -> None:
    """A region's channel at a time."""
    R, C, oh, ow = y.shape
    count = pieces(4 * y.size, R * C)
    _region_samples(count, x, image, h, w, y, R, C, oh, ow, *x.shape[2:], count)


@definitions.region_samples_grad.implementation("numba", recordable=True)
def region_samples_grad(dy: np.ndarray, image: np.ndarray, h: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Threads share the channels, for several regions may add to one plane."""
    R, C, oh, ow = dy.shape
    N, _, H, W = dx.shape
    count = pieces(dx.size + 4 * dy.size, C)
    _region_samples_grad(count, dy, image, h, w, dx, R, C, oh, ow, N, H, W, count)


def _pixels(rows: np.ndarray, columns: np.ndarray) -> int:
    """Return how many pixels the bins of all regions hold together, in one channel."""
    high, wide = (np.maximum(a[..., 1] - a[..., 0], 0).sum(axis=1, dtype=np.int64) for a in (rows, columns))
    return int((high * wide).sum())


# --- compiled tasks ------------------------------------------------------------------------------------------------

@task
def _region_max_pool(block, piece):
    """y = the largest pixel of each bin, and index = its place in its plane."""
    x, image, rows, columns, y, index, R, C, oh, ow, H, W, count = values(block, 13)
    images = indices_of(image, 0, R)
    first, end = part(R * C, piece, count)
    for unit in range(first, end):
        r, c = unit // C, unit % C
        plane = (np.int64(images[r]) * C + c) * H * W
        pixels = floats_of(x, plane, plane + H * W)
        h, w = indices_of(rows, r * oh * 2, (r + 1) * oh * 2), indices_of(columns, r * ow * 2, (r + 1) * ow * 2)
        best = floats_of(y, unit * oh * ow, (unit + 1) * oh * ow)
        for o in range(oh * ow):
            i, j = o // ow, o % ow
            largest, m = LEAST, -1
            if h[2 * i] >= h[2 * i + 1] or w[2 * j] >= w[2 * j + 1]:
                largest = np.float32(0)
            else:
                for row in range(h[2 * i], h[2 * i + 1]):
                    for q in range(row * W + w[2 * j], row * W + w[2 * j + 1]):
                        if pixels[np.uintp(q)] > largest:
                            largest, m = pixels[np.uintp(q)], q
            best[o] = largest
            if index:
                indices_of(index, unit * oh * ow, (unit + 1) * oh * ow)[o] = m


@task
def _region_max_pool_grad(block, piece):
    """dx = 0, and then dx[index] += dy, region by region; a piece has all planes of its channels."""
    dy_at, image, index_at, dx_at, R, C, size, N, plane, count = values(block, 10)
    images = indices_of(image, 0, R)
    first, end = part(C, piece, count)
    for c in range(first, end):
        for n in range(N):
            floats_of(dx_at, (n * C + c) * plane, (n * C + c + 1) * plane)[:] = 0
        for r in range(R):
            to = (np.int64(images[r]) * C + c) * plane
            dx = floats_of(dx_at, to, to + plane)
            dy = floats_of(dy_at, (r * C + c) * size, (r * C + c + 1) * size)
            index = indices_of(index_at, (r * C + c) * size, (r * C + c + 1) * size)
            for o in range(size):
                if index[o] >= 0:
                    dx[np.uintp(index[o])] += dy[o]


@task
def _region_vote(block, piece):
    """y = the mean of each bin over the plane that belongs to the bin."""
    x, image, rows, columns, y, R, D, oh, ow, H, W, count = values(block, 12)
    images = indices_of(image, 0, R)
    first, end = part(R * D, piece, count)
    for unit in range(first, end):
        r, d = unit // D, unit % D
        h, w = indices_of(rows, r * oh * 2, (r + 1) * oh * 2), indices_of(columns, r * ow * 2, (r + 1) * ow * 2)
        mean = floats_of(y, unit * oh * ow, (unit + 1) * oh * ow)
        for o in range(oh * ow):
            i, j = o // ow, o % ow
            high, wide = h[2 * i + 1] - h[2 * i], w[2 * j + 1] - w[2 * j]
            mean[o] = np.float32(0)
            if high > 0 and wide > 0:
                plane = ((np.int64(images[r]) * D + d) * oh * ow + o) * H * W
                pixels, total = floats_of(x, plane, plane + H * W), np.float32(0)
                for row in range(h[2 * i], h[2 * i + 1]):
                    for q in range(row * W + w[2 * j], row * W + w[2 * j + 1]):
                        total += pixels[np.uintp(q)]
                mean[o] = total / np.float32(high * wide)


@task
def _region_vote_grad(block, piece):
    """dx = 0, and then dx += dy / (size of the bin), region by region; a piece has all planes of its channels."""
    dy_at, image, rows, columns, dx_at, R, D, oh, ow, N, H, W, count = values(block, 13)
    images = indices_of(image, 0, R)
    first, end = part(D, piece, count)
    planes = oh * ow * H * W  # the numbers of all planes of one channel of y
    for d in range(first, end):
        for n in range(N):
            floats_of(dx_at, (n * D + d) * planes, (n * D + d + 1) * planes)[:] = 0
        for r in range(R):
            h, w = indices_of(rows, r * oh * 2, (r + 1) * oh * 2), indices_of(columns, r * ow * 2, (r + 1) * ow * 2)
            dy = floats_of(dy_at, (r * D + d) * oh * ow, (r * D + d + 1) * oh * ow)
            for o in range(oh * ow):
                i, j = o // ow, o % ow
                high, wide = h[2 * i + 1] - h[2 * i], w[2 * j + 1] - w[2 * j]
                if high > 0 and wide > 0:
                    share = dy[o] / np.float32(high * wide)
                    plane = (np.int64(images[r]) * D + d) * planes + o * H * W
                    dx = floats_of(dx_at, plane, plane + H * W)
                    for row in range(h[2 * i], h[2 * i + 1]):
                        for q in range(row * W + w[2 * j], row * W + w[2 * j + 1]):
                            dx[np.uintp(q)] += share


@task
def _region_samples(block, piece):
    """y = the values between pixels at the points of each region."""
    x, image, h, w, y, R, C, oh, ow, H, W, count = values(block, 12)
    images = indices_of(image, 0, R)
    first, end = part(R * C, piece, count)
    for unit in range(first, end):
        r, c = unit // C, unit % C
        rows, columns = floats_of(h, r * oh, (r + 1) * oh), floats_of(w, r * ow, (r + 1) * ow)
        plane = (np.int64(images[r]) * C + c) * H * W
        pixels, out = floats_of(x, plane, plane + H * W), floats_of(y, unit * oh * ow, (unit + 1) * oh * ow)
        for i in range(oh):
            top, bottom, a = _neighbours(rows[i], H)
            for j in range(ow):
                left, right, b = _neighbours(columns[j], W)
                if top < 0 or left < 0:
                    out[i * ow + j] = np.float32(0)
                    continue
                out[i * ow + j] = (
                    (ONE - a) * (ONE - b) * pixels[top * W + left] + (ONE - a) * b * pixels[top * W + right]
                    + a * (ONE - b) * pixels[bottom * W + left] + a * b * pixels[bottom * W + right])


@task
def _region_samples_grad(block, piece):
    """dx = 0, and then each dy is shared out among four pixels, region by region; a piece has all of its channels."""
    dy_at, image, h, w, dx_at, R, C, oh, ow, N, H, W, count = values(block, 13)
    images = indices_of(image, 0, R)
    first, end = part(C, piece, count)
    for c in range(first, end):
        for n in range(N):
            floats_of(dx_at, (n * C + c) * H * W, (n * C + c + 1) * H * W)[:] = 0
        for r in range(R):
            rows, columns = floats_of(h, r * oh, (r + 1) * oh), floats_of(w, r * ow, (r + 1) * ow)
            plane = (np.int64(images[r]) * C + c) * H * W
            dx = floats_of(dx_at, plane, plane + H * W)
            dy = floats_of(dy_at, (r * C + c) * oh * ow, (r * C + c + 1) * oh * ow)
            for i in range(oh):
                top, bottom, a = _neighbours(rows[i], H)
                for j in range(ow):
                    left, right, b = _neighbours(columns[j], W)
                    if top >= 0 and left >= 0:
                        d = dy[i * ow + j]
                        dx[top * W + left] += (ONE - a) * (ONE - b) * d
                        dx[top * W + right] += (ONE - a) * b * d
                        dx[bottom * W + left] += a * (ONE - b) * d
                        dx[bottom * W + right] += a * b * d


@helper
def _neighbours(at, size):
    """The pixels on both sides of a place and the part of the second; −1 for the first where the place is outside."""
    if not (at >= np.float32(-0.5) and at <= np.float32(size) - np.float32(0.5)):
        return -1, -1, np.float32(0)
    low = np.int64(np.floor(at))
    first, second = min(max(low, 0), size - 1), min(max(low + 1, 0), size - 1)
    return first, second, min(max(at, np.float32(0)), np.float32(size - 1)) - np.float32(first)
