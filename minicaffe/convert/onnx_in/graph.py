"""The graph of a model that is read: nodes whose inputs are not all constant, with the shapes of their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(eq=False)
class Node:
    """One node.

    op              its operator, or the name of a pattern that several nodes made together
    path            its name in the model, for messages
    inputs          names of values; "" for one that is left out
    outputs         names of values
    attributes      name -> number, text, list, array or graph
    domain          "" for ONNX's own operators
    scope           the module of PyTorch that the node belongs to, such as layer1.0.conv1, or the layer of Caffe, where
                    the model tells it
    joined          the name of the Scale layer whose numbers the node holds, too, where minicaffe has written it
    """

    op: str
    path: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    scope: str = ""
    joined: str = ""


@dataclass
class Graph:
    """Nodes in the order in which they run.

    name        the model's name
    opset       the version of ONNX's operators
    ours        whether minicaffe has written the model: then the layers and blobs have names in it
    inputs      names of the values that are put in
    outputs     names of the values that come out
    shapes      value -> its shape, for all that are known
    kinds       value -> its number type
    constants   value -> array
    """

    name: str
    opset: int
    ours: bool = False
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    kinds: dict[str, np.dtype[Any]] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def maker(self, value: str) -> Node | None:
        """Return the node that makes a value; None for inputs and constants."""
        return next((node for node in self.nodes if value in node.outputs), None)

    def readers(self, value: str) -> list[Node]:
        """Return the nodes that read a value."""
        return [node for node in self.nodes if value in node.inputs]

    def only_reader(self, value: str) -> Node | None:
        """Return the node that reads a value, if it is a single one and the value is no output of the model."""
        found = self.readers(value)
        return found[0] if len(found) == 1 and value not in self.outputs else None

    def add_constant(self, hint: str, values: Any) -> str:
        """Add a constant, and return its name."""
        name, k = hint, 1
        while name in self.constants or name in self.shapes:
            k += 1
            name = f"{hint}_{k}"
        array = np.asarray(values)
        self.constants[name], self.shapes[name], self.kinds[name] = array, array.shape, array.dtype
        return name

    def replace(self, nodes: Sequence[Node], new: Node) -> None:
        """Put one node in the place of several, where the last of them stood."""
        last = max(self.nodes.index(node) for node in nodes)
        self.nodes[last] = new
        gone = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in gone]

    def remove_unread(self) -> None:
        """Remove the nodes whose outputs nothing reads."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        self.nodes = kept[::-1]

    def values(self) -> Iterator[str]:
        """Yield the values that the nodes make."""
        for node in self.nodes:
            yield from filter(None, node.outputs)
