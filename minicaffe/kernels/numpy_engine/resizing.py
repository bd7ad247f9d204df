"""Images of another size: the gradient of interpolation as two products of matrices."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import resizing as definitions
from minicaffe.kernels.definitions.resizing import Pair, corner_aligned


@definitions.interpolate_grad.implementation("numpy")
def interpolate_grad(dy: np.ndarray, start: Pair, size: Pair, out: np.ndarray) -> None:
    """Rowsᵀ · dy · columns, where the matrices hold the shares that each place has of each pixel.

    They are mostly zeros. Still this is quicker than numpy's `add.at`, which adds one number after the other.
    """
    rows, columns = (_shares(n, to, dy.dtype) for n, to in zip(size, dy.shape[2:], strict=True))
    out.fill(0)
    part = out[:, :, start[0]:start[0] + size[0], start[1]:start[1] + size[1]]
    part[...] = rows.T @ (dy @ columns)


def _shares(size: int, to: int, dtype: np.dtype) -> np.ndarray:
    """Return the matrix (to, size) by which `size` pixels become `to` places."""
    before, after, share = corner_aligned(size, to, dtype)
    shares, place = np.zeros((to, size), dtype), np.arange(to)
    shares[place, before] = 1 - share
    shares[place, after] += share
    return shares
