"""Write an ONNX model as a net: each node in order, as the function of its operator says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minicaffe.convert.onnx_in import joins as _patterns  # noqa: F401 - registers them
from minicaffe.convert.onnx_in import nodes as _readers  # noqa: F401 - registers them
from minicaffe.convert.onnx_in.draft import Draft
from minicaffe.convert.onnx_in.folding import graph_of
from minicaffe.convert.onnx_in.given import READERS, Given
from minicaffe.convert.onnx_in.graph import Graph
from minicaffe.convert.onnx_in.in_place import give_back_names, put_in_place
from minicaffe.convert.onnx_in.names import layer_names
from minicaffe.convert.onnx_in.patterns import simplify
from minicaffe.convert.onnx_in.reading import refuse_if_damaged
from minicaffe.errors import LayerError, MinicaffeError, NetError
from minicaffe.log import plural
from minicaffe.net import Net
from minicaffe.net.copy_weights import Stored
from minicaffe.proto import TEST

MOST_SHOWN = 20  # errors in one message


def net_of(model: Any, shapes: Mapping[str, Sequence[int]], dialect: str = "") -> Draft:
    """Return the net of a ModelProto.

    shapes      name of an input -> its shape, all inputs
    dialect     the fork whose layers may be written, "" for those that BVLC's Caffe had in its version 1.0

    Raise NetError or LayerError for what Caffe cannot say: one error, with all nodes that are to blame.
    """
    try:
        graph = graph_of(model, shapes)
        simplify(graph)
        return draft_of(graph, dialect)
    except MinicaffeError:
        raise
    except Exception as error:  # a damaged model may hold anything anywhere
        refuse_if_damaged(model, error)
        raise


def draft_of(graph: Graph, dialect: str) -> Draft:
    """Write the layers of a graph."""
    draft = Draft(graph.name)
    draft.take([*graph.inputs, *graph.outputs])
    blobs = {}  # value -> the blob that holds it
    for name in graph.inputs:
        draft.input(name, graph.shapes[name])
        blobs[name] = name
    errors: list[LayerError] = []
    for node, name in zip(graph.nodes, layer_names(graph), strict=True):
        given = Given(graph, draft, blobs, node, name, dialect)
        try:
            if node.domain or node.op not in READERS:
                given.refuse("is an operator that Caffe has no layer for"
                             + (f", of the domain {node.domain!r}" if node.domain else ""),
                             "end the net before it, with --outputs VALUE, and compute the rest outside")
            READERS[node.op](given)
        except LayerError as error:
            errors.append(error)
            for value in node.outputs:  # so that the nodes behind it can be looked at, too
                blobs.setdefault(value, value)
    if errors:
        raise all_in_one(errors)
    for name in graph.outputs:
        if name in graph.constants:
            raise NetError(f"output {name!r} is constant: it does not depend on what is put in",
                           hint="remove it from the model's outputs")
    draft.finish({name: blobs[name] for name in graph.outputs})
    if graph.ours:
        give_back_names(draft, graph.inputs, graph.outputs)
    else:
        put_in_place(draft.net, {*graph.inputs, *graph.outputs})
    return draft


def all_in_one(errors: Sequence[LayerError]) -> LayerError:
    """Return one error that says what several say."""
    if len(errors) == 1:
        return errors[0]
    lines = [f"{error.message}" + (f"\n      {error.hint}" if error.hint else "") for error in errors[:MOST_SHOWN]]
    if len(errors) > MOST_SHOWN:
        lines.append(f"and {len(errors) - MOST_SHOWN} more")
    return LayerError(f"Caffe cannot say {plural(len(errors), 'node')} of this model:\n    " + "\n    ".join(lines))


def runnable(draft: Draft) -> Net:
    """Return the Net of a draft, with its weights."""
    net = Net(draft.net, TEST)
    net.copy_trained_from(Stored(["the model"], [("", draft.layers())]), strict=True)
    return net
