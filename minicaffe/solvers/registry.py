"""Solver types by the name that prototxts use, and a solver made from its definition."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe.errors import SolverError, near_names
from minicaffe.net import Net
from minicaffe.solvers import definition
from minicaffe.solvers.fields import place

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver

NetClass = Callable[..., Net]  # a facade gives its own
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
    """All known solver types, sorted."""
    return sorted(_types)


def histories_of(type_name: str) -> tuple[str, ...] | None:
    """The `histories` of a solver type, None where it is not known."""
    return _types[type_name].histories if type_name in _types else None


def get_solver(source: Any, *, where: str = "", net_class: NetClass = Net, dtype: DType = np.float32,
               strict: bool = False) -> Solver:
    """The solver that a prototxt (its path) or a SolverParameter (read from `where`) defines, with its nets made.

    `strict` wants the weights of its `weights` field to fit the train net exactly.
    """
    if isinstance(source, (str, os.PathLike)):
        where, param = str(source), definition.read_solver(str(source))
    else:
        param = definition.with_type(source, where)
    if param.type not in _types:
        raise SolverError(f"there is no solver type {param.type!r}; known are {', '.join(registered_solvers())}",
                          where=place(param, "type", where), hint=near_names(param.type, registered_solvers()))
    return _types[param.type](param, where=where, net_class=net_class, dtype=dtype, strict=strict)
