"""Record passes of a net: what each line of its layers computed, and what the blobs held afterwards.

The hooks of the net call a Recorder before and after each layer. So the net runs as it always does, in a Solver's loop
or by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.kernels.blas import hold_to_one_thread
from minicaffe.layer import Layer, ScriptLayer
from minicaffe.net import Net
from minicaffe.trace import formulas, products
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.code import PACKAGE, Function
from minicaffe.trace.format import exact
from minicaffe.trace.formulas import Formulas
from minicaffe.trace.proof import Proofs
from minicaffe.trace.tracer import Step, Tracer
from minicaffe.trace.trail import Trails

DEFINITIONS = [str(path) for path in sorted((PACKAGE / "kernels" / "definitions").glob("*.py"))]
NOT_ASKED = "No gradient is asked for here."


class Recorder:
    """Writes down the passes of a net, as minicaffe/trace/format.py says.

    net       a float32 Net
    arrays    where the arrays are kept
    proofs    of how many numbers of each diff the slope is measured; 0 for none

    sources, steps, moments    lists of the page
    """

    def __init__(self, net: Net, arrays: Arrays, proofs: int) -> None:
        self.net, self.arrays = net, arrays
        self.sources: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.moments: list[dict[str, Any]] = []
        self.iteration = 0
        self.blobs, self._numbers = blobs_of(net)
        self._source_numbers: dict[Function, int] = {}
        self._formulas = [formulas.of_layer(layer) for layer in net.layers]
        self._letters = [formulas.letters(layer) for layer in net.layers]
        self._files = [_files_of(layer) for layer in net.layers]
        self._forward: dict[int, list[dict[str, Any]]] = {}  # layer -> its values in the last forward pass
        self._top_diffs: list[np.ndarray] = []                # of the layer that runs backward, before it does
        self._param_diffs: list[np.ndarray | None] = []
        self._tracer: Tracer | None = None
        self._watching = ExitStack()  # holds the block in which a layer's pass is followed
        self.proofs = Proofs(net, arrays, proofs)
        self._trails = Trails(arrays)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record what the net runs in the block, on the engine `plain` and in one thread."""
        net, engine, threads = self.net, kernels.engine(), kernels.threads()
        hooks = ((net.before_layer, self._before_forward), (net.after_layer, self._after_forward),
                 (net.before_backward, self._before_backward), (net.after_backward, self._after_backward))
        kernels.use_engine("plain")
        kernels.set_threads(1)  # sys.settrace follows one thread
        hold_to_one_thread()  # as in `minicaffe train`: the sums of BLAS depend on the number of its threads
        for hooked, hook in hooks:
            hooked.append(hook)
        try:
            yield
        finally:
            self._stop()
            for hooked, hook in hooks:
                hooked.remove(hook)
            kernels.set_threads(threads)
            kernels.use_engine(engine)

    # --- hooks -------------------------------------------------------------------------------------

    def _before_forward(self, i: int) -> None:
        if i == 0:
            self._clear_scratch()
            self.proofs.pass_begins()
        self._start(i, "forward")

    def _after_forward(self, i: int) -> None:
        steps = self._stop()
        self.proofs.layer_ran(i)
        moment = self.add_moment(steps, self._formulas[i]["forward"], "forward", i)
        layer = self.net.layers[i]
        losses = [weight * float(top.data) for weight, top in zip(layer.loss_weights, self.net.tops[i], strict=True)
                  if weight and top.count == 1]
        if losses:
            moment["loss"] = exact(sum(losses))
        if not steps and (note := self._why_no_line(i)):
            moment["note"] = note
        moment["values"] = self._forward[i] = self._values(i, backward=False)
        moment["products"] = products.forward(layer, self.net.bottoms[i], self.net.tops[i], moment["values"],
                                              self.arrays)
        if i == len(self.net.layers) - 1:
            self.proofs.forward_ends()

    def _before_backward(self, i: int) -> None:
        if self.net.plan.layers[i]:
            self._top_diffs = [top.diff.copy() for top in self.net.tops[i]]
            self._param_diffs = [None if _is_zero(blob) else blob.diff.copy() for blob in self.net.layers[i].blobs]
            self._start(i, "backward")

    def _after_backward(self, i: int) -> None:
        runs, steps = self.net.plan.layers[i], self._stop()
        moment = self.add_moment(steps, self._formulas[i]["backward"], "backward", i)
        if not runs:
            moment["note"] = "This layer does not run backward: nothing below it learns."
        elif not steps and (note := self._why_no_line(i)):
            moment["note"] = note
        moment["values"] = self._values(i, backward=True)
        if runs:
            made = products.backward(self.net.layers[i], self.net.bottoms[i], self._top_diffs, self._param_diffs,
                                     moment["values"], self.arrays)
            moment["products"] = [product for _, product in made]
            self._trails.remember(i, made)
            self.proofs.remember(i, moment, self._top_diffs)
        if i == 0:
            self.proofs.measure(self._trails.follow())

    def _why_no_line(self, i: int) -> str:
        """Return a sentence for the page where no line of a layer's code has run."""
        layer, bottoms, tops = self.net.layers[i], self.net.bottoms[i], self.net.tops[i]
        if tops and all(any(top.shares_data_with(blob) for blob in (*bottoms, *layer.blobs)) for top in tops):
            return "No line runs: what the layer puts out is the same memory as what it reads, so nothing is copied."
        if not bottoms:
            return "This layer computes nothing: it puts out the data of the pass."
        return "No line of this layer can be shown: either it has nothing to do, or its source cannot be read."

    def _clear_scratch(self) -> None:
        """Fill the layers' scratch arrays with zeros: what happens to be in new memory differs from run to run."""
        if not self.moments:
            for layer in self.net.layers:
                for memory in layer.scratch_arrays:
                    memory.fill(0)

    def _start(self, i: int, way: str) -> None:
        self._tracer = Tracer(self._files[i], {way})
        self._watching.enter_context(self._tracer.watching())

    def _stop(self) -> list[Step]:
        """End the tracing of a layer, and return its steps."""
        if self._tracer is None:
            return []
        self._watching.close()
        steps, self._tracer = self._tracer.steps, None
        return steps

    # --- moments -----------------------------------------------------------------------------------

    def add_moment(self, steps: list[Step], lines: Formulas, way: str, layer: int) -> dict[str, Any]:
        """Add a moment and its steps to the lists, and return the moment."""
        moment: dict[str, Any] = {"iteration": self.iteration, "pass": way, "layer": layer, "first": len(self.steps),
                                  "count": len(steps), "values": [], "proofs": [], "products": []}
        self.moments.append(moment)
        self._add_steps(steps, lines, self._letters[layer])
        return moment

    def number_of(self, layer: int, role: str, place: int) -> int:
        """Return the page's number of a blob: of a layer's bottom, top or param at this place."""
        return self._numbers[layer, role, place]

    def _add_steps(self, steps: list[Step], lines: Formulas, letters: dict[str, list[str]]) -> None:
        """Add steps to the page's list, each with the formula line that it computes."""
        for step in steps:
            made: dict[str, Any] = {"source": self._source(step.function), "line": step.line, "depth": step.depth,
                                    "formula": None if step.skipped else _formula(step, lines, letters)}
            made["new"] = [[name, None if array is None else self.arrays.add(array, small=True), text]
                           for name, array, text in step.new]
            if step.also:
                made["also"] = step.also
            if step.calls:
                made["calls"] = True
            if step.skipped:
                made["skipped"] = step.skipped
            self.steps.append(made)

    def _source(self, function: Function) -> int:
        if function not in self._source_numbers:
            self._source_numbers[function] = len(self.sources)
            self.sources.append({"name": function.name, "path": function.path, "first": function.first,
                                 "lines": function.lines})
        return self._source_numbers[function]

    def _values(self, i: int, backward: bool) -> list[dict[str, Any]]:
        """Return what the bottoms, tops and params of a layer hold now that it has run."""
        net, layer = self.net, self.net.layers[i]
        found: list[dict[str, Any]] = []
        runs = backward and net.plan.layers[i]
        for role, blobs in (("bottom", net.bottoms[i]), ("top", net.tops[i]), ("param", layer.blobs)):
            for j, blob in enumerate(blobs):
                number = self._numbers[i, role, j]
                value: dict[str, Any] = {"blob": number, "role": role, "diff": None}
                value["data"] = self.arrays.add(blob.data, self.blobs[number].get("image", False))
                if runs:
                    self._add_diff(value, i, j)
                if backward:
                    self._note_overwritten(value, self._forward[i][len(found)])
                found.append(value)
        return found

    def _add_diff(self, value: dict[str, Any], i: int, j: int) -> None:
        """Add to a value the diff after backward, and a note on what it means where a reader may not expect it."""
        net, role, note = self.net, value["role"], ""
        in_place = net.tops[i] and net.bottoms[i] and any(top is net.bottoms[i][0] for top in net.tops[i])
        if role == "top":
            value["diff"] = self.arrays.add(self._top_diffs[j])
            if net.layers[i].loss_weights[j:j + 1] and net.layers[i].loss_weights[j]:
                note = "The diff of a loss is its loss_weight: forward has put it there."
            elif in_place:
                note = ("The layer runs in place. This is the diff before it ran backward: the gradient with respect "
                        "to what the layer put out.")
        elif role == "bottom":
            if net.plan.bottoms[i][j]:
                value["diff"] = self.arrays.add(net.bottoms[i][j].diff)
                if in_place and j == 0:
                    note = ("The layer runs in place. It has overwritten the diff of its top with this one: the "
                            "gradient with respect to what the layer read.")
            else:
                note = NOT_ASKED
        elif net.layers[i].param_propagate_down[j]:
            value["diff"] = self.arrays.add(net.layers[i].blobs[j].diff)
            if "shared" in self.blobs[value["blob"]] or any(blob.get("shared") == value["blob"] for blob in self.blobs):
                note = "Layers share this parameter. Its diff is the sum of what the layers so far have added."
        else:
            note = NOT_ASKED
        if note:
            value["note"] = note

    def _note_overwritten(self, value: dict[str, Any], before: dict[str, Any]) -> None:
        """Leave out the data of a blob that holds something else than when the layer ran forward."""
        if value["role"] != "param" and value["data"] != before["data"]:
            value["data"] = None
            value["note"] = " ".join(filter(None, [value.get("note", ""), "A layer that runs in place has overwritten "
                                                   "the data since this layer ran forward."]))


