"""SGD: follow the gradient, with momentum."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("SGD")
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum: a decaying sum of past steps smooths the way down.

    Update    v ← momentum · v + rate · dw
              w ← w − v

    Params    momentum
    History   v (one per parameter)
    Errors    SolverError when momentum is not in [0, 1)
    Derived   docs/maths/solvers.md#sgd
    """

    reads = ("momentum",)
    fractions = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.sgd_update, rate=rate, momentum=self.param.momentum)
