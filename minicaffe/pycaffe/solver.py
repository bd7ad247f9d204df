"""pycaffe's solvers: those of minicaffe.solvers, by classes that take a file, with pycaffe's nets and names."""

from __future__ import annotations

import os
import secrets
from abc import ABCMeta
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from minicaffe import net, solvers
from minicaffe.errors import SolverError
from minicaffe.io.files import PathLike
from minicaffe.log import silent
from minicaffe.pycaffe import global_settings, stderr_log
from minicaffe.pycaffe.fixed_names import FixedNames
from minicaffe.pycaffe.list_types import NetVec
from minicaffe.pycaffe.net import Net
from minicaffe.solvers import definition, lr_policy, nets
from minicaffe.solvers.adadelta import AdaDeltaSolver as CoreAdaDelta
from minicaffe.solvers.adagrad import AdaGradSolver as CoreAdaGrad
from minicaffe.solvers.adam import AdamSolver as CoreAdam
from minicaffe.solvers.fields import warn_unless
from minicaffe.solvers.nesterov import NesterovSolver as CoreNesterov
from minicaffe.solvers.rmsprop import RMSPropSolver as CoreRMSProp
from minicaffe.solvers.sgd import SGDSolver as CoreSGD


class Solver(FixedNames, solvers.Solver, metaclass=ABCMeta):
    """The base class of pycaffe's solvers. It adds what they have and minicaffe's own solvers do not.

    source    the path of a solver's prototxt, or a SolverParameter that was read from the file `where`
    """

    fixed: ClassVar = dict.fromkeys(("net", "test_nets"), "a solver makes its nets itself, from its file")

    def __init__(self, source: PathLike | Any, *, where: str = "") -> None:
        if not self.type:
            raise SolverError("Solver is the base class of the solver types, so it makes no solver itself",
                              hint="get_solver(file) makes a solver of the type that the file names")
        stderr_log.begin()
        param, where = _read(source, where)
        warn_unless(param.type == self.type or not param.HasField("type"), param, "type",
                    f"is {param.type!r}, but the script makes a solver of the class {type(self).__name__}, so it is "
                    f"{self.type!r}", where)
        param.type = self.type
        super().__init__(param, where=where, net_class=Net)
        self._complete = True

    def _make_nets(self, maker: nets.Maker) -> None:
        super()._make_nets(maker)
        self.test_nets = NetVec(self.test_nets)

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        with silent():  # the update itself logs that a stepvalue is reached
            return lr_policy.learning_rate(self.param, self.iter, self.current_step)[0]

    def add_callback(self, on_start: Callable[[], Any] | NCCL,
                     on_gradients_ready: Callable[[], Any] | None = None) -> None:
        """Call functions without arguments in each iteration: before its forward passes, and after the backward passes.

        An NCCL may be given instead. One solver alone has no gradients to exchange, so it does nothing.
        """
        if isinstance(on_start, NCCL) and on_gradients_ready is None:
            return
        for function in (on_start, on_gradients_ready):
            if not callable(function):
                raise SolverError(f"add_callback takes two functions without arguments, got {function!r}",
                                  hint="lambda: None for one of them does nothing")
        self.on_start.append(on_start)  # type: ignore[arg-type]
        self.on_gradients_ready.append(on_gradients_ready)  # type: ignore[arg-type]

    def share_weights(self, net: net.Net) -> None:
        """Let another net use the memory of this solver's weights, by layer name."""
        net.share_trained_layers_with(self.net)


class SGDSolver(Solver, CoreSGD):
    """Train by stochastic gradient descent with momentum, whatever type the file names."""


class NesterovSolver(Solver, CoreNesterov):
    """Train by Nesterov's accelerated gradient, whatever type the file names."""


class AdaGradSolver(Solver, CoreAdaGrad):
    """Train by AdaGrad, whatever type the file names."""


class RMSPropSolver(Solver, CoreRMSProp):
    """Train by RMSProp, whatever type the file names."""


class AdaDeltaSolver(Solver, CoreAdaDelta):
    """Train by AdaDelta, whatever type the file names."""


class AdamSolver(Solver, CoreAdam):
    """Train by Adam, whatever type the file names."""


_OTHERS = (NesterovSolver, AdaGradSolver, RMSPropSolver, AdaDeltaSolver, AdamSolver)
for _class in _OTHERS:
    # Caffe: each of them is a kind of SGDSolver. Here only isinstance and issubclass say so, because their formulas
    # have nothing of SGD's.
    SGDSolver.register(_class)


def get_solver(source: PathLike | Any) -> Solver:
    """Return the solver of the type that a file names; its nets are pycaffe Nets."""
    stderr_log.begin()
    param, where = _read(source)
    return _class_for(solvers.solver_class(param, where))(param, where=where)  # type: ignore[arg-type]


def _read(source: PathLike | Any, where: str = "") -> tuple[Any, str]:
    """Return a SolverParameter of its own, and the file that it was read from."""
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fsdecode(source)
        return definition.read_solver(path), path
    return definition.with_type(source, where), where


@cache
def _class_for(core: type[solvers.Solver]) -> type[Solver]:
    """Return pycaffe's class for a solver type; a class is made for one that a user has registered."""
    own = next((one for one in (SGDSolver, *_OTHERS) if issubclass(one, core)), None)
    about = {"__doc__": core.__doc__, "__module__": core.__module__}
    return own or ABCMeta(core.__name__, (Solver, core), about)  # type: ignore[return-value]


class NCCL:
    """In Caffe, what adds up the gradients of solvers on several GPUs. Here there is one solver, which needs no sum.

    `add_callback` of a solver and `after_backward` of a net take it, and it does nothing.
    """

    def __init__(self, solver: Solver, uid: bytes | str) -> None:
        count = global_settings.solver_count()
        if count > 1:
            raise SolverError(f"set_solver_count({count}) asks for {count} solvers that exchange gradients, but here "
                              "a solver trains alone",
                              hint=f"give the script one GPU; with iter_size: {count} in the solver's file an update "
                                   f"is made from {count} batches, as on {count} GPUs")
        self.solver, self.uid = solver, uid

    @staticmethod
    def new_uid() -> bytes:
        """Return a new name for a group of solvers: 128 random bytes, as many as in Caffe."""
        return secrets.token_bytes(128)

    def bcast(self) -> None:
        """Do nothing: there is no other solver to give the weights to."""

    def __call__(self, layer: int) -> None:
        """Do nothing after a layer's backward pass."""
