"""Softmax along one axis, for the Softmax layer and the losses that begin with it, and the loss of a single class.

Derived in docs/maths/loss.md#softmax
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def softmax(x: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """out[c] = exp(x[c] − m) / Σ exp(x[j] − m) along `axis`, where m = max x[j]; out may be x.

    Taking m away changes nothing, for exp(−m) cancels, and leaves no exponent above 0 to overflow.
    """
    np.exp(x - x.max(axis=axis, keepdims=True), out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out


@kernel
def softmax_grad(y: np.ndarray, dy: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """out[c] = y[c] · (dy[c] − Σ dy[j] · y[j]) along `axis`, for y = softmax(x); out may be dy."""
    out[...] = y * (dy - np.sum(dy * y, axis=axis, keepdims=True))
    return out


@kernel
def class_loss(p: np.ndarray, label: np.ndarray, least: float, Z: float, own: np.ndarray, wrong: np.ndarray,
               out: np.ndarray) -> None:
    """own = the class that each label names;  l = −log max(p[own], least);  out = Σ l / Z over all cells.

    p is (outer, C, inner), and label and own have a number for each of outer · inner cells. A label is truncated to a
    whole number. Where one is none of the C classes, wrong[0] is 1, else 0; own and out are then not complete.
    """
    outer, C, inner = p.shape
    wrong[0] = not np.all((label > -1) & (label < C))
    if not wrong[0]:
        own[...] = label
        p_own = np.take_along_axis(p, own.reshape(outer, 1, inner), axis=1)
        l = -np.log(np.maximum(p_own, least))
        out[...] = l.sum(dtype=np.float64) / Z


@kernel
def class_loss_grad(p: np.ndarray, own: np.ndarray, dy: np.ndarray, Z: float, share: float, out: np.ndarray) -> None:
    """out[c] = (p[c] − [c = own]) · share · dy / Z,  dy being a single number; the sizes are those of class_loss."""
    outer, _, inner = p.shape
    at = np.arange(outer)[:, None], own.reshape(outer, inner), np.arange(inner)
    out[...] = p
    out[at] -= 1
    out *= float(dy) / Z * share
