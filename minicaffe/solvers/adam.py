"""Adam: momentum divided by the root of RMSProp's mean, both corrected because they start at zero."""

from __future__ import annotations

import math

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("Adam")
class AdamSolver(Solver):
    """Adaptive moments: a running mean of the gradient, divided by the root of a running mean of its square.

    Update    m ← β1 · m + (1 − β1) · dw                β1 = momentum
              v ← β2 · v + (1 − β2) · dw²               β2 = momentum2
              w ← w − rate · √(1 − β2^t) / (1 − β1^t) · m / (√v + delta)        t = iter + 1
    Computed  kernels.adam_update: minicaffe/kernels/definitions/update.py

    Params    momentum momentum2 delta
    History   m, v: two arrays per parameter, all m first
    Errors    SolverError when momentum or momentum2 is not in [0, 1)
    Derived   docs/maths/solvers.md#adam
    See       Kingma and Ba, ICLR 2015
    """

    histories = ("mean of gradients", "mean of squared gradients")
    reads = ("momentum", "momentum2", "delta")
    fractions = ("momentum", "momentum2")

    def rule(self, rate: float) -> Rule:
        beta1, beta2, t = self.param.momentum, self.param.momentum2, self.iter + 1
        # what does not change within an update is computed once here, not for each weight in the kernel
        correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        return Rule(kernels.adam_update, rate=rate * correction, beta1=beta1, beta2=beta2, delta=self.param.delta)
