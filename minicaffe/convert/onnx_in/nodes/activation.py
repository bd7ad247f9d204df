"""Activations."""

from __future__ import annotations

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Relu")
def relu(g: Given) -> None:
    """ReLU."""
    g.give(g.relu(g.bottom()))


@reads("Sigmoid", "Tanh")
def by_name(g: Given) -> None:
    """The layer with the operator's name: Sigmoid, TanH."""
    g.give(g.layer({"Sigmoid": "Sigmoid", "Tanh": "TanH"}[g.op], g.bottom()))


@reads("Softmax")
def softmax(g: Given) -> None:
    """Softmax. Before opset 13 it takes all axes from one on together, which a Reshape does first."""
    shape = g.shape()
    axis = g.attribute("axis", -1 if g.opset >= 13 else 1) % len(shape)
    x, seen = g.bottom(), shape
    if g.opset < 13 and axis != len(shape) - 1:
        seen = (*shape[:axis], _count(shape[axis:]))
        x = g.reshape(x, shape, seen)
    y = g.layer("Softmax", x, softmax_param={"axis": axis} if axis != 1 else None)
    g.give(g.reshape(y, seen, shape))


def _count(sizes: tuple[int, ...]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