def _is_zero(blob: Blob) -> bool:
    """Return whether a diff counts as zeros, without making its memory."""
    diff = blob.storages[1]
    return diff.buffer is None or diff.cleared


def blobs_of(net: Net) -> tuple[list[dict[str, Any]], dict[tuple[int, str, int], int]]:
    """Return the page's list of blobs, and a dict (layer, role, place in the layer) -> number of the blob."""
    made: list[dict[str, Any]] = [{"name": name, "kind": "blob", "layer": 0, "shape": list(blob.shape)}
                                  for name, blob in net.blobs.items()]
    numbers: dict[tuple[int, str, int], int] = {}
    for i in range(len(net.layers)):
        for role, ids in (("bottom", net.wiring.bottoms[i]), ("top", net.wiring.tops[i])):
            numbers |= {(i, role, j): b for j, b in enumerate(ids)}
        for b in net.wiring.tops[i]:
            made[b]["layer"] = i
            shape = made[b]["shape"]
            if not net.bottoms[i] and len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 1:
                made[b]["image"] = True
    first: dict[int, int] = {}
    owners = {id(param.blob): id((param.owner or param).blob) for param in net.all_params}
    for i, layer in enumerate(net.layers):
        letters = formulas.letters(layer)["param"]
        for j, blob in enumerate(layer.blobs):
            letter = letters[j] if j < len(letters) else f"blob {j}"
            numbers[i, "param", j] = len(made)
            entry: dict[str, Any] = {"name": f"{layer.name} {letter}", "kind": "param", "layer": i,
                                     "shape": list(blob.shape)}
            owner = owners.get(id(blob), id(blob))
            if owner in first:
                entry["shared"] = first[owner]
            first.setdefault(owner, len(made))
            made.append(entry)
    return made, numbers


