"""Read the file of an ONNX model, and decide the shapes of its inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minicaffe.convert.onnx_package import onnx
from minicaffe.errors import DataError, NetError, near_names
from minicaffe.io.files import unreadable
from minicaffe.log import one_line

OLDEST = 7  # the oldest opset whose operators are understood


def load(path: str) -> Any:
    """Return the ModelProto in a file, with the data beside it.

    Half numbers become float32, and functions are put where they are called.
    Raise DataError or ProtoError where the file is missing, no model, or of an unknown version.
    """
    o = onnx()
    if not os.path.isfile(path):
        raise unreadable(path, IsADirectoryError() if os.path.isdir(path) else FileNotFoundError())
    try:
        model = o.load(path, load_external_data=False)
    except Exception as error:  # whatever the reader of protobuf raises
        hint = "a file that PyTorch has saved (.pt, .pth) is exported first: torch.onnx.export"
        raise DataError(f"this is no ONNX model that can be read: {one_line(error)}", where=path, hint=hint) from error
    if not model.graph.node and not model.graph.output:
        raise DataError("this is no ONNX model: it has no nodes and no outputs", where=path)
    if any(isinstance(text, bytes) for text in _texts(model.graph)):
        raise DataError("this ONNX model is damaged: a name in it is no text", where=path)
    try:
        o.load_external_data_for_model(model, os.path.dirname(path))
    except Exception as error:  # whatever the reader of the data raises
        raise DataError(f"its data in another file cannot be read: {one_line(error)}", where=path,
                        hint="put that file beside the model, under the name that it was exported with") from error
    if model.functions:
        model = o.inliner.inline_local_functions(model)
    version = opset(model)
    if not OLDEST <= version <= o.defs.onnx_opset_version():
        raise DataError(f"the operators are those of opset {version}, and {OLDEST} to {o.defs.onnx_opset_version()} "
                        "can be read", where=path, hint="export the model again with opset_version=18")
    widen(model)
    return model


def refuse_if_damaged(model: Any, error: Exception) -> None:
    """Raise DataError where onnx finds a mistake in a model. `error` is what was raised when it was read."""
    try:
        onnx().checker.check_model(model)
    except Exception as found:  # onnx has several kinds, which have no base of their own
        raise DataError(f"onnx finds a mistake in the model: {one_line(found)}",
                        hint="the file may be damaged: copy it or export it again") from error


def _texts(graph: Any) -> Iterator[Any]:
    """Yield all names and operators of a graph."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, node.doc_string, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            if attribute.HasField("g"):
                yield from _texts(attribute.g)
    yield from (value.name for values in (graph.initializer, graph.input, graph.output) for value in values)


def opset(model: Any) -> int:
    """Return the version of ONNX's own operators in a model."""
    return next((int(used.version) for used in model.opset_import if used.domain in ("", "ai.onnx")), 0)


def inputs_of(model: Any) -> list[Any]:
    """Return the ValueInfoProtos of what is put in: old models list the weights among the inputs, too."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def end_at(model: Any, outputs: Sequence[str]) -> None:
    """Let a model end at these values; nothing is changed where none are given."""
    if not outputs:
        return
    o = onnx()
    made = [name for node in model.graph.node for name in node.output]
    known = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
    ends = []
    for name in outputs:
        if name not in made:
            near = near_names(name, made)
            raise NetError(f"--outputs {name}: no node of the model makes a value of this name", hint=near)
        ends.append(known.get(name) or o.helper.make_tensor_value_info(name, o.TensorProto.FLOAT, None))
    del model.graph.output[:]
    model.graph.output.extend(ends)


def input_shapes(model: Any, batch: int | None, given: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Return the shape of each input.

    batch   the size of the first axis; None takes the one in the model, or 1 where it is open
    given   name of an input, or "" for the first one -> the sizes behind the first axis

    Raise NetError where a size is open, and where an input is not of float32.
    """
    o = onnx()
    inputs = inputs_of(model)
    names = [value.name for value in inputs]
    for name in given:
        if name and name not in names:
            raise NetError(f"--shape {name}=...: the model has no input {name!r}; it has {', '.join(names)}")
    found = {}
    for k, value in enumerate(inputs):
        kind = value.type.tensor_type.elem_type
        if kind != o.TensorProto.FLOAT:
            shown = o.TensorProto.DataType.Name(kind).lower() if kind else "no tensor"
            raise NetError(f"input {value.name!r} is {shown}, and Caffe computes in float32 alone",
                           hint="export the model with inputs and weights of float32: model.float()")
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        wanted = given.get(value.name) or (given.get("") if k == 0 else None)
        if wanted and len(wanted) != max(len(sizes) - 1, 0) and value.type.tensor_type.HasField("shape"):
            raise NetError(f"--shape gives {len(wanted)} sizes for input {value.name!r}, which has {len(sizes)} axes",
                           hint="give all sizes but that of the batch")
        if wanted:
            sizes = [sizes[0] if sizes else 0, *wanted]
        if sizes and (batch or sizes[0] <= 0):
            sizes[0] = batch or 1
        if (not sizes and not value.type.tensor_type.HasField("shape")) or min(sizes, default=1) <= 0:
            shown = "x".join(str(n) if n > 0 else "?" for n in sizes[1:]) or "?"
            raise NetError(f"input {value.name!r} has an open size: {shown}",
                           hint=f"say it: --shape {value.name}=" + shown.replace("?", "224"))
        found[value.name] = sizes
    return found


def set_input_shapes(model: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give the inputs of a model these shapes, and forget those of the values that follow from them."""
    for value in inputs_of(model):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in shapes[value.name]:
            shape.dim.add(dim_value=size)
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def widen(model: Any) -> None:
    """Turn half numbers (float16 and bfloat16) into float32, everywhere in a model."""
    _widen_graph(model.graph)


def _widen_graph(graph: Any) -> None:
    o = onnx()
    half = (o.TensorProto.FLOAT16, o.TensorProto.BFLOAT16)

    def widen_tensor(tensor: Any) -> None:
        if tensor.data_type in half:
            values = o.numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(o.numpy_helper.from_array(values, tensor.name))

    for tensor in graph.initializer:
        widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in half:
            value.type.tensor_type.elem_type = o.TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                widen_tensor(attribute.t)
            elif attribute.HasField("g"):
                _widen_graph(attribute.g)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i in half:
                attribute.i = o.TensorProto.FLOAT
