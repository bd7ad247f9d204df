"""Make a Graph of a model: compute what is constant, and infer the shapes of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.names import scope_of
from minicaffe.convert.onnx_in.reading import opset
from minicaffe.convert.onnx_package import PRODUCER, evaluate_node, onnx
from minicaffe.errors import NetError
from minicaffe.log import one_line

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
LARGEST_FOR_SHAPES = 4096  # numbers of a constant that may decide a shape


def graph_of(model: Any, shapes: Mapping[str, Sequence[int]]) -> Graph:
    """Return the Graph of a model whose inputs have these shapes."""
    return _Folding(model, shapes).run()


class _Folding:
    """One walk along the nodes of a model."""

    def __init__(self, model: Any, shapes: Mapping[str, Sequence[int]]) -> None:
        self.model, self.o = model, onnx()
        self.graph = Graph(model.graph.name, opset(model), model.producer_name == PRODUCER, list(shapes),
                           [value.name for value in model.graph.output])
        self.types: dict[str, Any] = {}
        for name, sizes in shapes.items():
            self._set_type(name, self.o.helper.make_tensor_type_proto(self.o.TensorProto.FLOAT, list(sizes)))

    def run(self) -> Graph:
        """Walk along the nodes."""
        self._walk(self.model.graph)
        self.graph.remove_unread()
        return self.graph

    def _walk(self, graph: Any) -> None:
        for tensor in graph.initializer:
            self._set_constant(tensor.name, self.o.numpy_helper.to_array(tensor))
        for proto in graph.node:
            self._take(proto)

    def _take(self, proto: Any) -> None:
        """Compute a node whose inputs are constant; else add it to the graph, with the shapes of its outputs."""
        constants, op = self.graph.constants, proto.op_type
        if op in ("Shape", "Size") and (shape := self.graph.shapes.get(proto.input[0])) is not None:
            self._set_constant(proto.output[0], _shape_or_size(proto, shape))
        elif op == "If" and proto.input[0] in constants:
            self._take_branch(proto, bool(constants[proto.input[0]].item()))
        elif op not in RANDOM and all(name in constants for name in proto.input if name) and not _has_graph(proto):
            self._compute(proto)
        else:
            self.graph.nodes.append(self._node(proto))
            self._infer(proto)

    def _take_branch(self, proto: Any, condition: bool) -> None:
        """Put the nodes of one branch of an If in its place."""
        wanted = "then_branch" if condition else "else_branch"
        branch = next(attribute.g for attribute in proto.attribute if attribute.name == wanted)
        self._walk(branch)
        for inner, outer in zip(branch.output, proto.output, strict=True):
            self._take(self.o.helper.make_node("Identity", [inner.name], [outer], name=proto.name))

    def _compute(self, proto: Any) -> None:
        given = {name: self.graph.constants[name] for name in proto.input if name}
        try:
            found = evaluate_node(proto, given, self.model.opset_import)
        except Exception as error:  # whatever the functions of the package raise
            raise NetError(f"{_title(proto)} reads constants alone, but cannot be computed: {one_line(error)}",
                           hint="run onnxsim on the model first") from error
        for name, values in zip(proto.output, found, strict=True):
            if name:
                self._set_constant(name, np.asarray(values))

    def _infer(self, proto: Any) -> None:
        """Find the types of a node's outputs. Those that cannot be found stay unknown."""
        if not all(name in self.types for name in proto.input if name):
            return
        data = {name: self.o.numpy_helper.from_array(self.graph.constants[name], name) for name in proto.input
                if name in self.graph.constants and self.graph.constants[name].size <= LARGEST_FOR_SHAPES}
        try:
            domain = "" if proto.domain == "ai.onnx" else proto.domain
            schema = self.o.defs.get_schema(proto.op_type, self.graph.opset, domain)
            types = {name: self.types[name] for name in proto.input if name}
            found = self.o.shape_inference.infer_node_outputs(
                schema, proto, types, data, opset_imports=list(self.model.opset_import))
        except (self.o.defs.SchemaError, self.o.checker.ValidationError):
            return  # an operator that this version of ONNX does not have, or has no longer
        except self.o.shape_inference.InferenceError as error:
            shapes = [self.graph.shapes.get(name) for name in proto.input]
            raise NetError(f"{_title(proto)} does not fit its inputs {shapes}: {one_line(error)}",
                           hint="the model was made for another batch or image size: --batch N, --shape CxHxW"
                           ) from error
        for name, kind in found.items():
            if name:
                self._set_type(name, kind)
        if proto.op_type in ("MaxPool", "AveragePool"):
            self._without_windows_in_padding(proto)

    def _without_windows_in_padding(self, proto: Any) -> None:
        """Mend the shape of a pooling that rounds up: a window that would begin in the padding at the end is left out.

        The inference of some versions of onnx counts it, and onnxruntime does not.
        """
        given = {one.name: self._attribute(one) for one in proto.attribute}
        shape, made = (self.graph.shapes.get(name) for name in (proto.input[0], proto.output[0]))
        if not given.get("ceil_mode") or shape is None or made is None:
            return
        axes = len(shape) - 2
        strides, begins = given.get("strides", [1] * axes), given.get("pads", [0] * axes)[:axes]
        mended = [m - ((m - 1) * s >= n + begin)
                  for n, m, s, begin in zip(shape[2:], made[2:], strides, begins, strict=True)]
        for name in filter(None, proto.output):
            self._set_type(name, self.o.helper.make_tensor_type_proto(
                self.types[name].tensor_type.elem_type, [*made[:2], *mended]))

    def _node(self, proto: Any) -> Node:
        attributes = {one.name: self._attribute(one) for one in proto.attribute}
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        return Node(proto.op_type, proto.name or proto.output[0], list(proto.input), list(proto.output), attributes,
                    domain, scope_of(proto), proto.doc_string if self.graph.ours else "")

    def _attribute(self, attribute: Any) -> Any:
        value = self.o.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, self.o.TensorProto):
            return self.o.numpy_helper.to_array(value)
        if isinstance(value, (list, tuple)) or hasattr(value, "extend"):
            return [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in value]
        return value

    def _set_constant(self, name: str, values: np.ndarray) -> None:
        self.graph.constants[name] = values
        self._set_type(name, self.o.helper.make_tensor_type_proto(
            self.o.helper.np_dtype_to_tensor_dtype(values.dtype), list(values.shape)))

    def _set_type(self, name: str, kind: Any) -> None:
        self.types[name] = kind
        tensor = kind.tensor_type
        if tensor.elem_type:
            self.graph.kinds[name] = np.dtype(self.o.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if tensor.HasField("shape") and min(sizes, default=0) >= 0:
            self.graph.shapes[name] = tuple(sizes)


def _shape_or_size(proto: Any, shape: Sequence[int]) -> np.ndarray:
    if proto.op_type == "Size":
        return np.array(int(np.prod(shape)), np.int64)
    part = {attribute.name: attribute.i for attribute in proto.attribute}
    return np.array(shape[part.get("start", 0):part.get("end", len(shape))], np.int64)


def _title(proto: Any) -> str:
    return f"node {proto.name or proto.output[0]!r} ({proto.op_type})"


def _has_graph(proto: Any) -> bool:
    return any(attribute.HasField("g") for attribute in proto.attribute)
