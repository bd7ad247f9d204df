"""Maps of single numbers, each in one piece, so that an engine can do it in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import elementwise as definitions


@definitions.relu.implementation("numpy", over_images=True)
def relu(x: np.ndarray, alpha: float, positive: np.ndarray | None, out: np.ndarray) -> None:
    """out = max(x, 0) + α · min(x, 0), and `positive` = x > 0 for the way back, if there is one; out may be x."""
    if positive is not None:
        np.greater(x, 0, out=positive)
    if alpha == 0:
        np.maximum(x, 0, out=out)
        return
    below = np.minimum(x, 0)
    below *= alpha
    np.maximum(x, 0, out=out)
    out += below


@definitions.relu_grad.implementation("numpy", over_images=True)
def relu_grad(dy: np.ndarray, alpha: float, positive: np.ndarray, out: np.ndarray) -> None:
    """out = dy where `positive`, else α · dy; out may be dy."""
    if alpha == 0:
        np.multiply(dy, positive, out=out)
        return
    # a look-up is twice as quick as np.where or where=, whose branches no processor can foresee
    slope = np.take(np.array([alpha, 1], dy.dtype), positive.view(np.uint8))
    np.multiply(dy, slope, out=out)


@definitions.prelu.implementation("numpy")
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """out[n, c, i] = max(x, 0) + a[c] · min(x, 0). x, out (N, C, P), may be one; a (C,), or (1,) for all channels."""
    slopes = a[:, None]

    def images(x: np.ndarray, out: np.ndarray) -> None:
        below = np.minimum(x, 0)
        below *= slopes
        np.maximum(x, 0, out=out)
        out += below

    shards.for_images(images, x, out)


@definitions.affine.implementation("numpy")
def affine(x: np.ndarray, before: np.ndarray | None, scale: np.ndarray | None, after: np.ndarray | None,
           out: np.ndarray) -> None:
    """out[n, c, i] = (x − before[c]) · scale[c] + after[c], without the steps that are None.

    x, out (N, C, P), may be one; the others (C,), at least one of them not None.
    """
    steps = [(step, values[:, None]) for step, values in
             ((np.subtract, before), (np.multiply, scale), (np.add, after)) if values is not None]

    def images(x: np.ndarray, out: np.ndarray) -> None:
        for step, values in steps:
            step(x, values, out=out)
            x = out

    shards.for_images(images, x, out)


@definitions.remembered_moments.implementation("numpy")
def remembered_moments(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                       scale: np.ndarray) -> None:
    """μ = mean / factor and scale = 1 / √(variance / factor + ε), all (C,) but for factor (1,).

    Where factor is 0, nothing has been remembered, and 1 / factor counts as 0.
    """
    share = 1 / factor if factor[0] else factor
    np.multiply(mean, share, out=mu)
    np.multiply(variance, share, out=scale)
    scale += eps
    np.sqrt(scale, out=scale)
    np.divide(1, scale, out=scale)


@definitions.weighted_sum.implementation("numpy")
def weighted_sum(a: np.ndarray, p: float, b: np.ndarray, q: float, out: np.ndarray) -> None:
    """out = p · a + q · b, all of one shape; out may be a."""
    left = a if p == 1 else np.multiply(a, p, out=out)
    np.add(left, b if q == 1 else b * q, out=out)


@definitions.add_up.implementation("numpy")
def add_up(parts: Sequence[np.ndarray], out: np.ndarray) -> None:
    """out = Σ parts, from the first to the last; all of one shape, and `out` none of them."""
    def stretch(total: np.ndarray, first: np.ndarray, *others: np.ndarray) -> None:
        total[...] = first
        for part in others:
            total += part

    shards.for_blocks([out, *parts], stretch)


@definitions.product.implementation("numpy")
def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a · b, all of one shape; out may be a."""
    np.multiply(a, b, out=out)


@definitions.larger.implementation("numpy")
def larger(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = max(a, b), all of one shape, not a number where one is none; out may be a."""
    np.maximum(a, b, out=out)


@definitions.copy_columns.implementation("numpy")
def copy_columns(x: np.ndarray, start: int, width: int, out: np.ndarray, at: int) -> None:
    """out[r, at : at + width] = x[r, start : start + width] for every row r of both."""
    out[:, at:at + width] = x[:, start:start + width]


@definitions.crop.implementation("numpy")
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """out = the part of x that begins at the index `start`, as large as out; both of as many axes, at least one."""
    out[...] = x[tuple(slice(at, at + size) for at, size in zip(start, out.shape, strict=True))]
