"""Nesterov: momentum, with the gradient taken one step ahead."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("Nesterov")
class NesterovSolver(Solver):
    """Nesterov's accelerated gradient: the gradient is taken where momentum alone would lead to.

    The net always holds the weights that lie this far ahead. So an update goes back to the weights themselves, takes
    the step v′ from them, and goes ahead again. The three together are

    Update    v′ ← momentum · v + rate · dw
              w ← w − ((1 + momentum) · v′ − momentum · v)
    Computed  kernels.nesterov_update: minicaffe/kernels/definitions/update.py

    Params    momentum
    History   v, an array per parameter
    Errors    SolverError when momentum is not in [0, 1)
    Derived   docs/maths/solvers.md#nesterov
    See       Nesterov 1983; Sutskever et al., ICML 2013
    """

    reads = ("momentum",)
    fractions = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.nesterov_update, rate=rate, momentum=self.param.momentum)
