"""Adding rows of a table that are named by index, more than once where an index repeats."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def scatter_add(values: np.ndarray, index: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out[index[i]] += values[i] for every i in order; values (M, K), index (M,) in range, out (R, K)."""
    # `out[index] += values` would add only one of the rows that share an index
    np.add.at(out, index, values)
    return out
