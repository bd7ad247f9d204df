"""The packages `onnx` and `onnxruntime`, which the extra onnx brings. Only this module imports them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minicaffe.errors import DataError, missing_extra

OPSET = 18
IR_VERSION = 8  # the one that belongs to opset 18; older readers refuse a higher one
PRODUCER = "minicaffe"  # what the models that are written here say of where they come from


def onnx() -> Any:
    """Return the package onnx. Raise EngineError where it is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.defs
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.shape_inference
    except ModuleNotFoundError as error:
        raise missing_extra("onnx", "onnx", "reading or writing ONNX") from error
    return onnx


def opset() -> Any:
    """Return the version of the operators that models are written with, as a model has it."""
    return onnx().helper.make_opsetid("", OPSET)


def check(model: Any) -> None:
    """Raise DataError where a ModelProto is not as the standard wants it, or the shapes in it do not fit together."""
    try:
        onnx().checker.check_model(model, full_check=True)
    except Exception as error:  # onnx has several kinds, which have no base of their own
        raise DataError(f"onnx finds a mistake in the model: {error}") from error


def runtime() -> Any:
    """Return the package onnxruntime."""
    import onnxruntime

    return onnxruntime


def run(model: bytes | str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a model in onnxruntime on one thread, and return its outputs by name.

    model   the model's bytes, or the path of its file

    Raise DataError where onnxruntime cannot run it.
    """
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))
    except Exception as error:  # onnxruntime has many kinds, which have no base of their own
        raise DataError(f"onnxruntime cannot run the model: {error}", hint="a newer onnxruntime may run it") from error


def evaluate_node(node: Any, inputs: Mapping[str, np.ndarray], opsets: Sequence[Any]) -> list[np.ndarray]:
    """Compute the outputs of one node (a NodeProto) by the functions that come with the package onnx.

    opsets  the versions of operators, as a model has them
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.output if name]
    given, made = ([onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in group]
                   for group in (inputs, names))
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "node", given, made), opset_imports=opsets)
    found = dict(zip(names, ReferenceEvaluator(model).run(None, dict(inputs)), strict=True))
    return [found[name] if name else np.empty(0) for name in node.output]
