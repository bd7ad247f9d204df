"""Layers that bring numbers into a net, as ONNX constants. An Input is an input of the model, and needs no function."""

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.nodes import repeated


@writes("DummyData")
def dummy_data(g: Given) -> None:
    """A constant, for a filler of the type constant; Expand repeats it for each sample where the batch size is free."""
    for t, filler in enumerate(g.layer.fillers):
        g.refuse_if(filler.type != "constant", f"fills {g.y[t]!r} with random numbers (a filler of the type "
                    f"{filler.type}), and a model gives the same answer each time",
                    "give it a filler of the type constant, or make it an Input")
        shape = [1 if axis in g.y_open[t] else size for axis, size in enumerate(g.y_shapes[t])]
        repeated(g, np.full(shape, filler.value, np.float32), t)
