"""SGD: follow the gradient, with momentum."""

from __future__ import annotations

import numpy as np

from minicaffe import kernels
from minicaffe.solvers.solver import Solver, register


@register("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum: a decaying sum of past steps smooths the way down.

    Update    v ← momentum · v + rate · dw
              w ← w − v

    Params    momentum
    History   v (one per parameter)
    Derived   docs/maths/solvers.md#sgd
    """

    reads = ("momentum",)

    def compute_update(self, dw: np.ndarray, history: tuple[np.ndarray, ...], rate: float) -> None:
        kernels.sgd_update(dw, *history, rate, self.param.momentum)
