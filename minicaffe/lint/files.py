"""Lint files: read them, find out which net belongs to which, and apply all rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minicaffe.errors import MinicaffeError
from minicaffe.io import prototxt
from minicaffe.layer import DataSource
from minicaffe.lint import data, paths
from minicaffe.lint.pairs import weights_of
from minicaffe.lint.registry import (
    DEFINITION,
    ERROR,
    NET,
    NOTE,
    PAIR,
    SOLVER,
    WARNING,
    Finding,
    Subject,
    apply,
    silenced,
)
from minicaffe.lint.subjects import Definition, Pair, Training, caught
from minicaffe.net import location
from minicaffe.proto import TEST, TRAIN, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import definition as solver_definition
from minicaffe.solvers import nets as solver_nets

SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass
class Report:
    """What lint found.

    files       the files that were examined, those that a solver names included
    findings    sorted by file, severity and line
    read        in words, how many samples of each source were read
    """

    files: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def count(self, severity: str) -> int:
        """Return how many findings there are of a severity."""
        return sum(one.severity == severity for one in self.findings)


def examine(files: Sequence[str], *, silence: Iterable[str] = (), level: int = 0, stages: Sequence[str] = (),
            samples: int = 1000, allow_python: bool = True) -> Report:
    """Examine nets and solvers with all rules. A solver is examined with its nets.

    A deploy net is compared with the train net, if it is clear which one that is (_trained_for).

    silence         names of rules to leave out
    level, stages   the state of nets that no solver names
    samples         how many samples of each source are read, at most
    allow_python    whether the code of Python layers may run

    A file that cannot be read becomes a finding. Raise MinicaffeError for a name in `silence` that no rule has.
    """
    quiet = silenced(silence)
    report, linter = Report(), _Linter(level, list(stages), samples, allow_python)
    for path in files:
        linter.add(path)
    report.files = sorted(linter.files)
    with caught():  # what is warned of becomes findings
        groups = list(_groups(linter, quiet))
    report.findings = _sorted(_without_repetitions(groups))
    report.read = sorted({words for one in linter.definitions for words in data.read_in_words(one)})
    return report


def _groups(linter: _Linter, quiet: frozenset[str]) -> Iterator[list[Finding]]:
    """Apply all rules. Yield the findings about each subject."""
    yield [one for one in linter.unreadable if one.rule not in quiet]
    for definition in linter.definitions:
        found = apply(DEFINITION, definition, quiet)
        if definition.net is not None:
            found += apply(NET, Subject(definition.net, definition.alone), quiet)
        yield found
    for training in linter.trainings:
        yield apply(SOLVER, training, quiet)
    for pair in linter.pairs():
        yield apply(PAIR, pair, quiet)
    if paths.RULE not in quiet:
        yield [replace(one, rule=paths.RULE) for one in paths.findings(linter.definitions, linter.trainings)]


def _without_repetitions(groups: Iterable[list[Finding]]) -> list[Finding]:
    """Return each finding once.

    A layer of both phases is examined twice. And where another rule explains an error, the message with which the net
    could not be made says the same again.
    """
    seen: set[tuple[str, str, str]] = set()
    unique: list[Finding] = []
    for group in groups:
        new = [one for one in group if (one.rule, one.where, one.layer) not in seen]
        seen.update((one.rule, one.where, one.layer) for one in new)
        unique += new
    explained = {one.where for one in unique if one.severity == ERROR and one.rule != "broken-net"}
    return [one for one in unique if one.rule != "broken-net" or one.where not in explained]


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (one.file, SEVERITIES.index(one.severity), one.line, one.rule))


class _Linter:
    """Reads files and collects what the rules examine."""

    def __init__(self, level: int, stages: list[str], samples: int, allow_python: bool) -> None:
        self.level, self.stages, self.samples, self.allow_python = level, stages, samples, allow_python
        self.files: dict[str, None] = {}
        self.unreadable: list[Finding] = []
        self.definitions: list[Definition] = []
        self.trainings: list[Training] = []
        self._alone: list[Definition] = []  # those that no solver names

    def add(self, path: str) -> None:
        """Read a file, and the nets that it names if it is a solver."""
        if path in self.files:
            return
        self.files[path] = None
        try:
            with caught():
                if _is_solver(path):
                    self._add_solver(path)
                else:
                    self._add_net(path)
        except MinicaffeError as error:
            self._refuse(path, error)

    def _refuse(self, path: str, error: MinicaffeError) -> None:
        """Make a finding of a file that cannot be read, so that the other files are still examined."""
        self.unreadable.append(Finding(ERROR, "", error.where or path, error.message,
                                       error.hint or "correct it; the other rules need a file that can be read",
                                       "unreadable"))

    def _add_net(self, path: str) -> None:
        """Add a net that no solver names, in each phase in which it makes sense."""
        both = [self._definition(path, phase, self.level, self.stages) for phase in (TRAIN, TEST)]
        fed = [one for one in both if _has_source(one)] or both[:1]
        if all(one.is_deploy for one in fed):
            fed = fed[-1:]  # a deploy net is used in the phase TEST
        elif len(fed) == 2 and fed[0].layers == fed[1].layers and not fed[0].trains:
            fed = fed[1:]  # a net without a loss and without rules for a phase is one to test or to use
        self.definitions += fed
        self._alone += fed

    def _add_solver(self, path: str) -> None:
        param = solver_definition.read_solver(path)
        training = Training(path, param)
        self.trainings.append(training)
        try:
            training.train = self._chosen(path, solver_nets.net_to_train(param, path))
            training.tests = [self._chosen(path, choice) for choice in solver_nets.nets_to_test(param, path)]
        except MinicaffeError as error:
            training.error = error
        self.definitions += [one for one in (training.train, *training.tests) if one is not None]

    def _chosen(self, path: str, choice: Any) -> Definition:
        """Return a net that a solver names, in the state in which the solver makes it."""
        state = choice.state
        made = self._definition(choice.definition, state.phase, state.level, list(state.stage), path)
        made.alone = True
        self.files[made.file] = None
        return made

    def _definition(self, net: Any, phase: int, level: int, stages: list[str], beside: str = "") -> Definition:
        given, place = location.read(net, location.outside(phase, level, stages))
        return Definition(place.file or beside, given, place, phase, level, stages, samples=self.samples,
                          allow_python=self.allow_python)

    # --- which nets belong together --------------------------------------------------------------------

    def pairs(self) -> Iterator[Pair]:
        """Yield each train net with the test nets of its solver or file, and with its deploy net."""
        for training in self.trainings:
            if training.train is not None:
                yield from (Pair(training.train, test) for test in training.tests)
        in_solvers = [one.train for one in self.trainings if one.train is not None]
        known = {one.file for one in in_solvers}
        trains = [one for one in self._alone if one.trains and one.file not in known and not _for_tests(one)]
        for train in trains:
            yield from (Pair(train, test) for test in self._alone
                        if test.tested and test.file == train.file and test.has_data)
        if len(trains) == 1 and not in_solvers:
            yield from (Pair(trains[0], test) for test in self._alone
                        if test.phase == TEST and test.file != trains[0].file and test.has_data)
        for deploy in self._alone:
            if deploy.is_deploy:
                yield from (Pair(train, deploy) for train in _trained_for(deploy, [*in_solvers, *trains]))


def _for_tests(definition: Definition) -> bool:
    """Return whether the name of a file says that its net is only for tests."""
    name = Path(definition.file).stem.lower()
    return ("test" in name or "val" in name) and "train" not in name


def _trained_for(deploy: Definition, trains: list[Definition]) -> list[Definition]:
    """Return the train net that a deploy net belongs to, in a list, or an empty list if that is not clear.

    It is the only train net there is. Among several it is the one with the same `name` that shares more than half of
    the layers with weights: a net that was made from another one often keeps the name, so the name is not enough.
    """
    if len(trains) == 1:
        return trains
    names = set(weights_of(deploy))
    return [train for train in trains if train.given.name and train.given.name == deploy.given.name
            and 2 * len(names & {layer.name for layer in train.layers}) > len(names)][:1]


def _has_source(definition: Definition) -> bool:
    """Return whether the net gets data in this phase, from a data layer or from a program."""
    return any(cls is None or cls.is_input or issubclass(cls, DataSource) or cls.users_code
               for cls, layer in zip(definition.classes, definition.layers, strict=True) if not layer.bottom)


def _is_solver(path: str) -> bool:
    """Return whether a file holds a solver. Raise ProtoError, with the line, if it holds neither solver nor net."""
    source = prototxt.read_source(path)
    # Here no layer is read: what the schema does not know is an error when the net is made.
    read = prototxt.as_net_or_solver(
        lambda message: proto_text.parse(source.text, message, source.filename, lambda layer, net: True))
    return isinstance(read, SolverParameter)
