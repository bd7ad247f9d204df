"""Names for layers, from those of nodes and of the modules of PyTorch that they come from."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import Any

from minicaffe.convert.free_name import take_free_name
from minicaffe.convert.onnx_in.graph import Graph, Node

SCOPES = "pkg.torch.onnx.name_scopes"  # under which torch.export's exporter stores the modules around a node


def scope_of(proto: Any) -> str:
    """Return the module that a node (a NodeProto) belongs to, as PyTorch names it: layer1.0.conv1. '' if unknown.

    For a model that minicaffe has written it is the layer, because the nodes of a layer bear its name and their
    operator: conv1/Conv.
    """
    stored = next((entry.value for entry in proto.metadata_props if entry.key == SCOPES), "")
    if stored:
        try:
            scopes = ast.literal_eval(stored)
        except (ValueError, SyntaxError):
            return ""
        return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""
    if proto.name.startswith("/"):
        return _joined(proto.name.split("/")[1:-1])
    scope, _, last = proto.name.rpartition("/")
    return scope if re.fullmatch(rf"{re.escape(proto.op_type)}(_\d+)?", last) else ""


def _joined(parts: list[str]) -> str:
    """Return 'layer1.0.conv1' for layer1, layer1.0, conv1: a module of a list bears the name of the list as well."""
    found: list[str] = []
    for part in parts:
        if found and part.startswith(f"{found[-1]}."):
            found[-1] = part
        else:
            found.append(part)
    return ".".join(found)


def layer_names(graph: Graph) -> list[str]:
    """Return a legal and readable name for each node, all different.

    A node that has a module to itself gets its name. Others get that of their module and of their operator. A layer
    keeps the name that it had before minicaffe wrote the model.
    """
    if graph.ours:
        return _layers_again(graph)
    inside = defaultdict(set)
    for node in graph.nodes:
        parts = node.scope.split(".")
        for k in range(1, len(parts) + 1):
            inside[".".join(parts[:k])].add((node.op, node.scope))
    taken: set[str] = set()
    return [take_free_name(legal(_wanted(node, alone=len(inside[node.scope]) == 1)), taken) for node in graph.nodes]


def _layers_again(graph: Graph) -> list[str]:
    """Return the names of the layers that minicaffe has written as these nodes.

    Where several nodes are left of a layer, the last one, which makes what the layer makes, gets its name.
    """
    last = {node.scope: node for node in graph.nodes if node.op not in ("Cast", "Identity")}  # these make no layers
    taken = set(last)
    return [node.scope if node.scope and last.get(node.scope) is node else take_free_name(node.path, taken)
            for node in graph.nodes]


def _wanted(node: Node, alone: bool) -> str:
    if node.scope:
        return node.scope if alone else f"{node.scope}.{node.op}"
    if node.path.startswith("/"):
        return node.path.rsplit("/", 1)[-1]
    return node.path


def legal(name: str) -> str:
    """Return a name in which neither a prototxt nor HDF5 nor a shell finds a mark with a meaning of its own."""
    return re.sub(r"[^\w.\-]+", ".", name).strip(".") or "layer"
