"""Pooling over windows of images, and its gradients.

x and dx are (N, C, H, W), y, dy and index (N, C, oh, ow); kernel, stride and pad are (height, width).
A window may reach over any edge; only the pixels inside count, but for the divisor of the average.
index holds which pixel of its image plane, h·W + w, a window chose; −1 for none.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel

Pair = tuple[int, int]
LOWEST = float(np.finfo(np.float32).min)


@kernel
def max_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray,
             index: np.ndarray | None) -> None:
    """The largest pixel of each window, and which it was, unless index is None: the first one where some are equal."""
    raise NotImplementedError


@kernel
def max_pool_grad(dy: np.ndarray, index: np.ndarray, dx: np.ndarray) -> None:
    """Each window's gradient goes to the pixel that it chose."""
    raise NotImplementedError


@kernel
def ave_pool(x: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, y: np.ndarray) -> None:
    """The sum of each window's pixels over the size of the window, padding included."""
    raise NotImplementedError


@kernel
def ave_pool_grad(dy: np.ndarray, kernel: Pair, stride: Pair, pad: Pair, dx: np.ndarray) -> None:
    """Each pixel gets its share of the gradients of the windows it is in."""
    raise NotImplementedError


@kernel
def stochastic_pool(x: np.ndarray, u: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray,
                    index: np.ndarray) -> None:
    """One pixel of each window, drawn with probability pixel / sum: the first at which the running sum is ≥ u · sum.

    u (the shape of y) is uniform in [0, 1). Where negative pixels keep every running sum below, the last is taken.
    """
    raise NotImplementedError


@kernel
def expected_pool(x: np.ndarray, kernel: Pair, stride: Pair, y: np.ndarray) -> None:
    """What stochastic pooling gives on average, Σ pixel² / Σ pixel; 0 where the sum is not positive."""
    raise NotImplementedError


@kernel
def expected_pool_grad(x: np.ndarray, dy: np.ndarray, kernel: Pair, stride: Pair, dx: np.ndarray) -> None:
    """dx = Σ dy · (2 · pixel − y) / Σ pixel over the windows with a positive sum."""
    raise NotImplementedError
