"""A whole step of a parameter in one pass over memory: weight decay, the solver's rule, and the subtraction.

A large net's parameters do not fit in any cache. So its step takes as long as memory is read and written, and one pass
instead of several is what makes it quick.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicaffe.kernels.definitions import update as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.task import Task, task
from minicaffe.kernels.numba_engine.words import helper, values

DECAY, RATE = 6, 7  # which words of a block hold the rule's numbers: behind w, dw, h, h2, size, number of pieces


@definitions.take_step.implementation("numba", recordable=True)
def take_step(update: Callable[..., object], numbers: tuple[float, ...], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """By the task of the solver's rule, where it has one."""
    if update not in STEPS:
        definitions.take_step.on("numpy")(update, numbers, decay, w, dw, *history)
        return
    count, second = pieces(w.size), history[1] if len(history) > 1 else None
    STEPS[update](count, w, dw, history[0], second, w.size, count, float(decay), *map(float, numbers))


@helper
def _stretch(block, piece):
    """The piece's part of w, dw, h and h2."""
    w, dw, h, h2, size, count = values(block, 6)
    first, end = part(size, piece, count)
    return floats_of(w, first, end), floats_of(dw, first, end), floats_of(h, first, end), floats_of(h2, first, end)


@helper
def _number(block, i):
    return np.float32(words.number(block[i]))


@helper
def _rest(block, i):
    """1 − a number, computed in float64 and then rounded to float32."""
    return np.float32(1 - words.number(block[i]))


@helper
def _decayed(dw, w, decay):
    return dw + decay * w if decay != 0 else dw  # without decay a weight may be infinite


@task
def _sgd(block, piece):
    """h = momentum · h + rate · g;  w −= h, for the decayed gradient g."""
    w, dw, h, _ = _stretch(block, piece)
    decay, rate, momentum = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 1)
    for i in range(w.size):
        step = momentum * h[i] + rate * _decayed(dw[i], w[i], decay)
        h[i] = step
        dw[i] = step
        w[i] -= step


@task
def _nesterov(block, piece):
    """h' = momentum · h + rate · g;  w −= (1 + momentum) · h' − momentum · h."""
    w, dw, h, _ = _stretch(block, piece)
    decay, rate, momentum = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 1)
    ahead = np.float32(1 + words.number(block[RATE + 1]))
    for i in range(w.size):
        back = momentum * h[i]
        h[i] = back + rate * _decayed(dw[i], w[i], decay)
        dw[i] = ahead * h[i] - back
        w[i] -= dw[i]


@task
def _adagrad(block, piece):
    """h += g²;  w −= rate · g / (√h + delta)."""
    w, dw, h, _ = _stretch(block, piece)
    decay, rate, delta = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 1)
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        h[i] += g * g
        dw[i] = g / (np.sqrt(h[i]) + delta) * rate
        w[i] -= dw[i]


@task
def _rmsprop(block, piece):
    """h = keep · h + (1 − keep) · g²;  w −= rate · g / (√h + delta)."""
    w, dw, h, _ = _stretch(block, piece)
    decay, rate, delta = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 2)
    keep, new = _number(block, RATE + 1), _rest(block, RATE + 1)
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        h[i] = h[i] * keep + g * g * new
        dw[i] = g / (np.sqrt(h[i]) + delta) * rate
        w[i] -= dw[i]


@task
def _adadelta(block, piece):
    """h as in RMSProp;  u = g · √((h2 + delta) / (h + delta));  h2 as h, of u;  w −= rate · u."""
    w, dw, h, h2 = _stretch(block, piece)
    decay, rate, delta = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 2)
    keep, new = _number(block, RATE + 1), _rest(block, RATE + 1)
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        h[i] = h[i] * keep + g * g * new
        u = g * np.sqrt((h2[i] + delta) / (h[i] + delta))
        h2[i] = h2[i] * keep + u * u * new
        dw[i] = u * rate
        w[i] -= dw[i]


@task
def _adam(block, piece):
    """h and h2 = running means of g and of g²;  w −= rate · h / (√h2 + delta)."""
    w, dw, h, h2 = _stretch(block, piece)
    decay, rate, delta = _number(block, DECAY), _number(block, RATE), _number(block, RATE + 3)
    keep, new, keep2, new2 = (_number(block, RATE + 1), _rest(block, RATE + 1), _number(block, RATE + 2),
                              _rest(block, RATE + 2))
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        h2[i] = h2[i] * keep2 + g * g * new2
        h[i] = h[i] * keep + g * new
        dw[i] = h[i] / (np.sqrt(h2[i]) + delta) * rate
        w[i] -= dw[i]


STEPS: dict[Callable[..., object], Task] = {
    definitions.sgd_update: _sgd, definitions.nesterov_update: _nesterov, definitions.adagrad_update: _adagrad,
    definitions.rmsprop_update: _rmsprop, definitions.adadelta_update: _adadelta, definitions.adam_update: _adam}
