"""Solver updates: each turns a gradient `dw`, in place, into the step that is taken from the weights.

`take_step` does all that happens to a parameter, in stretches that fit a core's cache, so that a formula of ten numpy
operations reads and writes main memory once. Arguments: `w` the weights, `dw` their gradient, `h, h2` the solver's
history, `rate` the learning rate; all arrays are of one shape and C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import update as definitions


@definitions.take_step.implementation("numpy")
def take_step(update: Callable[..., object], numbers: tuple[float, ...], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """dw += decay · w;  update(dw, *history, *numbers);  w −= dw."""

    def stretch(w: np.ndarray, dw: np.ndarray, *history: np.ndarray) -> None:
        if decay:
            add_l2_decay(dw, w, decay)
        update(dw, *history, *numbers)
        w -= dw

    shards.for_blocks([w, dw, *history], stretch)


@definitions.add_l2_decay.implementation("numpy")
def add_l2_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · w, the gradient of ½ · decay · Σ w²."""
    dw += decay * w


@definitions.add_l1_decay.implementation("numpy")
def add_l1_decay(dw: np.ndarray, w: np.ndarray, decay: float) -> None:
    """dw += decay · sign(w), the gradient of decay · Σ |w|."""
    dw += decay * np.sign(w)


@definitions.sgd_update.implementation("numpy")
def sgd_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h = momentum · h + rate · dw;  dw = h."""
    h *= momentum
    dw *= rate
    h += dw
    dw[...] = h


@definitions.nesterov_update.implementation("numpy")
def nesterov_update(dw: np.ndarray, h: np.ndarray, rate: float, momentum: float) -> None:
    """h′ = momentum · h + rate · dw;  dw = (1 + momentum) · h′ − momentum · h."""
    back = momentum * h
    dw *= rate
    np.add(back, dw, out=h)
    np.multiply(h, 1 + momentum, out=dw)
    dw -= back


@definitions.adagrad_update.implementation("numpy")
def adagrad_update(dw: np.ndarray, h: np.ndarray, rate: float, delta: float) -> None:
    """h += dw²;  dw = rate · dw / (√h + delta)."""
    h += dw * dw
    root = np.sqrt(h)
    root += delta
    dw /= root
    dw *= rate


@definitions.rmsprop_update.implementation("numpy")
def rmsprop_update(dw: np.ndarray, h: np.ndarray, rate: float, rms_decay: float, delta: float) -> None:
    """h = rms_decay · h + (1 − rms_decay) · dw²;  dw = rate · dw / (√h + delta)."""
    _average(h, dw * dw, rms_decay)
    root = np.sqrt(h)
    root += delta
    dw /= root
    dw *= rate


@definitions.adadelta_update.implementation("numpy")
def adadelta_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, momentum: float,
                    delta: float) -> None:
    """h = m · h + (1 − m) · dw²;  u = dw · √((h2 + delta) / (h + delta));  h2 = m · h2 + (1 − m) · u²;  dw = rate · u.

    m is `momentum`, h the mean square of gradients and h2 that of updates.
    """
    _average(h, dw * dw, momentum)
    ratio = h2 + delta
    ratio /= h + delta
    dw *= np.sqrt(ratio, out=ratio)
    _average(h2, dw * dw, momentum)
    dw *= rate


@definitions.adam_update.implementation("numpy")
def adam_update(dw: np.ndarray, h: np.ndarray, h2: np.ndarray, rate: float, beta1: float, beta2: float,
                delta: float) -> None:
    """h = β1 · h + (1 − β1) · dw;  h2 = β2 · h2 + (1 − β2) · dw²;  dw = rate · h / (√h2 + delta)."""
    _average(h2, dw * dw, beta2)
    _average(h, dw, beta1)
    root = np.sqrt(h2)
    root += delta
    np.divide(h, root, out=dw)
    dw *= rate


def _average(mean: np.ndarray, new: np.ndarray, keep: float) -> None:
    """mean = keep · mean + (1 − keep) · new, overwriting `new`."""
    mean *= keep
    new *= 1 - keep
    mean += new
