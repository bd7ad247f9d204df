"""LSTM and RNN: step by step as minicaffe writes them where a blob says where sequences begin, and as one node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import both_ways, ends_with, made_by

STATES = {"LSTM": 2, "RNN": 1}


@ends_with("Concat")
def step_by_step(graph: Graph, node: Node) -> Node | None:
    """An LSTM or RNN for each step, whose states are multiplied by cont first: one layer for all steps.

    Its inputs are x, cont, the weights, and the states before the first step where these are given. Its outputs are
    the h of all steps, and the states after the last one.
    """
    steps = [made_by(graph, value, "LSTM", "RNN") for value in node.inputs]
    if node.attributes.get("axis") != 0 or None in steps:
        return None
    cells = [step for step in steps if step is not None]
    first, count = cells[0], STATES[cells[0].op]
    if any(cell.op != first.op or cell.inputs[1:4] != first.inputs[1:4] or cell.outputs[:2] != ["", value]
           or not _is_plain(cell, 5 + count) for cell, value in zip(cells, node.inputs, strict=True)):
        return None
    x = _whole(graph, [cell.inputs[0] for cell in cells], 0)
    before, deltas = _states_before(graph, cells, count)
    cont = _cont(graph, deltas, len(before) > 0) if deltas is not None else None
    if x is None or cont is None or not _are_read_within(graph, node, cells, count):
        return None
    graph.nodes = [one for one in graph.nodes if one not in cells]
    return Node(f"{first.op} by steps", node.path, [x, cont, *first.inputs[1:4], *before],
                [node.outputs[0], *cells[-1].outputs[1:1 + count]], scope=node.scope)


def _is_plain(cell: Node, inputs: int) -> bool:
    """Return whether a node has no fields but those that minicaffe writes."""
    given = {key: value for key, value in cell.attributes.items() if key != "hidden_size"}
    return not given and len(cell.inputs) == inputs and not cell.inputs[4]


def _states_before(graph: Graph, cells: Sequence[Node], count: int) -> tuple[list[str], list[str] | None]:
    """Return the states before the first step, none where they are 0, and what the states are multiplied by in each
    step: "" where that is unknown. None stands in its place where the steps do not follow each other.
    """
    before: list[str] = []
    deltas = []
    for t, cell in enumerate(cells):
        found = ""
        for s in range(count):
            value = cell.inputs[5 + s]
            if t == 0 and value in graph.constants and not graph.constants[value].any():
                continue
            product = made_by(graph, value, "Mul")
            if product is None:
                return [], None
            state, delta = product.inputs
            if (t > 0 and state != cells[t - 1].outputs[1 + s]) or (found and delta != found):
                return [], None
            if t == 0:
                before.append(state)
            found = delta
        deltas.append(found)
    return (before, deltas) if len(before) in (0, count) and all(deltas[1:]) else ([], None)


def _whole(graph: Graph, parts: Sequence[str], axis: int) -> str | None:
    """Return the value that a Split has cut into these parts; a single part is the value itself."""
    if len(parts) == 1:
        return parts[0]
    made = made_by(graph, parts[-1], "Split")
    if made is None or made.attributes.get("axis", 0) != axis or len(made.outputs) != len(parts) or \
            any(part and part != whole for part, whole in zip(parts, made.outputs, strict=True)):
        return None
    return made.inputs[0]


def _cont(graph: Graph, deltas: list[str], has_states: bool) -> str | None:
    """Return the value (T, N) whose steps these are, each (1, N, 1)."""
    known = [graph.constants[delta] for delta in deltas if delta in graph.constants]
    if len(known) == sum(map(bool, deltas)) and known:
        first = [] if has_states else [np.zeros_like(known[0])]
        return graph.add_constant("cont", np.concatenate([*first, *known])[:, :, 0].astype(np.float32))
    wide = _whole(graph, deltas, 0)
    wider = made_by(graph, wide, "Unsqueeze") if wide else None
    return wider.inputs[0] if wider is not None and graph.shapes.get(wider.outputs[0], ())[2:] == (1,) else None


def _are_read_within(graph: Graph, node: Node, cells: Sequence[Node], count: int) -> bool:
    """Return whether only the steps themselves, and the Concat behind them, read the states of all steps but the last.
    """
    for cell in cells[:-1]:
        for state in cell.outputs[1:1 + count]:
            readers = [one for one in graph.readers(state) if one is not node]
            if state in graph.outputs or any(one.op != "Mul" or one.scope != node.scope for one in readers):
                return False
    last = graph.nodes.index(node)
    return not any(graph.nodes.index(one) < last for state in cells[-1].outputs[1:] if state
                   for one in graph.readers(state))


@ends_with("Squeeze")
def one_direction(graph: Graph, node: Node) -> Node | None:
    """An LSTM or RNN of one direction, and a Squeeze of the axis for the directions: one node without that axis."""
    cell = made_by(graph, node.inputs[0], "LSTM", "RNN")
    if cell is None or cell.outputs[0] != node.inputs[0] or graph.only_reader(node.inputs[0]) is not node or \
            graph.shapes.get(node.outputs[0]) != _without(graph.shapes.get(node.inputs[0], ()), 1):
        return None
    at = graph.nodes.index(node)
    if any(graph.nodes.index(one) < at for value in cell.outputs[1:] if value for one in graph.readers(value)):
        return None
    graph.nodes.remove(cell)
    return Node(cell.op, cell.path, cell.inputs, [node.outputs[0], *cell.outputs[1:]],
                {**cell.attributes, "squeezed": 1}, scope=cell.scope)


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return tuple(size for k, size in enumerate(shape) if k != axis)


@ends_with("Tanh")
def rnn_with_output(graph: Graph, node: Node) -> Node | None:
    """Tanh of a product with the states of an RNN, and of a bias: Caffe's RNN, whose output this is."""
    added = made_by(graph, node.inputs[0], "Add")
    for product, b in both_ways(added) if added else ():
        times = made_by(graph, product, "MatMul")
        cell = made_by(graph, times.inputs[0], "RNN", "RNN by steps") if times else None
        if cell is None or times is None or cell.outputs[0] != times.inputs[0] or b not in graph.constants or \
                graph.constants[b].ndim != 1 or times.inputs[1] not in graph.constants or \
                (cell.op == "RNN" and "squeezed" not in cell.attributes) or \
                len(graph.readers(cell.outputs[0])) != 1 or cell.outputs[0] in graph.outputs:
            continue
        at = graph.nodes.index(node)
        if any(graph.nodes.index(one) < at for value in cell.outputs[1:] if value for one in graph.readers(value)):
            continue
        graph.nodes.remove(cell)
        return Node(f"{cell.op} with output", node.path, cell.inputs, [*node.outputs, *cell.outputs[1:]],
                    {**cell.attributes, "weights": times.inputs[1], "bias": b}, scope=cell.scope)
    return None
