"""The proof that another program computes what a net computes: the same numbers go in, and the outputs are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from minicaffe.errors import MinicaffeError, NetError
from minicaffe.log import number, plural, shape_text
from minicaffe.net import Net
from minicaffe.testing.random_numbers import random_inputs

LIMIT = 1e-4  # of the range of an output
RANDOM = {"random numbers around 1": 1.0, "random numbers around 50": 50.0}  # some nets take these, others pixels
BOUNDED = {"Sigmoid": 1.0, "Softmax": 1.0, "TanH": 1.0}  # layer type -> the largest number that it can make
TINY = 1e-30  # a smaller range counts as this, because no number may be divided by 0

Arrays = Mapping[str, np.ndarray]


class Run(NamedTuple):
    """One forward pass of the net.

    kind        what went in, in words
    inputs      the numbers that went in, by the names of the blobs
    outputs     the numbers that came out, in the order of the outputs
    """

    kind: str
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


@dataclass
class Difference:
    """How the numbers of one output differ, over all runs of a kind.

    name        of the output
    largest     the largest difference of two numbers
    range       from the smallest to the largest of our numbers, 0 included
    wrong       in words, why they cannot be compared, such as another shape; '' where they can
    lost        how many numbers are NaN here, and are not in the other program
    """

    name: str
    largest: float = 0.0
    range: float = TINY
    wrong: str = ""
    lost: int = 0

    @property
    def part(self) -> float:
        """The largest difference as a part of the range."""
        return np.inf if self.wrong else self.largest / self.range

    @property
    def fails(self) -> bool:
        """Whether the difference is larger than what is accepted."""
        return not self.part <= LIMIT

    def __str__(self) -> str:
        lost = f"; where the other program has {plural(self.lost, 'number')}, the net has NaN" if self.lost else ""
        return self.wrong or f"the largest difference is {number(self.largest)}, or {self.part:.1e} of the range{lost}"


@dataclass
class Proof:
    """The differences of all outputs.

    found       (kind of the numbers, Difference) of each output, by the name of the output
    kinds       the kinds of numbers that went in
    """

    kinds: list[str]
    found: dict[str, list[tuple[str, Difference]]] = field(default_factory=dict)

    def worst(self, output: str) -> tuple[str, Difference]:
        """Return the Difference of an output that is the largest part of the range, and what had gone in."""
        return max(self.found[output], key=lambda one: one[1].part)

    @property
    def holds(self) -> bool:
        """Whether all outputs agree."""
        return not any(self.worst(output)[1].fails for output in self.found)

    def lines(self) -> Iterator[str]:
        """Say for each output how it agrees."""
        for output in self.found:
            kind, worst = self.worst(output)
            yield f"{output!r}: {worst}" + (f" ({kind})" if len(self.kinds) > 1 else "")


def why_not(program: str, package: str, load: Callable[[], object]) -> str:
    """Return in a sentence why nothing can be proved with another program, '' where it can. `load` imports it."""
    try:
        load()
    except Exception as error:  # an installation that is broken raises errors of any kind
        absent = isinstance(error, ModuleNotFoundError) and error.name == package
        found = f"is not installed: pip install {package}" if absent else f"cannot be imported: {error}"
        return f"nothing was proved, because {program} {found}"
    return ""


def random_runs(net: Net, outputs: Sequence[str]) -> Iterator[Run]:
    """Run a net on random numbers that suit its layers, once for each size in RANDOM.

    Leave out a run in which the net cannot take such numbers, or answers with NaN or infinity alone.
    """
    for kind, size in RANDOM.items():
        for name in net.inputs:
            net.blobs[name].data[...] = 0
        random_inputs(net, np.random.default_rng(0), size=size)
        try:
            made = run_on(net, kind, {}, outputs)
        except MinicaffeError:
            continue
        if all(np.isfinite(values).any() or not values.size for values in made.outputs.values()):
            yield made


def run_on(net: Net, kind: str, inputs: Arrays, outputs: Sequence[str]) -> Run:
    """Put arrays into the inputs of a net, run it, and return the Run. Inputs that are not given keep their numbers."""
    for name, values in inputs.items():
        net.blobs[name].data[...] = values
    given = {name: net.blobs[name].data.copy() for name in net.inputs}
    for layer in net.layers:
        for state in getattr(layer, "states", ()):
            state.data[...] = 0  # a recurrent layer would go on from the run before, which another program does not
    net.forward()
    return Run(kind, given, {name: net.blobs[name].data.copy() for name in outputs})


def prove(net: Net, runs: Sequence[Run], other: Callable[[Arrays], Sequence[np.ndarray]]) -> Proof:
    """Run the other program on the inputs of each run, and compare its outputs, which come in the same order.

    Raise NetError where there is no run, because nothing could be compared.
    """
    if not runs:
        raise NetError("on random numbers the net answers with errors or NaN, so nothing can be compared",
                       hint="--inputs FILE gives real ones")
    proof = Proof(list(dict.fromkeys(run.kind for run in runs)))
    theirs = [other(run.inputs) for run in runs]
    for k, name in enumerate(runs[0].outputs):
        proof.found[name] = []
        for kind in proof.kinds:
            pairs = [(run.outputs[name], found[k]) for run, found in zip(runs, theirs, strict=True) if run.kind == kind]
            proof.found[name].append((kind, difference(name, pairs, bound(net, name))))
    return proof


def bound(net: Net, output: str) -> float:
    """Return the range that an output has at least: a Sigmoid's is 1, though all its numbers may be near 0."""
    wiring = net.wiring
    b = max(k for k, name in enumerate(wiring.blob_names) if name == output)
    for i in reversed(range(len(net.layers))):
        if b in wiring.tops[i]:
            if not net.layers[i].passes_on:
                return BOUNDED.get(net.layers[i].type, TINY)
            b = wiring.bottoms[i][0]
    return TINY


def difference(name: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], at_least: float = TINY) -> Difference:
    """Compare pairs of arrays of the output `name`, ours and theirs. The range is no smaller than `at_least`."""
    found = Difference(name)
    low = high = 0.0
    for ours, theirs in pairs:
        if ours.shape != theirs.shape:
            return Difference(name, wrong=f"its shape is {shape_text(theirs.shape)}, and should be "
                                            f"{shape_text(ours.shape)}")
        finite = np.isfinite(ours)
        if strange := int((finite & ~np.isfinite(theirs)).sum()):
            return Difference(name, wrong=f"{strange} of {ours.size} numbers are NaN or infinity, and should not be")
        found.lost += int((np.isnan(ours) & ~np.isnan(theirs)).sum())
        mine, other = ours[finite].astype(np.float64), theirs[finite]
        low, high = min(low, float(mine.min(initial=0))), max(high, float(mine.max(initial=0)))
        found.largest = max(found.largest, float(np.abs(mine - other).max(initial=0)))
    found.range = max(high - low, at_least)
    return found
