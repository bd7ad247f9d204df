"""Twins of the pooling kernels."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.reference import pooling as reference
from minicaffe.kernels.reference.pooling import LOWEST, Pair


@reference.max_pool.twin("numba")
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray, index: np.ndarray) -> None:
    """See the reference."""
    inside = 2 * y.shape[2] <= x.shape[2] and 2 * y.shape[3] <= x.shape[3]
    if kernel == stride == (2, 2) and pad == (0, 0) and inside:
        _max_pool_2x2(x, y, index)
    elif kernel[1] == 3 and stride[1] in _max_pool_3:
        _max_pool_3[stride[1]](x, kernel[0], stride[0], *pad, y, index)
    else:
        _max_pool(x, *kernel, *stride, *pad, y, index)


@reference.ave_pool.twin("numba")
def ave_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> None:
    """See the reference."""
    _ave_pool(x, *kernel, *stride, *pad, y)


@reference.ave_pool_grad.twin("numba")
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """See the reference."""
    _ave_pool_grad(dy, *kernel, *stride, *pad, dx)


@compiled
def _max_pool(x, kh, kw, sh, sw, ph, pw, y, index):
    N, C, H, W = x.shape
    oh, ow = y.shape[2:]
    # flat arrays and unsigned indices: numba tests every signed index for its sign
    source, most, where = x.reshape(x.size), y.reshape(y.size), index.reshape(index.size)
    lowest, to = x.dtype.type(LOWEST), np.uintp(0)
    for plane in range(N * C):
        for r in range(oh):
            top, bottom = max(0, r * sh - ph), min(H, r * sh - ph + kh)
            for q in range(ow):
                left, right = max(0, q * sw - pw), min(W, q * sw - pw + kw)
                best, chosen = lowest, -1
                for h in range(top, bottom):
                    for w in range(left, right):
                        v = source[np.uintp((plane * H + h) * W + w)]
                        if v > best:
                            best, chosen = v, h * W + w
                most[to], where[to] = best, chosen
                to += np.uintp(1)


def _make_max_pool_3(sw):
    """Windows 3 wide, sw apart: along a row, the windows that lie inside are compared on vector registers."""

    @compiled
    def max_pool_3(x, kh, sh, ph, pw, y, index):
        N, C, H, W = x.shape
        oh, ow = y.shape[2:]
        source, most, where = x.reshape(x.size), y.reshape(y.size), index.reshape(index.size)
        lowest, one, two = x.dtype.type(LOWEST), np.uintp(1), np.uintp(2)
        first = min(ow, -(-pw // sw))                              # the first window inside, and the first beyond
        end = max(first, min(ow, (W - 3 + pw) // sw + 1)) if W + pw >= 3 else first
        count = np.uintp(end - first)
        for row in range(N * C * oh):
            plane, r = row // oh, row % oh
            top, bottom = max(0, r * sh - ph), min(H, r * sh - ph + kh)
            to = np.uintp(row * ow + first)
            for q in range(count):
                most[to + q], where[to + q] = lowest, np.int32(-1)
            for h in range(top, bottom):
                column = first * sw - pw
                at, place = np.uintp((plane * H + h) * W + column), np.int32(h * W + column)
                for q in range(count):
                    seen, i = at + q * np.uintp(sw), place + np.int32(q * np.uintp(sw))
                    best, chosen = most[to + q], where[to + q]
                    v = source[seen]
                    best, chosen = (v, i) if v > best else (best, chosen)
                    v = source[seen + one]
                    best, chosen = (v, i + np.int32(1)) if v > best else (best, chosen)
                    v = source[seen + two]
                    best, chosen = (v, i + np.int32(2)) if v > best else (best, chosen)
                    most[to + q], where[to + q] = best, chosen
            for q in range(ow):
                if first <= q < end:
                    continue
                best, chosen = lowest, -1
                for h in range(top, bottom):
                    for w in range(max(0, q * sw - pw), min(W, q * sw - pw + 3)):
                        v = source[np.uintp((plane * H + h) * W + w)]
                        if v > best:
                            best, chosen = v, h * W + w
                most[np.uintp(row * ow + q)], where[np.uintp(row * ow + q)] = best, chosen

    return max_pool_3


_max_pool_3 = {sw: _make_max_pool_3(sw) for sw in (1, 2)}


@compiled
def _max_pool_2x2(x, y, index):
    """Windows of 2 x 2 side by side, all inside: without a branch, so that a row runs on vector registers."""
    N, C, H, W = x.shape
    oh, ow = y.shape[2:]
    source, most, where = x.reshape(x.size), y.reshape(y.size), index.reshape(index.size)
    lowest, one, width = x.dtype.type(LOWEST), np.uintp(1), np.uintp(W)
    for row in range(N * C * oh):
        plane, r = row // oh, row % oh
        seen, place, to = np.uintp((plane * H + 2 * r) * W), np.int32(2 * r * W), np.uintp(row * ow)
        for q in range(np.uintp(ow)):
            at, i = seen + q + q, place + np.int32(q + q)
            best, chosen = lowest, np.int32(-1)
            v = source[at]
            best, chosen = (v, i) if v > best else (best, chosen)
            v = source[at + one]
            best, chosen = (v, i + np.int32(1)) if v > best else (best, chosen)
            v = source[at + width]
            best, chosen = (v, i + np.int32(W)) if v > best else (best, chosen)
            v = source[at + width + one]
            best, chosen = (v, i + np.int32(W + 1)) if v > best else (best, chosen)
            most[to + q], where[to + q] = best, chosen


@reference.max_pool_grad.twin("numba")
@compiled
def max_pool_grad(dy, index, dx):
    """See the reference."""
    N, C, H, W = dx.shape
    oh, ow = dy.shape[2:]
    dx[...] = 0
    for n in range(N):
        for c in range(C):
            plane = dx[n, c].reshape(H * W)
            for r in range(oh):
                for q in range(ow):
                    if index[n, c, r, q] >= 0:
                        plane[index[n, c, r, q]] += dy[n, c, r, q]


@compiled
def _ave_pool(x, kh, kw, sh, sw, ph, pw, y):
    N, C, H, W = x.shape
    oh, ow = y.shape[2:]
    source, mean, to = x.reshape(x.size), y.reshape(y.size), np.uintp(0)
    for plane in range(N * C):
        for r in range(oh):
            top, bottom = r * sh - ph, min(r * sh - ph + kh, H + ph)
            for q in range(ow):
                left, right = q * sw - pw, min(q * sw - pw + kw, W + pw)
                total = x.dtype.type(0)
                for h in range(max(0, top), min(H, bottom)):
                    for w in range(max(0, left), min(W, right)):
                        total += source[np.uintp((plane * H + h) * W + w)]
                mean[to] = total / x.dtype.type((bottom - top) * (right - left))
                to += np.uintp(1)


@compiled
def _ave_pool_grad(dy, kh, kw, sh, sw, ph, pw, dx):
    N, C, H, W = dx.shape
    oh, ow = dy.shape[2:]
    dx[...] = 0
    for n in range(N):
        for c in range(C):
            for r in range(oh):
                top, bottom = r * sh - ph, min(r * sh - ph + kh, H + ph)
                for q in range(ow):
                    left, right = q * sw - pw, min(q * sw - pw + kw, W + pw)
                    share = dy[n, c, r, q] / dx.dtype.type((bottom - top) * (right - left))
                    for h in range(max(0, top), min(H, bottom)):
                        for w in range(max(0, left), min(W, right)):
                            dx[n, c, h, w] += share
