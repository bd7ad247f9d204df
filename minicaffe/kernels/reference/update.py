"""Solver updates: each turns a gradient `dw`, in place, into the step that is taken from the weights.

Large parameters are walked in blocks that fit a core's cache, so a formula of ten numpy operations reads
and writes main memory once. Arguments: `dw` the gradient, `h, h2` the solver's history, `rate` the
learning rate; all arrays are of one shape and C-contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicaffe.kernels.registry import kernel

BLOCK = 1 << 14  # elements: 64 KiB of float32


def _blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Matching flat slices of arrays of one shape: views, so writing to them writes to the arrays."""
    flat = [array.reshape(-1) for array in arrays]
    for i in range(0, flat[0].size, BLOCK):
        yield tuple(array[i : i + BLOCK] for array in flat)


@kernel
def add_l2_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · w, the gradient of ½ · decay · Σ w²."""
    for g, x in _blocks(dw, w):
        g += decay * x


@kernel
def add_l1_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · sign(w), the gradient of decay · Σ |w|."""
    for g, x in _blocks(dw, w):
        g += decay * np.sign(x)


@kernel
def sgd_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h = momentum · h + rate · dw;  dw = h."""
    for g, v in _blocks(dw, h):
        v *= momentum
        g *= rate
        v += g
        g[...] = v


@kernel
def nesterov_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h′ = momentum · h + rate · dw;  dw = (1 + momentum) · h′ − momentum · h."""
    for g, v in _blocks(dw, h):
        back = momentum * v
        g *= rate
        np.add(back, g, out=v)
        np.multiply(v, 1 + momentum, out=g)
        g -= back


@kernel
def adagrad_update(dw: np.ndarray, h: np.ndarray, rate: float, delta: float) -> None:
    """h += dw²;  dw = rate · dw / (√h + delta)."""
    for g, s in _blocks(dw, h):
        s += g * g
        root = np.sqrt(s)
        root += delta
        g /= root
        g *= rate


@kernel
def rmsprop_update(dw: np.ndarray, h: np.ndarray, rate: float, rms_decay: float, delta: float) -> None:
    """h = rms_decay · h + (1 − rms_decay) · dw²;  dw = rate · dw / (√h + delta)."""
    for g, s in _blocks(dw, h):
        _average(s, g * g, rms_decay)
        root = np.sqrt(s)
        root += delta
        g /= root
        g *= rate


@kernel
def adadelta_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, momentum: float,
                    delta: float) -> None:
    """h = m · h + (1 − m) · dw²;  u = dw · √((h2 + delta) / (h + delta));  h2 = m · h2 + (1 − m) · u²;  dw = rate · u.

    m is `momentum`, h the mean square of gradients and h2 that of updates.
    """
    for g, s, s2 in _blocks(dw, h, h2):
        _average(s, g * g, momentum)
        ratio = s2 + delta
        ratio /= s + delta
        g *= np.sqrt(ratio, out=ratio)
        _average(s2, g * g, momentum)
        g *= rate


@kernel
def adam_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, beta1: float, beta2: float,
                delta: float) -> None:
    """h = β1 · h + (1 − β1) · dw;  h2 = β2 · h2 + (1 − β2) · dw²;  dw = rate · h / (√h2 + delta)."""
    for g, m, v in _blocks(dw, h, h2):
        _average(v, g * g, beta2)
        _average(m, g, beta1)
        root = np.sqrt(v)
        root += delta
        np.divide(m, root, out=g)
        g *= rate


def _average(mean: np.ndarray, new: np.ndarray, keep: float) -> None:
    """mean = keep · mean + (1 − keep) · new, overwriting `new`."""
    mean *= keep
    new *= 1 - keep
    mean += new
