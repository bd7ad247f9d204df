"""The registry of lint rules: how a rule is written, found by its name, and silenced.

A rule is one function that takes a Subject and yields Findings. `@rule("its-name")` makes it known, also to
`minicaffe train --silence`. Its docstring says in one sentence what is wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from minicaffe.errors import MinicaffeError, near_names
from minicaffe.net import Net
from minicaffe.solvers.doctor import doctor

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """A mistake that a rule has found.

    severity    ERROR where it can only be a mistake, else WARNING
    layer       the name of the layer it is about, "" where it is about the whole net
    where       that layer's file and line, or the file; "" where the net was not read from a file
    cure        what to do about it
    rule        the name of the rule, which silences it
    """

    severity: str
    layer: str
    where: str
    message: str
    cure: str
    rule: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} (rule {self.rule})\n  hint: {self.cure}"


@dataclass(frozen=True)
class Subject:
    """The net that the rules examine.

    net      a Net that has been set up; shapes alone are enough
    alone    whether the net runs without a program of the user's, as with `minicaffe train`. Then no code fills an
             Input layer or sets a diff by hand
    """

    net: Net
    alone: bool = False

    def found(self, severity: str, layer: int | None, message: str, cure: str) -> Finding:
        """Return a Finding about the layer of this index, or about the whole net."""
        name = "" if layer is None else self.net.layers[layer].name
        return Finding(severity, name, self.net.where(layer), message, cure)

    @cached_property
    def makers(self) -> list[list[int]]:
        """For each layer the layers that wrote its bottoms last, be it in place."""
        wiring, found = self.net.wiring, []
        latest: dict[int, int] = {}
        for i, bottoms in enumerate(wiring.bottoms):
            found.append([latest[b] for b in bottoms])
            latest.update((t, i) for t in wiring.tops[i])
        return found


Rule = Callable[[Subject], Iterator[Finding]]

_rules: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Decorator: make a rule known by its name."""

    def keep(function: Rule) -> Rule:
        if name in _rules:
            raise MinicaffeError(f"there are two rules with the name {name!r}")
        _rules[name] = function
        return function

    return keep


def rules() -> dict[str, Rule]:
    """All rules that look at a net before it runs, by name."""
    importlib.import_module("minicaffe.lint.training")  # its decorators register the rules
    return dict(_rules)


def silenced(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set; MinicaffeError with near names for one that no rule has.

    The names of the doctor's hints, which are given during a training, are accepted too.
    """
    known, chosen = sorted([*rules(), *doctor.HINTS]), frozenset(names)
    for name in sorted(chosen):
        if name not in known:
            raise MinicaffeError(f"there is no rule {name!r} to silence; the rules are {', '.join(known)}",
                                 hint=near_names(name, known))
    return chosen


def check(net: Net, *, alone: bool = False, silence: Iterable[str] = ()) -> list[Finding]:
    """Return the findings of all rules but those in `silence`. `alone` is explained at Subject."""
    quiet, subject = silenced(silence), Subject(net, alone)
    return [replace(finding, rule=name) for name, look in rules().items() if name not in quiet
            for finding in look(subject)]
