"""Images of another size: by interpolation between pixels, and by repeating them."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel

Pair = tuple[int, int]


@kernel
def interpolate(x: np.ndarray, start: Pair, size: Pair, out: np.ndarray) -> None:
    """out[n, c, i, j] = x[n, c, u(i), v(j)], where u and v lie between pixels and a pixel near them counts by nearness.

    Of x (N, C, H, W) only the rectangle that begins at `start` and has this `size` is read. Its corners become the
    corners of out (N, C, oh, ow), so u(i) = start + i · (height − 1) / (oh − 1). Both directions are alike and follow
    each other: each row of out is a mean of two rows of x, and each number of it a mean of two numbers of that row.
    """
    rows, columns = (corner_aligned(n, to, x.dtype) for n, to in zip(size, out.shape[2:], strict=True))
    part = x[:, :, start[0]:start[0] + size[0], start[1]:start[1] + size[1]]
    (top, below, i), (left, right, j) = rows, columns
    between = part[:, :, top] * (1 - i)[:, None] + part[:, :, below] * i[:, None]
    out[...] = between[..., left] * (1 - j) + between[..., right] * j


@kernel
def interpolate_grad(dy: np.ndarray, start: Pair, size: Pair, out: np.ndarray) -> None:
    """out = rowsᵀ · dy · columns in the rectangle that begins at `start` and has this `size`, and 0 around it.

    This is the gradient of `interpolate`, which is rows · x · columnsᵀ: the two matrices hold the share that each pixel
    has in each place. dy (N, C, oh, ow), out (N, C, H, W).
    """
    rows, columns = (shares(n, to, dy.dtype) for n, to in zip(size, dy.shape[2:], strict=True))
    out.fill(0)
    out[:, :, start[0]:start[0] + size[0], start[1]:start[1] + size[1]] = rows.T @ (dy @ columns)


def shares(size: int, to: int, dtype: np.dtype) -> np.ndarray:
    """Return the matrix (to, size) by which `size` pixels become `to` places."""
    before, after, share = corner_aligned(size, to, dtype)
    matrix, place = np.zeros((to, size), dtype), np.arange(to)
    matrix[place, before] = 1 - share
    matrix[place, after] += share
    return matrix


def corner_aligned(size: int, to: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `to` places on `size` pixels: the pixel before it, the next one, and the share of the next one.

    The first place is the first pixel and the last place the last pixel. At the last pixel, there is no next one, and
    its own number stands there.
    """
    # Caffe: the distance of two places is a float32, and so is each place
    step = np.float32(size - 1) / np.float32(to - 1) if to > 1 else np.float32(0)
    u = step * np.arange(to, dtype=np.float32)
    before = np.minimum(u.astype(np.intp), size - 1)
    return before, np.minimum(before + 1, size - 1), (u - before.astype(np.float32)).astype(dtype)


@kernel
def repeat_pixels(x: np.ndarray, scale: Pair, out: np.ndarray) -> None:
    """out[n, c, i, j] = x[n, c, i // s_h, j // s_w], with s = scale. x (N, C, H, W), out (N, C, H · s_h, W · s_w)"""
    (N, C, H, W), (s_h, s_w) = x.shape, scale
    out.reshape(N, C, H, s_h, W, s_w)[...] = x[:, :, :, None, :, None]
