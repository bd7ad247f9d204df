"""AdaDelta: AdaGrad with running means, and with steps that have the unit of the weights."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("AdaDelta")
class AdaDeltaSolver(Solver):
    """Scale the gradient by the ratio of two running root mean squares: of past steps and of past gradients.

    Update    s ← momentum · s + (1 − momentum) · dw²
              u = dw · √((t + delta) / (s + delta))
              t ← momentum · t + (1 − momentum) · u²
              w ← w − rate · u
    Computed  kernels.adadelta_update: minicaffe/kernels/definitions/update.py

    Params    momentum delta
    History   s, t, the running means of squared gradients and squared steps: two arrays per parameter, all s first
    Errors    SolverError when momentum is not in [0, 1)
    Derived   docs/maths/solvers.md
    See       Zeiler, arXiv 1212.5701
    """

    histories = ("mean of squared gradients", "mean of squared steps")
    reads = ("momentum", "delta")
    fractions = ("momentum",)

    def rule(self, rate: float) -> Rule:
        p = self.param
        return Rule(kernels.adadelta_update, rate=rate, momentum=p.momentum, delta=p.delta)
