"""What the function of a layer type is given, and where these functions are registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from minicaffe.convert.free_name import free_name
from minicaffe.convert.torch_out import names
from minicaffe.errors import LayerError
from minicaffe.layer import Layer

Shape = tuple[int, ...]
Writer = Callable[["Given"], None]
Form = Callable[[np.ndarray], np.ndarray]
Place = tuple[str, int]  # the key of a layer, and the number of a blob in it

WRITERS: dict[str, Writer] = {}


def says(*types: str) -> Callable[[Writer], Writer]:
    """Register a function that writes these layer types as lines of Python.

    The first paragraph of its docstring says what the layer becomes; docs/leaving.md prints it.
    """
    def add(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(types, function))
        return function
    return add


def as_it_is(array: np.ndarray) -> np.ndarray:
    """Return an array in the form in which Caffe has it."""
    return array


@dataclass
class Entry:
    """A tensor of the module.

    name        its name in the module's state_dict
    values      its numbers
    place       the learnable blob that it is, whose gradient belongs to it; None for what is not learned
    form        makes the blob, or its gradient, into the form that PyTorch has
    """

    name: str
    values: np.ndarray
    place: Place | None = None
    form: Form = as_it_is


@dataclass
class Members:
    """What `__init__` of the class makes.

    lines       its statements
    entries     the tensors that these make, by name
    helpers     the functions and classes of helpers.py that the file needs
    imports     modules that the file imports besides torch
    taken       names that attributes of the class have
    """

    lines: list[str] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=lambda: set(names.OF_MODULES))
    reused: dict[tuple[str, tuple[Place, ...]], str] = field(default_factory=dict)  # constructor and blobs -> attribute


class Given:
    """One layer and the class that it is written into.

    layer, param        the Layer, as it is in the phase TEST where the net has both, and its parameter message
    twin                the same layer in the phase TRAIN; None where only the net for TEST is known
    follower            the Scale that a BatchNorm is written together with, else None
    x, y                names of the variables that it reads, and of those that it makes
    x_shapes, y_shapes  their shapes in the net; the batch may have another size
    lines               the statements that were written
    """

    def __init__(self, members: Members, key: str, layer: Layer, twin: Layer | None, follower: tuple[str, Layer] | None,
                 x: Sequence[str], y: Sequence[str], x_shapes: Sequence[Shape], y_shapes: Sequence[Shape],
                 owners: dict[Place, Place], temporary: Callable[[str], str]) -> None:
        self.members, self.key, self.param, self.name = members, key, layer.param, layer.name
        self.layer: Any = layer  # each writer knows which type it has, and what that keeps
        self.twin: Any = twin
        self.follower, self.owners, self.temporary = follower, owners, temporary
        self.x, self.y, self.x_shapes, self.y_shapes = list(x), list(y), list(x_shapes), list(y_shapes)
        self.lines: list[str] = []

    # --- statements --------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Add a statement to `forward`."""
        self.lines.append(text)

    def put(self, expression: str, t: int = 0) -> None:
        """Let top t be the value of an expression."""
        if expression != self.y[t]:
            self.line(f"{self.y[t]} = {expression}")

    def helper(self, name: str) -> str:
        """Return the name of a function or class of helpers.py, which the file then brings along."""
        self.members.helpers.add(name)
        return name

    def axes(self, j: int = 0) -> int:
        """Return how many axes bottom j has."""
        return len(self.x_shapes[j])

    # --- what __init__ makes ------------------------------------------------------------------------------

    def module(self, constructor: str, entries: dict[str, Any], remark: str = "") -> str:
        """Make a module of torch.nn in __init__, and return the expression that names it: self.conv1.

        entries     name of a tensor in the module -> the number of a blob, or (number, form), or an array that is not
                    learned
        remark      a comment behind the line
        """
        blobs = tuple(self.owners.get(place, place) for place in self._places())
        shared = any(place != owner for place, owner in zip(self._places(), blobs, strict=True))
        same = (constructor, blobs)
        if shared and blobs and same in self.members.reused:
            return f"self.{self.members.reused[same]}"
        attribute = self._attribute("")
        self.members.lines.append(f"self.{attribute} = {constructor}{f'  # {remark}' if remark else ''}")
        self.members.reused.setdefault(same, attribute)
        for name, content in entries.items():
            self._enter(f"{attribute}.{name}", content)
        return f"self.{attribute}"

    def parameter(self, suffix: str, k: int, shape: Sequence[int] | None = None) -> str:
        """Make blob k an nn.Parameter, in the given shape, and return the expression that names it."""
        sizes = tuple(self.layer.blobs[k].shape if shape is None else shape)
        attribute = self._attribute(suffix)
        self.members.lines.append(f"self.{attribute} = nn.Parameter({names.zeros(sizes)})")
        return self._enter(attribute, (k, lambda array: array.reshape(sizes)))

    def buffer(self, suffix: str, values: Any) -> str:
        """Keep numbers that are not learned, and return the expression that names them."""
        array = np.asarray(values, np.float32)
        attribute = self._attribute(suffix)
        self.members.lines.append(f'self.register_buffer("{attribute}", {names.zeros(array.shape)})')
        self.members.entries[attribute] = Entry(attribute, array)
        return f"self.{attribute}"

    def blob(self, k: int) -> np.ndarray:
        """Return learnable blob k as it is."""
        return np.array(self.layer.blobs[k].data)

    def _attribute(self, suffix: str) -> str:
        attribute = free_name(names.legal(self.name, "layer") + suffix, self.members.taken)
        self.members.taken.add(attribute)
        return attribute

    def _places(self) -> list[Place]:
        """Return the learnable blobs of the layer, and of the Scale that is written with it."""
        layers = [(self.key, self.layer), *([self.follower] if self.follower else [])]
        return [(key, k) for key, layer in layers for k in range(len(layer.blobs))]

    def _enter(self, name: str, content: Any) -> str:
        """Note a tensor by its name; one that layers share is made the same nn.Parameter."""
        if isinstance(content, np.ndarray):
            self.members.entries[name] = Entry(name, content)
            return f"self.{name}"
        k, form = content if isinstance(content, tuple) else (content, as_it_is)
        key, layer, k = (self.key, self.layer, k) if k < len(self.layer.blobs) or not self.follower else \
            (*self.follower, k - len(self.layer.blobs))
        place = key, k
        entry = Entry(name, form(np.array(layer.blobs[k].data)), place, form)
        owner = self.owners.get(place, place)
        before = next((other for other in self.members.entries.values()
                       if other.place is not None and self.owners.get(other.place, other.place) == owner), None)
        if before is not None:
            self.refuse_if(entry.values.shape != before.values.shape or not np.array_equal(entry.values, before.values),
                           f"shares blobs[{k}] with {before.name!r} in another shape",
                           "give each of them a parameter of its own")
            self.members.lines.append(f"self.{name} = self.{before.name}  # they share this parameter")
        self.members.entries[name] = entry
        return f"self.{name}"

    # --- errors ----------------------------------------------------------------------------------------

    def refuse(self, what: str, cure: str = "") -> NoReturn:
        """Raise LayerError: what of this layer has no form in PyTorch ("has ..."), and the way out."""
        raise LayerError(f"layer {self.name!r} ({self.layer.type}) {what}", hint=cure)

    def refuse_if(self, wrong: Any, what: str, cure: str = "") -> None:
        """Refuse the layer if `wrong`."""
        if wrong:
            self.refuse(what, cure)
