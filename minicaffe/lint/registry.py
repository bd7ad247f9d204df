"""The registry of lint rules: how a rule is written, found by its name, and silenced.

A rule is one function that takes a subject and yields Findings. `@rule("its-name", KIND)` makes it known, also to
`--silence`. KIND says what it looks at, and so what its subject is:

    FILE        a file; lint reports what stopped it from being read
    NET         a net whose layers are made: Subject, below. `minicaffe train` runs these rules, and so does lint
    DEFINITION  a net in one phase, before it is made: subjects.Definition
    SOLVER      a solver with its nets: subjects.Training
    PAIR        two nets that share weights, such as the train net and the deploy net: subjects.Pair

The docstring of a rule is what `minicaffe lint --explain RULE` and docs/lint.md print. Its first sentence says what is
wrong, the next ones why that matters, and what follows the words "Example" and "Cure" is an example and its cure.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from minicaffe.errors import MinicaffeError, near_names
from minicaffe.net import Net
from minicaffe.solvers.doctor import doctor

ERROR, WARNING, NOTE = "error", "warning", "note"
FILE, NET, DEFINITION, SOLVER, PAIR = "a file", "a net", "a definition", "a solver", "two nets"


@dataclass(frozen=True)
class Finding:
    """A mistake that a rule has found.

    severity    ERROR if it can only be a mistake, WARNING if it probably is one, NOTE if that depends on something the
                rule cannot see
    layer       the name of the layer it is about, "" if it is about the whole net
    where       that layer's file and line, or the file; "" if the net was not read from a file
    cure        what to do about it
    rule        the name of the rule, which silences it
    """

    severity: str
    layer: str
    where: str
    message: str
    cure: str
    rule: str = ""

    @property
    def file(self) -> str:
        """The file, without the line."""
        return re.sub(r"(:\d+){1,2}$", "", self.where)

    @property
    def line(self) -> int:
        """The line, or 0 where it is not known."""
        found = re.search(r":(\d+)(:\d+)?$", self.where)
        return int(found[1]) if found else 0

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} (rule {self.rule})\n  hint: {self.cure}"


@dataclass(frozen=True)
class Subject:
    """The net that the rules of the kind NET examine.

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
        """For each layer the layers that wrote its bottoms last, also those that run in place."""
        wiring, found = self.net.wiring, []
        latest: dict[int, int] = {}
        for i, bottoms in enumerate(wiring.bottoms):
            found.append([latest[b] for b in bottoms])
            latest.update((t, i) for t in wiring.tops[i])
        return found


Rule = Callable[[Any], Iterator[Finding]]
R = TypeVar("R", bound=Rule)


@dataclass(frozen=True)
class Explanation:
    """What a rule's docstring says: its first sentence, why that matters, an example, and the cure."""

    summary: str
    why: str
    example: str
    cure: str


_rules: dict[str, tuple[str, Rule]] = {}


def rule(name: str, kind: str = NET) -> Callable[[R], R]:
    """Decorator: make a rule known by its name, among those of its kind."""

    def keep(function: R) -> R:
        if name in _rules:
            raise MinicaffeError(f"there are two rules with the name {name!r}")
        _rules[name] = kind, function
        return function

    return keep


def rules(kind: str = "") -> dict[str, Rule]:
    """Return the rules of one kind, or all of them, by name."""
    package = importlib.import_module("minicaffe.lint")
    for module in pkgutil.iter_modules(package.__path__):  # their decorators register the rules
        importlib.import_module(f"minicaffe.lint.{module.name}")
    return {name: function for name, (of, function) in _rules.items() if kind in ("", of)}


def explanation(name: str) -> Explanation:
    """Return what the docstring of a rule says. Raise MinicaffeError, with near names, where there is no such rule."""
    known = rules()
    if name not in known:
        raise MinicaffeError(f"there is no rule {name!r}; the rules are {', '.join(sorted(known))}",
                             hint=near_names(name, sorted(known)))
    text = inspect.cleandoc(known[name].__doc__ or "")
    parts = re.split(r"^(Example|Cure)\n", text, flags=re.MULTILINE)
    named = dict(zip(parts[1::2], parts[2::2], strict=True))
    summary, _, why = parts[0].partition("\n\n")
    return Explanation(" ".join(summary.split()), " ".join(why.split()),
                       inspect.cleandoc("\n" + named.get("Example", "")), " ".join(named.get("Cure", "").split()))


def silenced(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set. Raise MinicaffeError, with near names, for a name that no rule has.

    The hints that are given during a training have names too, and these are accepted.
    """
    known, chosen = sorted([*rules(), *doctor.HINTS]), frozenset(names)
    for name in sorted(chosen):
        if name not in known:
            raise MinicaffeError(f"there is no rule {name!r} to silence; the rules are {', '.join(known)}",
                                 hint=near_names(name, known))
    return chosen


def apply(kind: str, subject: Any, quiet: frozenset[str]) -> list[Finding]:
    """Return what the rules of a kind find in their subject, without the rules in `quiet`."""
    return [replace(finding, rule=name) for name, look in rules(kind).items() if name not in quiet
            for finding in look(subject)]


def check(net: Net, *, alone: bool = False, silence: Iterable[str] = ()) -> list[Finding]:
    """Return what the rules for made nets find, without the rules in `silence`. `alone` is explained at Subject."""
    return apply(NET, Subject(net, alone), silenced(silence))
