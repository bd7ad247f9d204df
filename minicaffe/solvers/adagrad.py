"""AdaGrad: each weight has a learning rate of its own, which only falls."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("AdaGrad")
class AdaGradSolver(Solver):
    """Adaptive gradient: a weight with large gradients so far makes smaller steps.

    Update    s ← s + dw²
              w ← w − rate · dw / (√s + delta)
    Computed  kernels.adagrad_update: minicaffe/kernels/definitions/update.py

    Params    delta
    History   s, the sum of squared gradients: an array per parameter
    Errors    SolverError when momentum is set: the formula has none
    Derived   docs/maths/solvers.md
    See       Duchi, Hazan and Singer, JMLR 2011
    """

    histories = ("sum of squared gradients",)
    reads = ("delta",)
    refuses = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.adagrad_update, rate=rate, delta=self.param.delta)
