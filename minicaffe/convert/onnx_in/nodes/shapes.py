"""Operators that only pass numbers on, or see them in another shape."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Identity", "Dropout")
def identity(g: Given) -> None:
    """Nothing: the next layer reads the blob before it."""
    g.refuse_if(len(g.y) > 1 and g.y[1] and (g.graph.readers(g.y[1]) or g.y[1] in g.graph.outputs),
                "has a second output that is read, its mask")
    g.refuse_if(g.is_constant(2) and bool(g.constant(2).any()), "is exported for training (training_mode)",
                "call model.eval() before the export")
    g.give(g.bottom())


@reads("Cast")
def cast(g: Given) -> None:
    """Nothing, from float32 to float32."""
    before, after = g.graph.kinds.get(g.x[0]), g.graph.kinds.get(g.y[0])
    g.refuse_if(before != after, f"turns {before} into {after}, and Caffe computes in float32 alone")
    g.give(g.bottom())


@reads("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(g: Given) -> None:
    """Reshape, in which the size of the batch stays open where it can; Flatten where that is what it does."""
    old, new = g.shape(), g.y_shape()
    if list(new) == [old[0] if old else 1, int(np.prod(old[1:]))] and len(old) > 2:
        g.give(g.layer("Flatten", g.bottom()))
    else:
        g.give(g.reshape(g.bottom(), old, new))


@reads("Concat")
def concat(g: Given) -> None:
    """Concat."""
    axis = g.attribute("axis") % len(g.y_shape())
    bottoms = [g.bottom(k) for k in range(len(g.x)) if 0 not in g.shape(k)]
    g.give(g.layer("Concat", bottoms, concat_param={"axis": axis} if axis != 1 else None)
           if len(bottoms) > 1 else bottoms[0])
