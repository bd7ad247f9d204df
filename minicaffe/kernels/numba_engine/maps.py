"""Functions of one number, such as sigmoid: a formula each, applied to all numbers in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicaffe.kernels.definitions import maps as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.exponential import exp, expm1, sigmoid, tanh
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces, unless_same
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.registry import Kernel

COST = 4  # an exponential takes as long as to copy so many numbers


def _implement(kernel: Kernel, formula: Callable[..., Any]) -> None:
    """Implement a kernel of the arguments (x, up to two numbers, out) by formula(v, p, q) for every number v of x."""

    @task
    def apply(block, piece):
        x, y, size, count, p_bits, q_bits = values(block, 6)
        first, end = part(size, piece, count)
        p, q, out = np.float32(words.number(p_bits)), np.float32(words.number(q_bits)), floats_of(y, first, end)
        if x == 0:  # in place, see unless_same
            for i in range(out.size):
                out[i] = formula(out[i], p, q)
        else:
            source = floats_of(x, first, end)
            for i in range(out.size):
                out[i] = formula(source[i], p, q)

    @kernel.implementation("numba", recordable=True)
    def implementation(x: np.ndarray, *rest: Any) -> None:
        *numbers, out = rest
        p, q = (*map(float, numbers), 0.0, 0.0)[:2]
        count = pieces(COST * x.size, x.size)
        apply(count, unless_same(x, out), out, x.size, count, p, q)


@helper
def _sigmoid(v, p, q):
    return sigmoid(v)


@helper
def _tanh(v, p, q):
    return tanh(v)


@helper
def _elu(v, alpha, q):
    return v if v > 0 else alpha * expm1(v)


@helper
def _linear(v, s, b):
    return s * v + b


@helper
def _exponential(v, s, b):
    return exp(s * v + b)


@helper
def _clip(v, a, b):
    below = b if v > b else v  # both comparisons leave NaN as it is
    return a if below < a else below


@helper
def _absolute(v, p, q):
    return abs(v)


_implement(definitions.sigmoid, _sigmoid)
_implement(definitions.tanh, _tanh)
_implement(definitions.elu, _elu)
_implement(definitions.linear, _linear)
_implement(definitions.exponential, _exponential)
_implement(definitions.clip, _clip)
_implement(definitions.absolute, _absolute)
