"""Activations as ONNX nodes."""

from minicaffe.convert.onnx_out.given import Given, writes


@writes("ReLU")
def relu(g: Given) -> None:
    """Relu, or LeakyRelu with a negative_slope."""
    slope = g.param.negative_slope
    if slope:
        g.node("LeakyRelu", g.x, g.y, alpha=slope)
    else:
        g.node("Relu", g.x, g.y)
