"""Nesterov: momentum that looks ahead."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("Nesterov")
class NesterovSolver(Solver):
    """Nesterov's accelerated gradient: the gradient is taken where momentum is about to lead.

    The weights that the net sees are the looked-ahead ones, so each update steps back and over again:

    Update    v′ ← momentum · v + rate · dw
              w ← w − ((1 + momentum) · v′ − momentum · v)

    Params    momentum
    History   v (one per parameter)
    Errors    SolverError when momentum is not in [0, 1)
    Derived   docs/maths/solvers.md#nesterov
    See       Nesterov 1983; Sutskever et al., ICML 2013
    """

    reads = ("momentum",)
    fractions = ("momentum",)

    def rule(self, rate: float) -> Rule:
        return Rule(kernels.nesterov_update, rate=rate, momentum=self.param.momentum)
