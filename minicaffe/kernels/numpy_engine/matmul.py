"""Matrix products that threads share."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import matmul as definitions
from minicaffe.kernels.workspace import borrow

BLOCKS = 8            # at most so many blocks, each the work of one thread
BLOCK_WORK = 1 << 22  # a block has at least so many multiplications: they take about as long as waking a thread
GRAIN = 16            # blocks begin at multiples of this, at which BLAS is quickest


@definitions.matmul.implementation("numpy")
def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray, *, add: bool = False) -> None:
    """By BLAS on several threads.

    The longer side of out is cut into blocks by the shapes alone, so any number of threads gives the same bits. Where
    sums are short, most of the work is to write out; then its rows are cut, which are quicker to write whole.
    """
    if out.strides[0] < out.strides[1]:  # a transposed view: write it in the order of its memory, outᵀ = bᵀ · aᵀ
        a, b, out = b.T, a.T, out.T
    (M, N), K = out.shape, a.shape[1]
    rows = M >= min(N, 4 * K)
    length = M if rows else N
    blocks = max(1, min(BLOCKS, M * N * K // BLOCK_WORK, length // GRAIN))
    step = max(1, -(-length // (blocks * GRAIN))) * GRAIN

    def block(i: int) -> None:
        cut = slice(i * step, (i + 1) * step)
        left, right, target = (a[cut], b, out[cut]) if rows else (a, b[:, cut], out[:, cut])
        product = borrow("matmul", target.shape, out.dtype) if add else target
        np.matmul(left, right, out=product)
        if add:
            target += product

    shards.run(block, -(-length // step), gemm=True)
