"""What the function of a layer type is given, and where these functions are registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from minicaffe.convert.onnx_out.graph import Graph
from minicaffe.errors import LayerError
from minicaffe.layer import Layer

Shape = tuple[int, ...]
Writer = Callable[["Given"], None]

WRITERS: dict[str, Writer] = {}
ONE_BATCH = "--batch N writes the model for one batch size"


def writes(*types: str) -> Callable[[Writer], Writer]:
    """Register a function that writes the nodes of these layer types.

    The first paragraph of its docstring says what the layer becomes; docs/leaving.md prints it.
    """
    def add(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(types, function))
        return function
    return add


class Given:
    """One layer and the graph that it is written into.

    layer, param        the Layer, and its parameter message
    name                its name, with which the names of its nodes and constants begin
    x, y                names of the values that it reads, and of those that it must make, one for each bottom and top
    x_shapes, y_shapes  their shapes at the batch size for which the net was made
    x_open, y_open      for each of them the axes whose size is open, because it grows with the batch
    """

    def __init__(self, graph: Graph, layer: Layer, x: Sequence[str], y: Sequence[str], x_shapes: Sequence[Shape],
                 y_shapes: Sequence[Shape], x_open: Sequence[frozenset[int]], y_open: Sequence[frozenset[int]]) -> None:
        self.graph, self.param, self.name = graph, layer.param, layer.name
        self.layer: Any = layer  # each writer knows which type it has, and what that keeps
        self.x, self.y = list(x), list(y)
        self.x_shapes, self.y_shapes, self.x_open, self.y_open = x_shapes, y_shapes, x_open, y_open
        self.aliases: dict[str, str] = {}
        self.opened: list[tuple[int, int]] = []

    # --- nodes -----------------------------------------------------------------------------------------

    def node(self, op: str, inputs: Sequence[str], outputs: int | Sequence[str] = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output.

        outputs     the names of what it makes, such as `given.y`, or how many new names are wanted
        """
        names = self.new_names(op, outputs) if isinstance(outputs, int) else list(outputs)
        self.graph.node(op, f"{self.name}/{op}", inputs, names, **attributes)
        return names[0]

    def new_names(self, hint: str, count: int) -> list[str]:
        """Return names that nothing else has, for values inside the layer."""
        return [self.graph.free_name(f"{self.name}/{hint}:{k}") for k in range(count)]

    def floats(self, hint: str, values: Any) -> str:
        """Add a constant of float32, and return its name."""
        return self.graph.constant(f"{self.name}/{hint}", np.asarray(values, np.float32))

    def ints(self, hint: str, values: Any) -> str:
        """Add a constant of int64, which ONNX wants for shapes, axes and indices, and return its name."""
        return self.graph.constant(f"{self.name}/{hint}", np.asarray(values, np.int64))

    def blob(self, k: int, shape: Sequence[int] | None = None) -> str:
        """Add learnable blob k as a constant, in the given shape, and return its name."""
        values = self.layer.blobs[k].data
        name = f"{self.name}/blobs[{k}]"
        return self.graph.constant(name, np.array(values if shape is None else values.reshape(shape), np.float32))

    def numbers(self, k: int) -> np.ndarray:
        """Return learnable blob k, to be changed before it becomes a constant."""
        return np.array(self.layer.blobs[k].data, np.float32)

    def pass_on(self, t: int = 0, value: str | None = None) -> None:
        """Let top t be another name of a value (bottom 0 unless given), without a node."""
        self.aliases[self.y[t]] = self.x[0] if value is None else value

    # --- shapes ----------------------------------------------------------------------------------------

    def sizes(self, t: int = 0) -> list[int]:
        """Return the shape of top t for ONNX's Reshape: the open axis is −1.

        Refuse the layer where two axes of the top are open.
        """
        shape, free = self.y_shapes[t], self.y_open[t]
        if len(free) > 1:
            self.refuse(f"makes {self.y[t]!r}, in which more than one axis grows with the batch",
                        ONE_BATCH)
        return [-1 if axis in free else size for axis, size in enumerate(shape)]

    def is_open(self, j: int, axis: int) -> bool:
        """Return whether the size of an axis of bottom j grows with the batch."""
        return axis % max(len(self.x_shapes[j]), 1) in self.x_open[j]

    def open_top(self, t: int, axis: int) -> None:
        """Say that the size of an axis of top t follows from the numbers, and is known only when the model runs."""
        self.opened.append((t, axis))

    # --- errors ----------------------------------------------------------------------------------------

    def refuse(self, what: str, cure: str = "") -> NoReturn:
        """Raise LayerError: what of this layer ONNX cannot say ("has ..."), and the way out."""
        raise LayerError(f"layer {self.name!r} ({self.layer.type}) {what}", hint=cure)

    def refuse_if(self, wrong: Any, what: str, cure: str = "") -> None:
        """Refuse the layer if `wrong`."""
        if wrong:
            self.refuse(what, cure)
