"""Solver updates: each turns a gradient `dw`, in place, into the step that is taken from the weights.

`take_step` does all that happens to a parameter, in stretches that fit a core's cache, so that a formula of ten numpy
operations reads and writes main memory once. Arguments: `w` the weights, `dw` their gradient, `h, h2` the solver's
history, `rate` the learning rate; all arrays are of one shape and C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def take_step(update: Callable[..., object], numbers: tuple[float, ...], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """dw += decay · w;  update(dw, *history, *numbers);  w −= dw."""
    raise NotImplementedError


@kernel
def add_l2_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · w, the gradient of ½ · decay · Σ w²."""
    raise NotImplementedError


@kernel
def add_l1_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · sign(w), the gradient of decay · Σ |w|."""
    raise NotImplementedError


@kernel
def sgd_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h = momentum · h + rate · dw;  dw = h."""
    raise NotImplementedError


@kernel
def nesterov_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h′ = momentum · h + rate · dw;  dw = (1 + momentum) · h′ − momentum · h."""
    raise NotImplementedError


@kernel
def adagrad_update(dw: np.ndarray, h: np.ndarray, rate: float, delta: float) -> None:
    """h += dw²;  dw = rate · dw / (√h + delta)."""
    raise NotImplementedError


@kernel
def rmsprop_update(dw: np.ndarray, h: np.ndarray, rate: float, rms_decay: float, delta: float) -> None:
    """h = rms_decay · h + (1 − rms_decay) · dw²;  dw = rate · dw / (√h + delta)."""
    raise NotImplementedError


@kernel
def adadelta_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, momentum: float,
                    delta: float) -> None:
    """h = m · h + (1 − m) · dw²;  u = dw · √((h2 + delta) / (h + delta));  h2 = m · h2 + (1 − m) · u²;  dw = rate · u.

    m is `momentum`, h the mean square of gradients and h2 that of updates.
    """
    raise NotImplementedError


@kernel
def adam_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, beta1: float, beta2: float,
                delta: float) -> None:
    """h = β1 · h + (1 − β1) · dw;  h2 = β2 · h2 + (1 − β2) · dw²;  dw = rate · h / (√h2 + delta)."""
    raise NotImplementedError
