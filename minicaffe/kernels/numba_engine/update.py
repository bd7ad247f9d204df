"""A whole step of a parameter in one pass over memory: weight decay, the solver's rule, and the subtraction.

A large net's parameters do not fit in any cache. So its step takes as long as memory is read and written, and one pass
instead of several is what makes it quick. The letters are those of the definitions and of the solvers' datasheets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicaffe.kernels.definitions import update as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.task import Task, task
from minicaffe.kernels.numba_engine.words import helper, values

# The words of a block at which the decay and the address of the rule's numbers stand. The words before are those of w,
# dw, two histories, the size and the number of pieces.
DECAY, NUMBERS = 6, 7


@definitions.take_step.implementation("numba", recordable=True)
def take_step(update: Callable[..., object], numbers: Sequence[float], decay: float, w: np.ndarray, dw: np.ndarray,
              *history: np.ndarray) -> None:
    """Run the task of the solver's rule. The rule of a user's own solver has none, and runs on the numpy engine."""
    if update not in STEPS:
        definitions.take_step.on("numpy")(update, numbers, decay, w, dw, *history)
        return
    count, second = pieces(w.size), history[1] if len(history) > 1 else None
    STEPS[update](count, w, dw, history[0], second, w.size, count, float(decay), np.asarray(numbers, np.float64))


@helper
def _chunk(block, piece):
    """Return the piece's part of w, dw and the one or two arrays that the solver remembers."""
    w, dw, first_history, second_history, size, count = values(block, 6)
    first, end = part(size, piece, count)
    return (floats_of(w, first, end), floats_of(dw, first, end), floats_of(first_history, first, end),
            floats_of(second_history, first, end))


@helper
def _decay(block):
    return np.float32(words.number(block[DECAY]))


@helper
def _number(block, i):
    """Number i of the rule, in float64; the first is the rate."""
    return words.doubles(block[NUMBERS], i + 1)[i]


@helper
def _decayed(dw, w, decay):
    """Return the gradient g = dw + decay · w."""
    return dw + decay * w if decay != 0 else dw  # without decay a weight may be infinite, and 0 · ∞ is not a number


@task
def _sgd(block, piece):
    """v ← momentum · v + rate · g;  w ← w − v, for the decayed gradient g."""
    w, dw, v, _ = _chunk(block, piece)
    decay, rate, momentum = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 1))
    for i in range(w.size):
        step = momentum * v[i] + rate * _decayed(dw[i], w[i], decay)
        v[i] = step
        dw[i] = step
        w[i] -= step


@task
def _nesterov(block, piece):
    """v′ ← momentum · v + rate · g;  w ← w − ((1 + momentum) · v′ − momentum · v)."""
    w, dw, v, _ = _chunk(block, piece)
    decay, rate, momentum = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 1))
    ahead = np.float32(1 + _number(block, 1))
    for i in range(w.size):
        back = momentum * v[i]
        v[i] = back + rate * _decayed(dw[i], w[i], decay)
        dw[i] = ahead * v[i] - back
        w[i] -= dw[i]


@task
def _adagrad(block, piece):
    """s ← s + g²;  w ← w − rate · g / (√s + delta)."""
    w, dw, s, _ = _chunk(block, piece)
    decay, rate, delta = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 1))
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        s[i] += g * g
        dw[i] = g / (np.sqrt(s[i]) + delta) * rate
        w[i] -= dw[i]


@task
def _rmsprop(block, piece):
    """s ← rms_decay · s + (1 − rms_decay) · g²;  w ← w − rate · g / (√s + delta)."""
    w, dw, s, _ = _chunk(block, piece)
    decay, rate, delta = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 2))
    rms_decay, rest = np.float32(_number(block, 1)), np.float32(1 - _number(block, 1))
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        s[i] = s[i] * rms_decay + g * g * rest
        dw[i] = g / (np.sqrt(s[i]) + delta) * rate
        w[i] -= dw[i]


@task
def _adadelta(block, piece):
    """s ← the running mean of g²;  u = g · √((t + delta) / (s + delta));  t ← that of u²;  w ← w − rate · u."""
    w, dw, s, t = _chunk(block, piece)
    decay, rate, delta = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 2))
    momentum, rest = np.float32(_number(block, 1)), np.float32(1 - _number(block, 1))
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        s[i] = s[i] * momentum + g * g * rest
        u = g * np.sqrt((t[i] + delta) / (s[i] + delta))
        t[i] = t[i] * momentum + u * u * rest
        dw[i] = u * rate
        w[i] -= dw[i]


@task
def _adam(block, piece):
    """m ← the running mean of g;  v ← that of g²;  w ← w − rate · m / (√v + delta)."""
    w, dw, m, v = _chunk(block, piece)
    decay, rate, delta = _decay(block), np.float32(_number(block, 0)), np.float32(_number(block, 3))
    beta1, rest1 = np.float32(_number(block, 1)), np.float32(1 - _number(block, 1))
    beta2, rest2 = np.float32(_number(block, 2)), np.float32(1 - _number(block, 2))
    for i in range(w.size):
        g = _decayed(dw[i], w[i], decay)
        v[i] = v[i] * beta2 + g * g * rest2
        m[i] = m[i] * beta1 + g * rest1
        dw[i] = m[i] / (np.sqrt(v[i]) + delta) * rate
        w[i] -= dw[i]


STEPS: dict[Callable[..., object], Task] = {
    definitions.sgd_update: _sgd, definitions.nesterov_update: _nesterov, definitions.adagrad_update: _adagrad,
    definitions.rmsprop_update: _rmsprop, definitions.adadelta_update: _adadelta, definitions.adam_update: _adam}
