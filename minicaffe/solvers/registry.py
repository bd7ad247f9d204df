"""The solver types by the names that prototxts use; `get_solver` makes a solver from its definition."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe.errors import SolverError, near_names
from minicaffe.net import Net
from minicaffe.solvers import definition
from minicaffe.solvers.fields import place
from minicaffe.solvers.group import Group

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver

NetClass = Callable[..., Net]  # pycaffe gives its own subclass
DType = type  # float32 or float64

_types: dict[str, type[Solver]] = {}


def register(type_name: str) -> Callable[[type[Solver]], type[Solver]]:
    """Class decorator: make a Solver known under the `type` that prototxts use."""

    def keep(cls: type[Solver]) -> type[Solver]:
        if type_name in _types:
            raise SolverError(f"solver type {type_name!r} is registered twice")
        cls.type = type_name
        _types[type_name] = cls
        return cls

    return keep


def registered_solvers() -> list[str]:
    """Return the names of all solver types, sorted."""
    return sorted(_types)


def histories_of(type_name: str) -> tuple[str, ...] | None:
    """Return the `histories` of a solver type, or None where there is no such type."""
    return _types[type_name].histories if type_name in _types else None


def solver_class(param: Any, where: str = "") -> type[Solver]:
    """Return the class of the solver type that a SolverParameter names. Raise SolverError where there is none."""
    if param.type not in _types:
        raise SolverError(f"there is no solver type {param.type!r}; known are {', '.join(registered_solvers())}",
                          where=place(param, "type", where), hint=near_names(param.type, registered_solvers()))
    return _types[param.type]


def get_solver(source: Any, *, where: str = "", net_class: NetClass = Net, dtype: DType = np.float32,
               strict: bool = False, group: Group | None = None) -> Solver:
    """Make a solver and its nets from the path of a prototxt, or from a SolverParameter that was read from `where`.

    `strict` demands that the files of its `weights` field fit the train net exactly. `group` are the processes that
    train together; without it, this process trains alone.
    """
    if isinstance(source, (str, os.PathLike)):
        where, param = str(source), definition.read_solver(str(source))
    else:
        param = definition.with_type(source, where)
    return solver_class(param, where)(param, where=where, net_class=net_class, dtype=dtype, strict=strict,
                                      group=group)
