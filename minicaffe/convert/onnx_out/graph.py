"""The graph of an ONNX model while it is written: nodes and constants, each with a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicaffe.convert.free_name import take_free_name
from minicaffe.convert.onnx_package import IR_VERSION, PRODUCER, onnx, opset

Size = int | str  # a number, or the name of a size that is known only when the model runs


class Batch(NamedTuple):
    """Where the open batch size of a model is found: an axis of an input. `size` is that of the net that is written."""

    input: str
    axis: int
    size: int


class Graph:
    """Nodes in the order in which they run, and constants.

    nodes       NodeProtos
    constants   name -> array
    batch       where the batch size is found; None where it is fixed
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.batch: Batch | None = None
        self._taken: set[str] = set()

    def free_name(self, wanted: str) -> str:
        """Return `wanted`, or that with a number behind it where the name is taken, and take it."""
        return take_free_name(wanted, self._taken)

    def take(self, names: Sequence[str]) -> None:
        """Keep names for the blobs of the net, so that nothing else gets them."""
        self._taken.update(names)

    def constant(self, name: str, values: Any) -> str:
        """Add a constant and return its name; an array with the same numbers under the same name is added once."""
        array = np.asarray(values, order="C")  # ascontiguousarray would give a scalar an axis
        known = self.constants.get(name)
        if known is not None and known.dtype == array.dtype and np.array_equal(known, array):
            return name
        name = self.free_name(name)
        self.constants[name] = array
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node. Attributes that are None are left out."""
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(onnx().helper.make_node(op, list(inputs), list(outputs), name=self.free_name(name), **given))

    def rename(self, new: Mapping[str, str]) -> None:
        """Give values other names, in all nodes."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new.get(value, value) for value in names]

    def model(self, name: str, inputs: Mapping[str, Sequence[Size]], outputs: Mapping[str, Sequence[Size]],
              metadata: Mapping[str, str]) -> Any:
        """Return the ModelProto. All inputs and outputs are of float32."""
        o = onnx()
        values = [[o.helper.make_tensor_value_info(value, o.TensorProto.FLOAT, list(shape))
                   for value, shape in named.items()] for named in (inputs, outputs)]
        used = {value for node in self.nodes for value in node.input} | set(outputs)
        constants = [o.numpy_helper.from_array(array, key) for key, array in self.constants.items() if key in used]
        graph = o.helper.make_graph(self.nodes, name or "net", *values, constants)
        model = o.helper.make_model(graph, opset_imports=[opset()], ir_version=IR_VERSION,
                                    producer_name=PRODUCER)
        o.helper.set_model_props(model, dict(metadata))
        return model
