"""Sums of many numbers, added up in float64 so that the last ones still count."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def row_sum(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out[i] = Σ x[i, j] over j; x is a matrix, out a vector of any float type."""
    # not np.sum(..., out=out): numpy would round to the type of out after every few thousand numbers
    out[...] = np.sum(x, axis=1, dtype=np.float64)
    return out
