"""AdaGrad: a rate of its own for each weight, which only falls."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("AdaGrad")
class AdaGradSolver(Solver):
    """Adaptive gradient: weights that were moved a lot move less.

    Update    s ← s + dw²
              w ← w − rate · dw / (√s + delta)

    Params    delta
    History   s (one per parameter)
    Errors    SolverError when momentum is set: the formula has none
    Derived   docs/maths/solvers.md
    See       Duchi, Hazan and Singer, JMLR 2011
    """

    histories = ("sum of squared gradients",)
    reads = ("delta",)
    refuses = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.adagrad_update, rate=rate, delta=self.param.delta)
