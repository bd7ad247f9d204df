"""Solvers: how gradients become better weights. One file a type, all on the loop in solver.py."""

from __future__ import annotations

import importlib
import pkgutil

from minicaffe.solvers.action import Action
from minicaffe.solvers.registry import get_solver, registered_solvers, solver_class
from minicaffe.solvers.solver import Solver

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Action", "Solver", "get_solver", "registered_solvers", "solver_class"]
