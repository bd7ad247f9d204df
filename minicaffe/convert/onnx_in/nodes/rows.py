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


@reads("Filter")
def filter_(g: Given) -> None:
    """Filter, for Compress of samples with numbers that were cast to true and false."""
    bottoms = [g.bottom(k) for k in range(len(g.x))]
    for t, top in enumerate(g.layers("Filter", bottoms, len(g.y))):
        g.give(top, t)


@reads("TopK")
def top_k(g: Given) -> None:
    """ArgMax with top_k, for the places of the largest numbers, and with out_max_val for these numbers."""
    g.refuse_if(not g.attribute("largest", 1) or not g.attribute("sorted", 1),
                "finds the smallest numbers, or in any order, and Caffe's ArgMax the largest in their order")
    shape, k = g.shape(), g.ints("k", 1) or [1]
    axis = g.axis(g.attribute("axis", -1))
    for t in range(len(g.y)):
        if g.is_read(t):
            g.give(g.layer("ArgMax", g.bottom(), argmax_param={
                "axis": axis, **({"top_k": k[0]} if k[0] != 1 else {}), **({} if t else {"out_max_val": True})}), t)
    g.refuse_if(k[0] > shape[axis], f"takes {k[0]} of {shape[axis]} numbers")
