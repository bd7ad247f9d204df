"""SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum: each step is a decaying sum of all gradients so far.

    Update    v ← momentum · v + rate · dw
              w ← w − v
    Computed  kernels.sgd_update: minicaffe/kernels/definitions/update.py

    Params    momentum
    History   v, an array per parameter
    Errors    SolverError when momentum is not in [0, 1)
    Derived   docs/maths/solvers.md#sgd
    """

    reads = ("momentum",)
    fractions = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.sgd_update, rate=rate, momentum=self.param.momentum)
