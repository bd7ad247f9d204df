"""RMSProp: AdaGrad with a running mean, so that old gradients stop counting."""

from __future__ import annotations

from minicaffe import kernels
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.solver import Solver, register


@register("RMSProp")
class RMSPropSolver(Solver):
    """Divide the gradient by a running root mean square of itself.

    Update    s ← rms_decay · s + (1 − rms_decay) · dw²
              w ← w − rate · dw / (√s + delta)
    Computed  kernels.rmsprop_update: minicaffe/kernels/definitions/update.py

    Params    rms_decay delta
    History   s, the running mean of squared gradients: an array per parameter
    Errors    SolverError when momentum is set, or rms_decay is not in [0, 1)
    Derived   docs/maths/solvers.md
    See       Tieleman and Hinton, Coursera lecture 6.5, 2012
    """

    histories = ("mean of squared gradients",)
    reads = ("rms_decay", "delta")
    refuses = ("momentum",)
    fractions = ("rms_decay",)

    def rule(self, rate: float) -> Rule:
        p = self.param
        return Rule(kernels.rmsprop_update, rate=rate, rms_decay=p.rms_decay, delta=p.delta)
