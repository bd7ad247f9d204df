"""Adam: momentum over RMSProp, both corrected for their start at zero."""

from __future__ import annotations

import math

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("Adam")
class AdamSolver(Solver):
    """Adaptive moments: a running mean of the gradient over the root of a running mean of its square.

    Update    m ← β1 · m + (1 − β1) · dw                β1 = momentum
              v ← β2 · v + (1 − β2) · dw²               β2 = momentum2
              w ← w − rate · √(1 − β2^t) / (1 − β1^t) · m / (√v + delta)        t = iter + 1

    Params    momentum momentum2 delta
    History   m, v (all m first, then all v)
    Errors    SolverError when momentum or momentum2 is not in [0, 1)
    Derived   docs/maths/solvers.md#adam
    See       Kingma and Ba, ICLR 2015
    """

    histories = ("mean of gradients", "mean of squared gradients")
    reads = ("momentum", "momentum2", "delta")
    fractions = ("momentum", "momentum2")

    def rule(self, rate: float) -> Rule:
        beta1, beta2, t = self.param.momentum, self.param.momentum2, self.iter + 1
        correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        return Rule(kernels.adam_update, rate=rate * correction, beta1=beta1, beta2=beta2, delta=self.param.delta)
