"""A number that should rise or fall: its best value so far, and for how long no better one has come.

    accuracy:max                a test net's output, the higher the better
    loss:min:patience=5         the same, lower is better; its patience runs out after five tests without a lower one
    accuracy:max:net=1          the output of test net #1; without `net` that of the first test net that has one
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from minicaffe.errors import SolverError, near_names
from minicaffe.solvers.fields import place

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver

Results = list[list[tuple[str, float]]]  # for each test net the names and the means of its outputs


class Criterion:
    """The best of the values that `take` was given, and what these values are.

    name, sign      the output, and 1 where higher is better or −1 where lower is; no name: the smoothed loss
    net             the number of the test net, or None for the first that has the output
    patience        how many values in a row may be no better; 0 for any number
    best, at        the best value and its iteration; None before the first
    stale           how many values have come since the best
    """

    def __init__(self, name: str, sign: int, *, net: int | None = None, patience: int = 0) -> None:
        self.name, self.sign, self.net, self.patience = name, sign, net, patience
        self.best: float | None = None
        self.at, self.stale = 0, 0

    @property
    def exhausted(self) -> bool:
        """True if the patience has run out: so many values in a row were no better."""
        return 0 < self.patience <= self.stale

    def take(self, value: float, iteration: int) -> bool:
        """Take in a value. Return whether it is the best so far, which NaN never is."""
        better = not math.isnan(value) and (self.best is None or self.sign * (value - self.best) > 0)
        if better:
            self.best, self.at, self.stale = value, iteration, 0
        else:
            self.stale += 1
        return better

    def of(self, results: Results) -> float | None:
        """This number among the results of all test nets; None where it is not among them, as for test_iter: 0."""
        for i, outputs in enumerate(results):
            if self.net in (None, i):
                for name, value in outputs:
                    if name == self.name:
                        return value
        return None

    def check(self, solver: Solver) -> None:
        """SolverError unless a test net of the solver puts out one number of that name."""
        if self.net is not None and self.net >= len(solver.test_nets):
            raise SolverError(f"{self} names test net #{self.net}, but there are {len(solver.test_nets)}",
                              where=solver.where)
        nets = solver.test_nets if self.net is None else [solver.test_nets[self.net]]
        known = [name for net in nets for name in net.outputs]
        if self.name not in known:
            there = f"the test nets put out {', '.join(dict.fromkeys(known))}" if known else "there is no test net"
            raise SolverError(f"{self} needs a test net with the output {self.name!r}; {there}", where=solver.where,
                              hint=near_names(self.name, known) if known else "give test_iter and test_interval")
        blob = next(net.blobs[self.name] for net in nets if self.name in net.outputs)
        if blob.count != 1:
            raise SolverError(f"{self}: the output {self.name!r} is {blob.count} numbers, and one can be best",
                              where=solver.where)

    def state(self) -> dict[str, Any]:
        """Return the values that a resume file keeps, for `restore`."""
        return {"of": str(self), "best": self.best, "at": self.at, "stale": self.stale}

    def restore(self, state: dict[str, Any] | None) -> bool:
        """Go on from a `state`. Return False, and change nothing, where the state is that of another number."""
        if state is None or state["of"] != str(self):
            return False
        self.best, self.at, self.stale = state["best"], state["at"], state["stale"]
        return True

    def __str__(self) -> str:
        """'accuracy:max', or 'the smoothed loss'."""
        net = "" if self.net is None else f":net={self.net}"
        return f"{self.name}:{'max' if self.sign > 0 else 'min'}{net}" if self.name else "the smoothed loss"


def parse(text: str, source: str, where: str = "") -> Criterion:
    """The Criterion that a text describes. Raise SolverError, naming `source` (a flag or a field), where it is none."""
    name, *rest = text.split(":")
    options = dict(part.split("=", 1) for part in rest if "=" in part)
    way = [part for part in rest if "=" not in part]
    known = set(options) <= {"patience", "net"} and all(value.isdecimal() for value in options.values())
    if not name or way not in (["max"], ["min"]) or not known or options.get("patience") == "0":
        raise SolverError(f"{source} must be written OUTPUT:max or OUTPUT:min, with :patience=N and :net=N as wanted, "
                          f"got {text!r}", where=where, hint="for example accuracy:max:patience=5")
    return Criterion(name, 1 if way == ["max"] else -1, patience=int(options.get("patience", 0)),
                     net=int(options["net"]) if "net" in options else None)


def of_plateau(solver: Solver) -> Criterion | None:
    """Return the Criterion of `lr_policy: "plateau"`: an output or the smoothed loss. None for another policy."""
    p = solver.param
    if p.lr_policy != "plateau":
        return None
    if not p.plateau_metric:
        return Criterion("", -1, patience=p.plateau_patience)
    found = parse(p.plateau_metric, "plateau_metric", place(p, "plateau_metric", solver.where))
    found.patience = p.plateau_patience
    found.check(solver)
    return found


def default(solver: Solver) -> Criterion:
    """In the first test net with an output of one number: the one called accuracy, else the first, taken for a loss."""
    for net in solver.test_nets:
        names = [name for name in net.outputs if net.blobs[name].count == 1]
        for name in (*(name for name in names if "accuracy" in name.lower()), *names):
            return Criterion(name, 1 if "accuracy" in name.lower() else -1)
    raise SolverError("the best snapshot is found by a test net, and there is none", where=solver.where,
                      hint="give test_iter and test_interval, or keep the last snapshots alone")
