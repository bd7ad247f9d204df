"""Sums and products, of blobs and with constants."""

from __future__ import annotations

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Add", "Mul")
def add(g: Given) -> None:
    """Eltwise: SUM or PROD."""
    g.refuse_if(g.shape(0) != g.shape(1), "broadcasts")
    g.give(g.eltwise("SUM" if g.op == "Add" else "PROD", [g.bottom(0), g.bottom(1)]))
