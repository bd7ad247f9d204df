"""The steps of all parameters in an update: computed by the solver's rule, then made again from a recording.

A small parameter's step takes less time than Python needs to call its kernel. So the calls of one update are recorded
(kernels/recording.py), and the next updates make all of them at once. What changes from update to update are the
numbers of the rule, such as the learning rate. The recorded calls read these from arrays, which each update writes.
"""

from __future__ import annotations

import operator
import threading
from array import array
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe import kernels
from minicaffe.kernels.recording import Recording, recording
from minicaffe.net.param_sharing import Param

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


class Steps:
    """Takes the steps of a solver's parameters."""

    def __init__(self) -> None:
        self._play: Callable[[], None] | None = None  # makes the recorded calls again
        self._numbers: list[array[float]] = []        # for each parameter the numbers of the rule, which they read
        self._arrays: list[np.ndarray] = []           # what they compute with
        self._state: Hashable = None                  # what else they depend on

    def take(self, solver: Solver, params: Sequence[Param]) -> None:
        """Turn each gradient into a step, and take it from the weights.

        dw ← dw / divisor + decay · w;  dw ← the step that the rule makes of it;  w ← w − dw.
        """
        count = len(params)
        arrays = [(param.blob.data, param.blob.diff, *solver.history[i::count]) for i, param in enumerate(params)]
        flat = [one for mine in arrays for one in mine]
        rates = [solver.rate * param.lr_mult for param in params]
        if not solver.net.replay:
            self._play = None
        rules = {rate: solver.rule(rate) for rate in set(rates)} if self._play else {}
        if self._play is None or self._state != _state(solver, params, rules.values()) \
                or len(flat) != len(self._arrays) or not all(map(operator.is_, flat, self._arrays)):
            self._record(solver, params, arrays)
            self._arrays = flat
            return
        if solver.divisor != 1 or solver.param.regularization_type == "L1":  # else there is nothing to do before
            for param, (w, dw, *_) in zip(params, arrays, strict=True):
                _regularize(solver, param, w, dw)
        for numbers, rate in zip(self._numbers, rates, strict=True):
            numbers[:] = array("d", rules[rate].numbers)
        self._play()

    def _record(self, solver: Solver, params: Sequence[Param], arrays: Sequence[tuple[np.ndarray, ...]]) -> None:
        """Take the steps one by one, and record them."""
        steps, rules = Recording(), []
        self._play, self._numbers = None, []
        for param, (w, dw, *history) in zip(params, arrays, strict=True):
            l2_decay = _regularize(solver, param, w, dw)
            rule = solver.rule(solver.rate * param.lr_mult)
            numbers = array("d", rule.numbers)
            with recording() as made:
                # L2 decay is part of the kernel, so that w and dw are read from memory once only
                kernels.take_step(rule.update, numbers, l2_decay, w, dw, *history)
            steps.extend(made)
            rules.append(rule)
            self._numbers.append(numbers)
        if steps.usable:
            self._play, self._state = steps.as_function(), _state(solver, params, rules)

    def __reduce__(self) -> Any:
        """A copy of a solver records its own steps, for these compute in the memory of the original."""
        return Steps, ()


def _regularize(solver: Solver, param: Param, w: np.ndarray, dw: np.ndarray) -> float:
    """Average a gradient, and add L1 decay to it. Return the L2 decay, which is still to be added."""
    if solver.divisor != 1:
        kernels.for_blocks([dw], lambda dw: np.multiply(dw, 1 / solver.divisor, out=dw))
    decay = float(solver.param.weight_decay * param.decay_mult)
    if solver.param.regularization_type != "L1":
        return decay
    if decay:
        kernels.for_blocks([dw, w], lambda dw, w: kernels.add_l1_decay(dw, w, decay))
    return 0.0


def _state(solver: Solver, params: Sequence[Param], rules: Any) -> Hashable:
    """Return what recorded steps depend on besides their arrays and the numbers of the rule."""
    return (threading.get_ident(), kernels.engine(), frozenset([rule.update for rule in rules]),
            solver.param.regularization_type, solver.param.weight_decay, tuple([param.decay_mult for param in params]))
