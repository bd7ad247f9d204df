"""Write the page of a trace from Python, for a net or a solver that a program has made."""

from __future__ import annotations

from os import PathLike, fspath

import numpy as np

from minicaffe.errors import NetError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.net import Net
from minicaffe.solvers import Solver
from minicaffe.trace import session
from minicaffe.trace.format import WHOLE
from minicaffe.trace.page import trace_page


def trace(what: Net | Solver, path: str | PathLike[str], *, iterations: int = 1, seed: int = 1,
          proofs: int = WHOLE) -> None:
    """Run a net or a solver, and write a page on which you step through what it computed, as `minicaffe trace` does.

    what          a Net: one pass on the numbers that its inputs and weights hold, forward and, where it learns,
                  backward. A Solver: its next updates, with the tests and snapshots that are due
    path          of the HTML file
    iterations    number of updates; for a Solver alone
    seed          what layers draw in a net's pass follows from it, and which numbers of large arrays are shown
    proofs        for how many numbers of each diff the slope is measured; 0 for none

    Raises NetError for a net that is not float32, and DataError where the file cannot be written.
    """
    net = what.net if isinstance(what, Solver) else what
    if net.dtype is not np.float32:
        raise NetError(f"a page shows a net of float32, and this one has {np.dtype(net.dtype).name}")
    if iterations != 1 and what is net:
        raise NetError("iterations counts updates, which need a Solver")
    check_can_write("path", fspath(path))
    data = (session.of_solver(what, iterations, seed=seed, proofs=proofs) if isinstance(what, Solver)
            else session.of_net(what, seed=seed, proofs=proofs))
    data["net"] = data["net"] or "net"
    replace_file(fspath(path), [trace_page(data).encode()])
