"""Local response normalization, a few images at a time.

The images are so few that they stay in a core's cache for all steps. In the definition each step reads main memory.

Two steps are kernels of their own, `window_sum` and `negative_power`. The numba engine leaves some cases of LRN to this
file. Since these two steps are called as kernels, it still computes them with its compiled functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import lrn as definitions


@definitions.lrn.implementation("numpy")
def lrn(x: np.ndarray, axes: Sequence[int], size: int, alpha: float, k: float, beta: float, s: np.ndarray | None,
        out: np.ndarray) -> None:
    """Step by step: later steps use the memory of earlier ones again."""
    def images(x: np.ndarray, out: np.ndarray, s: np.ndarray | None = None) -> None:
        values = x * x
        s = _window_sums(values, axes, size, np.empty_like(x) if s is None else s)
        s *= alpha
        s += k
        definitions.negative_power(s, beta, values)
        np.multiply(x, values, out=out)

    shards.for_images(images, x, out, *([] if s is None else [s]))


@definitions.lrn_grad.implementation("numpy")
def lrn_grad(x: np.ndarray, s: np.ndarray, dy: np.ndarray, axes: Sequence[int], size: int, alpha: float, beta: float,
             out: np.ndarray) -> None:
    """Step by step: later steps use the memory of earlier ones again."""
    def images(x: np.ndarray, s: np.ndarray, dy: np.ndarray, out: np.ndarray) -> None:
        damped = np.empty_like(x)
        definitions.negative_power(s, beta, damped)
        damped *= dy
        t = damped * x
        t /= s
        t = _window_sums(t, axes, size, np.empty_like(x))
        t *= x
        t *= 2 * alpha * beta
        np.subtract(damped, t, out=out)

    shards.for_images(images, x, s, dy, out)


def _window_sums(values: np.ndarray, axes: Sequence[int], size: int, out: np.ndarray) -> np.ndarray:
    """Write the sums over windows along all axes to `out`, one axis after the other, and return it."""
    for axis in axes[:-1]:
        values = definitions.window_sum(values, size, axis, np.empty_like(values))
    return definitions.window_sum(values, size, axes[-1], out)


@definitions.window_sum.implementation("numpy")
def window_sum(x: np.ndarray, size: int, axis: int, out: np.ndarray) -> np.ndarray:
    """Add the whole array to itself, moved by one place, then by two, and so on.

    A running sum would take fewer additions. But it subtracts what it has added, and so loses digits where values
    differ much.
    """
    out[...] = x
    from_x, to = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    for shift in range(1, min(size // 2, len(to) - 1) + 1):
        to[shift:] += from_x[:-shift]
        to[:-shift] += from_x[shift:]
    return out


@definitions.negative_power.implementation("numpy")
def negative_power(s: np.ndarray, beta: float, out: np.ndarray) -> None:
    """By two roots where β = 0.75, as in nearly every net: 1 / (√s · √√s) takes an eighth of the time of a power."""
    if beta == 0.75:
        root = np.sqrt(s)
        np.sqrt(root, out=out)
        out *= root
        np.divide(1, out, out=out)
    else:
        np.power(s, -beta, out=out)
