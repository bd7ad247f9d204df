"""Solver updates: each turns a gradient `dw`, in place, into the step that is taken from the weights.

The arguments are `w`, the weights, `dw`, their gradient, `rate`, the learning rate, and the arrays that the solver
remembers, in the letters of its datasheet. All arrays have one shape and are C-contiguous. A remembered array is
updated in place, too.
Derived in docs/maths/solvers.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def take_step(update: Callable[..., object], numbers: Sequence[float], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """dw += decay · w;  update(dw, *history, *numbers);  w −= dw.

    Where `numbers` is an `array` of Python, a recorded call computes with what it holds when the call is made again.
    """
    if decay:  # without decay a weight may be infinite, and 0 · ∞ is not a number
        dw += decay * w
    update(dw, *history, *numbers)
    w -= dw


@kernel
def add_l2_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · w, the gradient of ½ · decay · Σ w²."""
    dw += decay * w


@kernel
def add_l1_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · sign(w), the gradient of decay · Σ |w|."""
    dw += decay * np.sign(w)


@kernel
def sgd_update(dw: np.ndarray, v: np.ndarray, rate: float, momentum: float) -> None:
    """v ← momentum · v + rate · dw;  dw ← v."""
    v[...] = momentum * v + rate * dw
    dw[...] = v


@kernel
def nesterov_update(dw: np.ndarray, v: np.ndarray, rate: float, momentum: float) -> None:
    """v′ ← momentum · v + rate · dw;  dw ← (1 + momentum) · v′ − momentum · v."""
    back = momentum * v
    v[...] = back + rate * dw
    dw[...] = (1 + momentum) * v - back


@kernel
def adagrad_update(dw: np.ndarray, s: np.ndarray, rate: float, delta: float) -> None:
    """s ← s + dw²;  dw ← rate · dw / (√s + delta)."""
    s += dw * dw
    dw[...] = rate * (dw / (np.sqrt(s) + delta))


@kernel
def rmsprop_update(dw: np.ndarray, s: np.ndarray, rate: float, rms_decay: float, delta: float) -> None:
    """s ← rms_decay · s + (1 − rms_decay) · dw²;  dw ← rate · dw / (√s + delta)."""
    s[...] = rms_decay * s + (1 - rms_decay) * (dw * dw)
    dw[...] = rate * (dw / (np.sqrt(s) + delta))


@kernel
def adadelta_update(dw: np.ndarray, s: np.ndarray, t: np.ndarray, rate: float, momentum: float,
                    delta: float) -> None:
    """s ← momentum · s + (1 − momentum) · dw²;  u = dw · √((t + delta) / (s + delta));
    t ← momentum · t + (1 − momentum) · u²;  dw ← rate · u.

    s is the running mean of squared gradients, t that of squared steps u.
    """
    s[...] = momentum * s + (1 - momentum) * (dw * dw)
    u = dw * np.sqrt((t + delta) / (s + delta))
    t[...] = momentum * t + (1 - momentum) * (u * u)
    dw[...] = rate * u


@kernel
def adam_update(dw: np.ndarray, m: np.ndarray, v: np.ndarray, rate: float, beta1: float, beta2: float,
                delta: float) -> None:
    """m ← β1 · m + (1 − β1) · dw;  v ← β2 · v + (1 − β2) · dw²;  dw ← rate · m / (√v + delta)."""
    m[...] = beta1 * m + (1 - beta1) * dw
    v[...] = beta2 * v + (1 - beta2) * (dw * dw)
    dw[...] = rate * (m / (np.sqrt(v) + delta))
