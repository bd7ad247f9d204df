"""Kernels that divide vectors by their length. x is (N, C, P): P vectors of C numbers for each of N images."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def vector_length(x: np.ndarray, eps: float, r: np.ndarray) -> None:
    """r[n, p] = √(Σ x[n, c, p]² + ε), the Σ over c. r is (N, P)."""
    r[...] = np.sqrt((x * x).sum(axis=1) + x.dtype.type(eps))


@kernel
def divide_vectors(x: np.ndarray, r: np.ndarray, w: np.ndarray | None, out: np.ndarray) -> None:
    """out[n, c, p] = w[c] · x[n, c, p] / r[n, p]. out may be x.

    r is (N, P), or (N, 1) where all vectors of an image have the same r. w is (C,), one number for all, or None for 1.
    """
    y = x / r[:, np.newaxis]
    out[...] = y if w is None else y * w.reshape(-1, 1)
