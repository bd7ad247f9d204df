"""The product of two matrices."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray, *, add: bool = False) -> None:
    """out = a · b, or out += a · b with `add`. a (M, K), b (K, N), out (M, N); each may be a transposed view."""
    if add:
        out += a @ b
    else:
        out[...] = a @ b
