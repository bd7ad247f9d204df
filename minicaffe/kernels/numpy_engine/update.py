"""Solver updates. Chunks of a parameter that fit in a core's cache are shared out to the threads.

A formula of ten numpy operations then reads and writes main memory once. Each operation writes into memory that is
there already where it can: new memory for every result made the updates slower by a fifth to four fifths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import update as definitions


@definitions.take_step.implementation("numpy")
def take_step(update: Callable[..., object], numbers: Sequence[float], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """Do the whole step of one chunk, then that of the next."""
    def chunk(w: np.ndarray, dw: np.ndarray, *history: np.ndarray) -> None:
        if decay:  # without decay a weight may be infinite, and 0 · ∞ is not a number
            dw += decay * w
        update(dw, *history, *numbers)
        w -= dw

    shards.for_blocks([w, dw, *history], chunk)


@definitions.sgd_update.implementation("numpy")
def sgd_update(dw: np.ndarray, v: np.ndarray, rate: float, momentum: float) -> None:
    """In v and dw themselves: no step needs memory of its own."""
    v *= momentum
    dw *= rate
    v += dw
    dw[...] = v


@definitions.nesterov_update.implementation("numpy")
def nesterov_update(dw: np.ndarray, v: np.ndarray, rate: float, momentum: float) -> None:
    """With memory for one array, momentum · v of before."""
    back = momentum * v
    dw *= rate
    np.add(back, dw, out=v)
    np.multiply(v, 1 + momentum, out=dw)
    dw -= back


@definitions.adagrad_update.implementation("numpy")
def adagrad_update(dw: np.ndarray, s: np.ndarray, rate: float, delta: float) -> None:
    """With memory for one array at a time: the squares, then the roots."""
    s += dw * dw
    _divide_by_root(dw, s, rate, delta, out=dw)


@definitions.rmsprop_update.implementation("numpy")
def rmsprop_update(dw: np.ndarray, s: np.ndarray, rate: float, rms_decay: float, delta: float) -> None:
    """With memory for one array at a time: the squares, then the roots."""
    _average(s, dw * dw, rms_decay)
    _divide_by_root(dw, s, rate, delta, out=dw)


@definitions.adadelta_update.implementation("numpy")
def adadelta_update(dw: np.ndarray, s: np.ndarray, t: np.ndarray, rate: float, momentum: float,
                    delta: float) -> None:
    """With memory for two arrays; u is computed in dw."""
    _average(s, dw * dw, momentum)
    ratio = t + delta
    ratio /= s + delta
    dw *= np.sqrt(ratio, out=ratio)
    _average(t, dw * dw, momentum)
    dw *= rate


@definitions.adam_update.implementation("numpy")
def adam_update(dw: np.ndarray, m: np.ndarray, v: np.ndarray, rate: float, beta1: float, beta2: float,
                delta: float) -> None:
    """With memory for one array at a time."""
    _average(v, dw * dw, beta2)  # before m, for the next line overwrites dw
    _average(m, dw, beta1)
    _divide_by_root(m, v, rate, delta, out=dw)


def _average(mean: np.ndarray, new: np.ndarray, keep: float) -> None:
    """mean = keep · mean + (1 − keep) · new, overwriting `new`."""
    mean *= keep
    new *= 1 - keep
    mean += new


def _divide_by_root(a: np.ndarray, squares: np.ndarray, rate: float, delta: float, out: np.ndarray) -> None:
    """out = rate · a / (√squares + delta)."""
    root = np.sqrt(squares)
    root += delta
    np.divide(a, root, out=out)
    out *= rate
