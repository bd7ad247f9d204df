"""What the function of an operator is given, and where these functions are registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from minicaffe.convert.onnx_in.dialects import TYPES, forks_with
from minicaffe.convert.onnx_in.draft import Draft
from minicaffe.convert.onnx_in.graph import Graph, Node, Shape
from minicaffe.errors import LayerError

Reader = Callable[["Given"], None]

READERS: dict[str, Reader] = {}


def reads(*ops: str) -> Callable[[Reader], Reader]:
    """Register a function that writes the layers of these operators.

    The first paragraph of its docstring says what the operator becomes; docs/entering.md prints it.
    """
    def add(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(ops, function))
        return function
    return add


class Given:
    """One node, and the net that it is written into.

    node, op        the Node and its operator
    opset           the version of the operators
    name            with which the names of its layers begin
    x, y            names of the values that it reads ("" for one that is left out) and makes
    dialect         the fork whose layers may be written, "" for BVLC's version 1.0 alone
    """

    def __init__(self, graph: Graph, draft: Draft, blobs: dict[str, str], node: Node, name: str, dialect: str) -> None:
        self.graph, self.draft, self.node, self.name, self.dialect = graph, draft, node, name, dialect
        self.op, self.x, self.y, self.opset = node.op, node.inputs, node.outputs, graph.opset
        self._blobs = blobs
        self._wrote = False

    # --- what the node says ----------------------------------------------------------------------------

    def shape(self, k: int = 0) -> Shape:
        """Return the shape of input k. Refuse the node if it depends on the numbers that are put in."""
        return self._known(self.x[k])

    def y_shape(self, t: int = 0) -> Shape:
        """Return the shape of output t."""
        return self._known(self.y[t])

    def _known(self, value: str) -> Shape:
        if value not in self.graph.shapes:
            self.refuse(f"has the value {value!r}, whose shape is known only when the model runs",
                        "Caffe needs every shape beforehand: cut the model before this node")
        return self.graph.shapes[value]

    def has(self, k: int) -> bool:
        """Return whether input k is given."""
        return k < len(self.x) and bool(self.x[k])

    def is_read(self, t: int) -> bool:
        """Return whether something reads output t."""
        y = self.y[t] if t < len(self.y) else ""
        return bool(y) and (bool(self.graph.readers(y)) or y in self.graph.outputs)

    def is_constant(self, k: int) -> bool:
        """Return whether input k is given and constant."""
        return self.has(k) and self.x[k] in self.graph.constants

    def constant(self, k: int, what: str = "") -> np.ndarray:
        """Return the array of input k. Refuse the node if it is not constant; `what` says what it is."""
        if not self.is_constant(k):
            self.refuse(f"has {what or f'input {k}'} {self.x[k] if self.has(k) else ''!r}, which is not constant",
                        "in Caffe it is part of the layer: export the model with it fixed, or end the net before it, "
                        "with --outputs VALUE")
        return self.graph.constants[self.x[k]]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default where it is not set."""
        return self.node.attributes.get(name, default)

    def ints(self, name: str, k: int | None = None, default: Sequence[int] | None = None) -> list[int] | None:
        """Return whole numbers that older opsets have as an attribute, and newer ones as the constant input k."""
        if name in self.node.attributes:
            return [int(n) for n in np.ravel(self.node.attributes[name])]
        if k is not None and self.has(k):
            return [int(n) for n in np.ravel(self.constant(k, name))]
        return None if default is None else list(default)

    def number(self, name: str, k: int, default: float) -> float:
        """Return a number that older opsets have as an attribute, and newer ones as the constant input k."""
        if name in self.node.attributes:
            return float(self.node.attributes[name])
        return float(np.ravel(self.constant(k, name))[0]) if self.has(k) else default

    def axis(self, axis: int, k: int = 0) -> int:
        """Return an axis of input k, counted from the front."""
        return axis % max(len(self.shape(k)), 1)

    # --- what is written -------------------------------------------------------------------------------

    def bottom(self, k: int = 0) -> str:
        """Return the blob of input k. A constant becomes a Parameter layer.

        Refuse the node if the input does not hold float32.
        """
        value = self.x[k]
        kind = self.graph.kinds.get(value, np.dtype(np.float32))
        self.refuse_if(kind != np.float32 and value not in self.graph.constants,
                       f"reads {value!r}, which is {kind}, and Caffe computes in float32 alone")
        return self.blob_of(k)

    def blob_of(self, k: int) -> str:
        """Return the blob of input k, whatever numbers it holds."""
        value = self.x[k]
        if value not in self._blobs:
            array = self.constant(k).astype(np.float32)
            self._blobs[value] = self.parameter(array)
        return self._blobs[value]

    def parameter(self, array: np.ndarray, suffix: str = "constant") -> str:
        """Add a Parameter layer with an array, and return its blob."""
        return self.draft.layer("Parameter", f"{self.name}.{suffix}", [], blobs=[array],
                                parameter_param={"shape": {"dim": array.shape}})[0]

    def layer(self, type: str, bottoms: str | Sequence[str], blobs: Sequence[np.ndarray] = (), suffix: str = "",
              name: str = "", **fields: Any) -> str:
        """Add a layer with one top, and return its blob.

        The first layer of a node gets the node's name, others that and the suffix, or their type; `name` is another.
        """
        return self.layers(type, bottoms, 1, blobs, suffix, name, **fields)[0]

    def layers(self, type: str, bottoms: str | Sequence[str], tops: int, blobs: Sequence[np.ndarray] = (),
               suffix: str = "", name: str = "", **fields: Any) -> list[str]:
        """Add a layer with several tops, and return their blobs."""
        name = name or f"{self.name}.{suffix or type.lower()}" if suffix or self._wrote else self.name
        self._wrote = self._wrote or not suffix
        return self.draft.layer(type, name, [bottoms] if isinstance(bottoms, str) else bottoms, tops, blobs, **fields)

    def give(self, blob: str, t: int = 0) -> None:
        """Let output t be what this blob holds."""
        self._blobs[self.y[t]] = blob
        self.draft.values.setdefault(blob, self.y[t])

    # --- layers that many need -------------------------------------------------------------------------

    def power(self, x: str, power: float = 1, scale: float = 1, shift: float = 0, suffix: str = "") -> str:
        """Add (shift + scale · x)^power, without the fields that have their defaults; nothing if all have."""
        fields = {key: value for key, value, default in
                  (("power", power, 1), ("scale", scale, 1), ("shift", shift, 0)) if value != default}
        return self.layer("Power", x, suffix=suffix, power_param=fields) if fields else x

    def relu(self, x: str, slope: float = 0, suffix: str = "") -> str:
        """Add a ReLU."""
        return self.layer("ReLU", x, suffix=suffix, relu_param={"negative_slope": slope} if slope else None)

    def eltwise(self, operation: str, bottoms: Sequence[str], coeff: Sequence[float] = ()) -> str:
        """Add an Eltwise: SUM, PROD or MAX."""
        return self.layer("Eltwise", bottoms, eltwise_param={"operation": operation, "coeff": coeff})

    def reshape(self, x: str, old: Sequence[int], new: Sequence[int]) -> str:
        """Add a Reshape to other sizes that holds for every batch size; nothing where they are the same."""
        if list(old) == list(new):
            return x
        dims = list(new)
        if dims and old:
            dims[0] = 0 if old[0] == new[0] else -1
        if len(dims) > 1 and dims[0] == 0 and dims[1] == self.graph.shapes[self.graph.inputs[0]][0]:
            dims[1] = -1  # in a sequence the second axis is the batch
        return self.layer("Reshape", x, reshape_param={"shape": {"dim": dims}})

    def tile(self, x: str, axis: int, tiles: int) -> str:
        """Add a Tile; nothing for one copy."""
        return self.layer("Tile", x, tile_param={"axis": axis, "tiles": tiles}) if tiles != 1 else x

    def concat(self, bottoms: Sequence[str], axis: int) -> str:
        """Add a Concat; nothing for a single blob."""
        if len(bottoms) == 1:
            return bottoms[0]
        return self.layer("Concat", bottoms, concat_param={"axis": axis} if axis != 1 else None)

    def cut(self, x: str, axis: int, start: int, stop: int, size: int) -> str:
        """Return the part of x from start to stop along an axis of this size. A Slice layer cuts it out."""
        points = [p for p in (start, stop) if 0 < p < size]
        if not points:
            return x
        parts = self.layers("Slice", x, len(points) + 1, slice_param={"axis": axis, "slice_point": points})
        return parts[1 if start else 0]

    def expand(self, x: str, old: Sequence[int], new: Sequence[int]) -> str:
        """Repeat x along the axes in which its shape is 1 and the wanted one larger, as ONNX broadcasts."""
        full = [1] * (len(new) - len(old)) + list(old)
        x = self.reshape(x, old, full)
        for axis, (have, want) in enumerate(zip(full, new, strict=True)):
            if have != want:
                x = self.tile(x, axis, want)
        return x

    # --- dialects and errors ---------------------------------------------------------------------------

    def may_write(self, type: str) -> bool:
        """Return whether the chosen fork has a layer type that BVLC's first version has not."""
        return type in TYPES.get(self.dialect, ())

    def refuse_without(self, type: str, what: str) -> None:
        """Refuse the node unless the chosen fork has a layer type."""
        if not self.may_write(type):
            self.refuse(f"{what}, which of Caffe's layers only {type} can do, a layer of forks",
                        " or ".join(f"--dialect {fork}" for fork in forks_with(type)) + f" writes {type}")

    def refuse(self, what: str, cure: str = "") -> NoReturn:
        """Raise LayerError: what of this node Caffe cannot say ("has ..."), and the way out."""
        raise LayerError(f"node {self.node.path!r} ({self.op}) {what}", hint=cure)

    def refuse_if(self, wrong: Any, what: str, cure: str = "") -> None:
        """Refuse the node if `wrong`."""
        if wrong:
            self.refuse(what, cure)
