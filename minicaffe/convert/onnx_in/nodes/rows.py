"""Operators that take rows, samples and largest numbers, and are found where minicaffe has written a layer for them."""

from __future__ import annotations

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Embed")
def embed(g: Given) -> None:
    """Embed, for Gather from a constant table with numbers that were cast to whole ones; with an Add, its bias."""
    w, bias = g.constant(0, "a table"), [g.constant(2)] if g.has(2) else []
    g.give(g.layer("Embed", g.bottom(1), [w, *bias], embed_param={
        "input_dim": w.shape[0], "num_output": w.shape[1], **({} if bias else {"bias_term": False})}))


@reads("BatchReindex")
def batch_reindex(g: Given) -> None:
    """BatchReindex, for Gather of samples with numbers that were cast to whole ones."""
    g.give(g.layer("BatchReindex", [g.bottom(0), g.bottom(1)]))
