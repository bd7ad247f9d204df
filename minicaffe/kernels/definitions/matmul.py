"""Matrix products that threads share."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray, *, add: bool = False) -> None:
    """out = a · b, or out += a · b with `add`. a (M, K), b (K, N), out (M, N); a and b may be transposed views.

    The longer side of out is cut into blocks by the shapes alone, so any number of threads gives the same bits. Where
    sums are short, most of the work is to write out; then its rows are cut, which are quicker to write whole.
    """
    raise NotImplementedError