def layers_of(net: Net) -> list[dict[str, Any]]:
    """Return the page's list of layers."""
    _, numbers = blobs_of(net)
    return [{"name": layer.name, "type": layer.type,
             "formulas": {way: lines.lines for way, lines in formulas.of_layer(layer).items()},
             **{f"{role}s": [numbers[i, role, j] for j in range(len(blobs))]
                for role, blobs in (("bottom", net.bottoms[i]), ("top", net.tops[i]), ("param", layer.blobs))}}
            for i, layer in enumerate(net.layers)]


def _formula(step: Step, lines: Formulas, letters: dict[str, list[str]]) -> int | None:
    """Return the number of the formula line that a step computes, else that of the line that called its function."""
    written = [*(name for name in step.written if "." not in name),
               *(letter for name in step.written if (letter := _letter(name, letters)))]
    found = lines.of(step.statement, written)
    if found is None and step.caller:
        return _formula(step.caller, lines, letters)
    return found


def _letter(name: str, letters: dict[str, list[str]]) -> str:
    """Return the name that an array of a blob has in the datasheet: dx for bottom[0].diff and for x.diff."""
    base, _, what = name.rpartition(".")
    if what not in ("data", "diff"):
        return name.removeprefix("self.") if name.startswith("self.") else ""
    word, _, place = base.partition("[")
    role = {"bottom": "bottom", "top": "top", "self.blobs": "param"}.get(word)
    if role:
        known, j = letters[role], int(place[:-1] or 0)
        base = known[j] if j < len(known) else ""
    return base and ("d" + base if what == "diff" else base)


def _files_of(layer: Layer) -> list[str]:
    """Return the files whose lines are traced: of the layer's class, its bases, its family, and the definitions."""
    files = list(DEFINITIONS)
    written = getattr(type(layer), "user_class", type(layer))  # of a script's layer: the class that the script has
    for cls in written.__mro__:
        if issubclass(cls, (Layer, ScriptLayer)) and cls not in (Layer, ScriptLayer):
            try:
                file = inspect.getfile(cls)
            except (OSError, TypeError):
                continue
            files.append(file)
            if Path(file).is_relative_to(PACKAGE / "layers"):
                files += map(str, sorted(Path(file).parent.glob("_[a-z]*.py")))
    return files
