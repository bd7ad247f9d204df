"""Maps of single numbers, each in one piece, so that an engine can do it in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """out = max(x, 0) + α · min(x, 0), and `positive` = x > 0 for the way back, if there is one; out may be x."""
    raise NotImplementedError


@kernel
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """out = dy where `positive`, else α · dy; out may be dy."""
    raise NotImplementedError


@kernel
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """out[n, c, i] = max(x, 0) + a[c] · min(x, 0). x, out (N, C, P), may be one; a (C,), or (1,) for all channels."""
    raise NotImplementedError


@kernel
def affine(x: np.ndarray, before: np.ndarray | None, scale: np.ndarray | None, after: np.ndarray | None,
           out: np.ndarray) -> None:
    """out[n, c, i] = (x − before[c]) · scale[c] + after[c], without the steps that are None.

    x, out (N, C, P), may be one; the others (C,), at least one of them not None.
    """
    raise NotImplementedError


@kernel
def remembered_moments(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                       scale: np.ndarray) -> None:
    """μ = mean / factor and scale = 1 / √(variance / factor + ε), all (C,) but for factor (1,).

    Where factor is 0, nothing has been remembered, and 1 / factor counts as 0.
    """
    raise NotImplementedError


@kernel
def weighted_sum(a: np.ndarray, p: float, b: np.ndarray, q: float, out: np.ndarray) -> None:
    """out = p · a + q · b, all of one shape; out may be a."""
    raise NotImplementedError


@kernel
def add_up(parts: Sequence[np.ndarray], out: np.ndarray) -> None:
    """out = Σ parts, from the first to the last; all of one shape, and `out` none of them."""
    raise NotImplementedError


@kernel
def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a · b, all of one shape; out may be a."""
    raise NotImplementedError


@kernel
def larger(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = max(a, b), all of one shape, not a number where one is none; out may be a."""
    raise NotImplementedError


@kernel
def copy_columns(x: np.ndarray, start: int, width: int, out: np.ndarray, at: int) -> None:
    """out[r, at : at + width] = x[r, start : start + width] for every row r of both."""
    raise NotImplementedError


@kernel
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """out = the part of x that begins at the index `start`, as large as out; both of as many axes, at least one."""
    raise NotImplementedError
