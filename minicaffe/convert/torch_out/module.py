"""Write a net as a PyTorch module: a class in a file of Python, and its tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from minicaffe.convert.free_name import free_name
from minicaffe.convert.no_form import no_form
from minicaffe.convert.torch_out import layers as _writers  # noqa: F401 - registers them
from minicaffe.convert.torch_out import names, source
from minicaffe.convert.torch_out.given import WRITERS, Entry, Given, Members
from minicaffe.convert.torch_out.steps import Plan, Step, Value, flow_of, joined, plan
from minicaffe.errors import MinicaffeError
from minicaffe.layer import Layer
from minicaffe.log import one_line
from minicaffe.net import Net


@dataclass
class Written:
    """A module that was written.

    text            the content of the file
    class_name      the name of the class
    entries         its tensors
    inputs          the blobs that forward takes, in order
    labels          the blobs that `loss` takes behind them
    outputs         the blobs that forward returns, in order
    has_loss        whether there is a method `loss`
    remarks         what the user should know, in words
    """

    text: str
    class_name: str
    entries: list[Entry]
    inputs: list[str]
    labels: list[str]
    outputs: list[str]
    has_loss: bool
    remarks: list[str] = field(default_factory=list)


def module_of(net: Net, training: Net | None = None, larger: Net | None = None, outputs: Sequence[str] = (),
              made_from: str = "", place: Callable[[str], str] = lambda name: "") -> Written:
    """Write a net as a PyTorch module.

    net         a net of the phase TEST, with its weights. Its inputs become the arguments of `forward`
    training    the same net of the phase TRAIN, with its losses, and with Inputs for its data; it has the weights of
                the layers that are in training alone. None writes no method `loss`
    larger      the same net for another batch size: the text calls the sizes that differ N
    outputs     the blobs that `forward` returns, in this order; those that no layer reads if there are none
    made_from   the names of the files, for the docstring
    place       returns the file and the line of a layer, '' where they are not known

    Raise NetError or LayerError for what has no form in PyTorch.
    """
    return _Writing(net, training, outputs or net.outputs, place).written(made_from, larger)


class _Writing:
    """One net on its way into a file."""

    def __init__(self, net: Net, training: Net | None, outputs: Sequence[str], place: Callable[[str], str]) -> None:
        self.net, self.members, self.place = net, Members(), place
        self.flow = flow_of(net, outputs)
        self.training = flow_of(training, training.outputs) if training is not None else None
        self.plan: Plan = plan(self.flow, self.training)
        if not self.plan.weighted:
            self.training = None
        self.owners = {**self.flow.owners, **(self.training.owners if self.training else {})}
        self.twins: dict[str, Layer] = self.training.layers() if self.training else {}
        self.tests: dict[str, Layer] = self.flow.layers()
        self.defined = {*names.OF_THE_FILE, *source.helpers()}
        self.class_name = names.class_name(net.name or "Net", self.defined)
        self.defined.add(self.class_name)
        self.two_steps = bool(self.plan.weighted) and (bool(self.plan.extra) or self.plan.handed != self.plan.outputs)
        _refuse_unknown_types([*self.plan.body, *self.plan.extra, *self.plan.losses], place)

    def written(self, made_from: str, larger: Net | None) -> Written:
        """Return the file and its tensors."""
        methods, inputs = self._methods(), list(self.flow.inputs)
        remarks = [f"no method loss is written: {self.plan.why}"] if self.plan.why else []
        text = self._file(methods, made_from, larger)
        return Written(text, self.class_name, list(self.members.entries.values()), [value.blob for value in inputs],
                       [value.blob for value in self.plan.labels], [value.blob for value in self.plan.outputs],
                       bool(self.plan.weighted), remarks)

    # --- methods ---------------------------------------------------------------------------------------------

    def _methods(self) -> list[str]:
        """Return the methods behind __init__ as text."""
        p, inputs = self.plan, list(self.flow.inputs)
        labels = f" with its {_and([value.blob for value in p.labels])}" if p.labels else ""
        if not p.weighted:
            return [self._method("forward", "", inputs, p.body, p.outputs)]
        loss_doc = f"Return the loss of a batch{labels}, which training makes smaller."
        if not self.two_steps:
            return [self._method("forward", "", inputs, p.body, p.outputs),
                    self._loss(loss_doc, inputs, "self")]
        return [self._method("scores", "Return what the loss reads.", inputs, p.body, p.handed),
                self._method("forward", "", inputs, p.extra, p.outputs, call="self.scores"),
                self._loss(loss_doc, inputs, "self.scores")]

    def _loss(self, doc: str, inputs: list[Value], call: str) -> str:
        p = self.plan
        values = [value for _, value in p.weighted]
        scope = _Scope([*inputs, *p.labels], p.losses, values, self.defined)
        lines = self._call(scope, call, inputs) + self._lines(p.losses, scope, values)
        shapes = {v: s for step in [*p.losses, *p.body] for v, s in zip(step.y, step.y_shapes, strict=True)}
        parts = []
        for weight, value in p.weighted:
            name = scope.name(value) if not shapes[value] else f"{scope.name(value)}.sum()"
            parts.append(name if weight == 1 else f"{names.num(weight)} * {name}")
        lines.append(f"return {' + '.join(parts)}")
        return self._def("loss", doc, [scope.name(v) for v in [*inputs, *p.labels]], _shortened(lines))

    def _method(self, name: str, doc: str, inputs: list[Value], steps: Sequence[Step], returned: Sequence[Value],
                call: str = "") -> str:
        scope = _Scope(inputs, steps, returned, self.defined)
        lines = self._call(scope, call, inputs) if call else []
        lines += self._lines(steps, scope, returned)
        lines.append(f"return {', '.join(scope.name(value) for value in returned)}")
        return self._def(name, doc, [scope.name(value) for value in inputs], _shortened(lines))

    def _call(self, scope: _Scope, call: str, inputs: Sequence[Value]) -> list[str]:
        """Return the line that gets the values of the body."""
        handed = [scope.bind(value, -1) for value in self.plan.handed]
        return [f"{', '.join(handed)} = {call}({', '.join(scope.name(value) for value in inputs)})"]

    def _def(self, name: str, doc: str, arguments: Sequence[str], lines: Sequence[str]) -> str:
        head = source.wrapped(f"def {name}({', '.join(['self', *arguments])}):", source.INDENT)
        body = source.block([*([f'"""{source.in_docstring(one_line(doc))}"""'] if doc else []), *lines], 2)
        return f"{head}\n{body}"

    def _lines(self, steps: Sequence[Step], scope: _Scope, kept: Sequence[Value]) -> list[str]:
        """Return the statements of some steps."""
        lines = []
        for i, step in enumerate(scope.take(joined(steps, kept))):
            lines += self._step(step, i, scope)
        return lines

    def _step(self, step: Step, i: int, scope: _Scope) -> list[str]:
        x = [scope.name(value) + (".detach()" if off else "") for value, off in zip(step.x, step.detached, strict=True)]
        y = [scope.bind(value, i) for value in step.y]
        layer = self.tests.get(step.key, step.layer)
        given = Given(self.members, step.key, layer, self.twins.get(step.key), step.follower, x, y, step.x_shapes,
                      step.y_shapes, self.owners, scope.temporary)
        try:
            WRITERS[layer.type](given)
        except MinicaffeError as error:
            error.where = error.where or self.place(step.layer.name)
            raise
        return given.lines

    # --- the file --------------------------------------------------------------------------------------------

    def _file(self, methods: Sequence[str], made_from: str, larger: Net | None) -> str:
        used = source.with_their_own({*self.members.helpers, "read_safetensors"})
        more = "".join(f"import {name}\n" for name in sorted({"json", *self.members.imports}))
        init = source.block(["super().__init__()", *self.members.lines], 2)
        takes = _and([f"{value.blob} ({_sizes(shape, larger.blobs[value.blob].shape if larger else shape)})"
                      for value, shape in self.flow.inputs.items()])
        gives = _and([value.blob for value in self.plan.outputs])
        doc = source.in_docstring(one_line(f"It takes {takes} and returns {gives}."))
        head = source.in_docstring(one_line(f"{self.net.name or 'A net'}, written by minicaffe."))
        head += f"\n\nMade from {source.in_docstring(one_line(made_from))}.\n" if made_from else ""
        parts = [f'"""{head}"""\n\n{more}from pathlib import Path\n\nimport torch\nimport torch.nn.functional as F\n'
                 "from torch import nn\n",
                 f'class {self.class_name}(nn.Module):\n    """{doc}"""\n\n    def __init__(self):\n{init}\n\n'
                 + "\n\n".join(methods) + "\n",
                 *[f"{source.helpers()[name]}\n" for name in used if name != "read_safetensors"],
                 f'def load(path=Path(__file__).with_suffix(".safetensors")):\n'
                 f'    """Return the net with its weights, ready to predict; `train()` makes it ready to learn."""\n'
                 f"    net = {self.class_name}()\n    net.load_state_dict(read_safetensors(path))\n"
                 "    return net.eval()\n",
                 f"{source.helpers()['read_safetensors']}\n"]
        return "\n\n".join(parts)


class _Scope:
    """The variables of a method.

    A layer that runs in place gives its variable a new value, as it does with its blob. Where something still needs the
    old value, the new one gets a variable of its own.
    """

    def __init__(self, inputs: Sequence[Value], steps: Sequence[Step], kept: Sequence[Value],
                 defined: set[str]) -> None:
        self.defined, self.kept = defined, set(kept)
        self.holds: dict[str, Value] = {}
        self.names: dict[Value, str] = {}
        self.temporaries: set[str] = set()
        self.last: dict[Value, int] = {}
        self.wanted = {names.legal(value.blob, "blob") for step in steps for value in (*step.x, *step.y)}
        self.take(steps)
        for value in inputs:
            self.bind(value, -1)

    def take(self, steps: Sequence[Step]) -> Sequence[Step]:
        """Note when each value is read for the last time."""
        self.last = {value: i for i, step in enumerate(steps) for value in step.x}
        return steps

    def bind(self, value: Value, i: int) -> str:
        """Return the variable that gets a value in step i."""
        name = names.legal(value.blob if value.blob != "(automatic)" else value.maker, "blob")
        if name in self.defined:
            name += "_"
        if not self._may_hold(name, i):
            name = names.legal(f"{value.blob}_{value.maker}", "blob")
            while not self._may_hold(name, i) or name in self.defined:
                name = free_name(name, {*self.holds, *self.defined})
        self.holds[name] = value
        self.names[value] = name
        return name

    def name(self, value: Value) -> str:
        """Return the variable that holds a value."""
        return self.names[value]

    def temporary(self, wanted: str) -> str:
        """Return a name for a variable that one layer alone uses."""
        return free_name(wanted, {*self.holds, *self.wanted, *self.defined})

    def _may_hold(self, name: str, i: int) -> bool:
        """Return whether a variable may get another value in step i: nothing later reads the one that it has."""
        old = self.holds.get(name)
        return old is None or (old not in self.kept and self.last.get(old, -1) <= i)


def _refuse_unknown_types(steps: Sequence[Step], place: Callable[[str], str]) -> None:
    """Raise LayerError for the layers whose type no function writes, all in one message."""
    unknown = [step for step in steps if step.layer.type not in WRITERS]
    if not unknown:
        return
    made = {value for step in unknown for value in step.y}
    cut = dict.fromkeys(value.blob for step in unknown for value in step.x if value.maker and value not in made)
    raise no_form([f"{step.layer.name!r} ({step.layer.type})" for step in unknown], "PyTorch", "the net", cut,
                  place(unknown[0].layer.name))


def _sizes(shape: Sequence[int], other: Sequence[int]) -> str:
    """Return a shape in words, with N for the sizes that are others in another batch."""
    return " × ".join(str(a) if a == b else "N" for a, b in zip(shape, other, strict=True)) or "a number"


def _shortened(lines: Sequence[str]) -> list[str]:
    """Write `y = f(x)` and `return y` as one line."""
    *before, last, end = ["", *lines]
    name = end.removeprefix("return ")
    if end.startswith("return ") and last.startswith(f"{name} = ") and name.isidentifier():
        return [*before[1:], f"return {last.removeprefix(f'{name} = ')}"]
    return list(lines)


def _and(words: Sequence[str]) -> str:
    """Return words as in a sentence: a, b and c."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))

