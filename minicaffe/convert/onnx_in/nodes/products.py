"""Products with matrices: Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Gemm")
def gemm(g: Given) -> None:
    """InnerProduct."""
    w = g.constant(1, "a matrix") * np.float32(g.attribute("alpha", 1.0))
    w = w if g.attribute("transB", 0) else w.T
    g.refuse_if(g.attribute("transA", 0), "turns its first matrix (transA), which no layer of Caffe does")
    b = None
    if g.has(2):
        given = g.constant(2, "a bias") * np.float32(g.attribute("beta", 1.0))
        g.refuse_if(given.ndim > 1 and given.shape[0] != 1, "has a bias with a number for each row of the batch")
        b = np.broadcast_to(given.reshape(-1), w.shape[:1])
    g.give(_inner_product(g, 1, w, b))


@reads("MatMul")
def matmul(g: Given) -> None:
    """InnerProduct along the last axis, with the constant matrix as weights, and with the constants of an Add behind it
    as biases.
    """
    w = g.constant(1, "a matrix")
    g.refuse_if(w.ndim > 2, f"multiplies by {w.ndim - 2} axes of matrices, and Caffe by one matrix")
    x = g.shape()
    if w.ndim == 1:
        y = _inner_product(g, len(x) - 1, w.reshape(1, -1), None)
        g.give(g.reshape(y, [*x[:-1], 1], x[:-1]))
    else:
        b = g.constant(2) if g.has(2) else None
        g.give(_inner_product(g, g.attribute("axis", len(x) - 1), w.T, b))


def _inner_product(g: Given, axis: int, w: np.ndarray, b: np.ndarray | None) -> str:
    param = {"num_output": w.shape[0], **({"axis": axis} if axis != 1 else {}),
             **({"bias_term": False} if b is None else {})}
    return g.layer("InnerProduct", g.bottom(), [w] if b is None else [w, b], inner_product_param=param)
