"""pycaffe's solvers."""

from __future__ import annotations

from typing import Any

from minicaffe import solvers
from minicaffe.io.files import PathLike
from minicaffe.pycaffe.net import Net


def get_solver(definition: PathLike | Any) -> solvers.Solver:
    """Return the solver of the type that a file names; its nets are pycaffe Nets."""
    return solvers.get_solver(definition, net_class=Net)
