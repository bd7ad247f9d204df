"""Maps of single numbers, each in one piece, so that an engine can do it in one pass over memory."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel(sharded=True)
def relu(x: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out = max(x, 0) + α · min(x, 0), and `positive` = x > 0 for the way back; out may be x."""
    np.greater(x, 0, out=positive)
    if alpha == 0:
        return np.maximum(x, 0, out=out)
    below = np.minimum(x, 0)
    below *= alpha
    np.maximum(x, 0, out=out)
    out += below
    return out


@kernel(sharded=True)
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> np.ndarray:
    """out = dy where `positive`, else α · dy; out may be dy."""
    if alpha == 0:
        return np.multiply(dy, positive, out=out)
    # a look-up is twice as quick as np.where or where=, whose branches no processor can foresee
    slope = np.take(np.array([alpha, 1], dy.dtype), positive.view(np.uint8))
    return np.multiply(dy, slope, out=out)


@kernel(sharded=True)
def affine_rows(x: np.ndarray, before: np.ndarray, scale: np.ndarray, after: np.ndarray, out: np.ndarray) -> None:
    """out[r] = (x[r] − before[r]) · scale[r] + after[r] for each row r. x, out (R, P), may be one; the others (R,)."""
    np.subtract(x, before[:, None], out=out)
    out *= scale[:, None]
    out += after[:, None]
