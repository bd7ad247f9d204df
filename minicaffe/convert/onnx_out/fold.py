"""Join nodes of a graph whose work one of them can do: factors and summands that are constant for each channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from minicaffe.convert.onnx_out.graph import Graph

ONE, NONE = np.ones(1), np.zeros(1)
Line = tuple[np.ndarray, np.ndarray]  # factors and summands: one for each channel, or a single one for all


def fold(graph: Graph, outputs: Collection[str], ranks: Mapping[str, int], into_weights: bool) -> None:
    """Join BatchNormalization with the Mul and Add behind it: Caffe's BatchNorm has a Scale behind it for these.

    outputs         names of values that must stay, because the model puts them out
    ranks           how many axes values have, by their names; a value that is not in it is left as it is
    into_weights    also put BatchNormalization, Mul and Add into the weights of the Conv, ConvTranspose or Gemm before
    """
    _join(graph, outputs, ranks, {"BatchNormalization": _into_normalization})
    if into_weights:
        _join(graph, outputs, ranks, dict.fromkeys(("Conv", "ConvTranspose", "Gemm"), _into_weights))


def _join(graph: Graph, outputs: Collection[str], ranks: Mapping[str, int], operators: Mapping[str, Any]) -> None:
    """Join each node of these operators with those behind it, as long as each is the only reader of the one before.

    operators   operator -> the function that puts a Line into the constants of its node, and returns whether it could
    """
    readers: dict[str, list[Any]] = {}
    for node in graph.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    ranks, gone = dict(ranks), set()
    for node in graph.nodes:
        while node.op_type in operators:
            made = node.output[0]
            behind = readers.get(made, [])
            if len(behind) != 1 or made in outputs or made not in ranks:
                break
            line = _line(graph, behind[0], made, ranks[made])
            if line is None or not operators[node.op_type](graph, node, *line):
                break
            node.doc_string = node.doc_string or layer_of(behind[0])
            node.output[0] = behind[0].output[0]
            ranks[node.output[0]] = ranks[made]
            gone.add(id(behind[0]))
    graph.nodes[:] = [node for node in graph.nodes if id(node) not in gone]


def layer_of(node: Any) -> str:
    """Return the name of the layer that a node belongs to. The reader of ONNX gives it to the Scale layer."""
    return str(node.name.rpartition("/")[0])


def _line(graph: Graph, node: Any, x: str, rank: int) -> Line | None:
    """Return the Line that a node computes of its input x, or None where it computes something else."""
    if node.op_type == "BatchNormalization":
        scale, bias, mean, variance = (_constant(graph, name) for name in node.input[1:])
        if scale is None or bias is None or mean is None or variance is None:
            return None
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factors = scale / np.sqrt(variance + epsilon)
        return factors, bias - mean * factors
    others = [name for name in node.input if name != x]
    values = _constant(graph, others[0]) if node.op_type in ("Mul", "Add") and len(others) == 1 else None
    values = None if values is None else _by_channel(values, rank)
    if values is None:
        return None
    return (values, NONE) if node.op_type == "Mul" else (ONE, values)


def _by_channel(values: np.ndarray, rank: int) -> np.ndarray | None:
    """Return an operand as one number for each channel, or a single one. Return None where it is neither.

    rank    of what it is joined with, whose channels are its second axis
    """
    if values.ndim > rank:  # the result would have more axes
        return None
    channels = values.ndim - rank + 1  # the axis of the operand that meets the channels
    single = values.size == 1
    return values.reshape(-1) if single or (channels >= 0 and values.shape[channels] == values.size) else None


def _into_normalization(graph: Graph, node: Any, factors: np.ndarray, summands: np.ndarray) -> bool:
    scale, bias = _constant(graph, node.input[1]), _constant(graph, node.input[2])
    if scale is None or bias is None or max(factors.size, summands.size) > scale.size:
        return False
    _replace(graph, node, 1, scale * factors)
    _replace(graph, node, 2, bias * factors + summands)
    return True


def _into_weights(graph: Graph, node: Any, factors: np.ndarray, summands: np.ndarray) -> bool:
    weights = _constant(graph, node.input[1])
    bias = _constant(graph, node.input[2]) if len(node.input) > 2 else NONE
    attributes = {a.name: a for a in node.attribute}
    if weights is None or bias is None or any(attributes[a].f != 1 for a in ("alpha", "beta") if a in attributes):
        return False
    if node.op_type == "ConvTranspose":  # its weights are (inputs, outputs of one group, ...)
        groups = attributes["group"].i if "group" in attributes else 1
        wide = weights.reshape(groups, -1, *weights.shape[1:])
        K, axes = groups * weights.shape[1], (groups, 1, -1, *[1] * (weights.ndim - 2))
    else:
        axis = 1 if node.op_type == "Gemm" and not ("transB" in attributes and attributes["transB"].i) else 0
        wide, K = weights, weights.shape[axis]
        axes = tuple(-1 if k == axis else 1 for k in range(weights.ndim))
    if max(factors.size, summands.size) > K:  # the operand has channels, and a single one is repeated for them
        return False
    by_channel = np.broadcast_to(factors, K)
    _replace(graph, node, 1, (wide * by_channel.reshape(axes)).reshape(weights.shape))
    _replace(graph, node, 2, np.broadcast_to(bias.reshape(-1), K) * by_channel + summands)
    return True


def _constant(graph: Graph, name: str) -> np.ndarray | None:
    """Return a constant in float64, or None where the value is computed."""
    found = graph.constants.get(name)
    return None if found is None else found.astype(np.float64)


def _replace(graph: Graph, node: Any, j: int, values: np.ndarray) -> None:
    """Give input j of a node other numbers, in a constant of its own, because another node may read the old one."""
    given = node.input[j] if len(node.input) > j else f"{node.name}/bias"
    name = graph.constant(f"{given}/folded", values.astype(np.float32))
    if len(node.input) > j:
        node.input[j] = name
    else:
        node.input.append(name)
