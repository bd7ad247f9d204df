"""Layers that rearrange numbers, as ONNX nodes."""

from minicaffe.convert.onnx_out.given import Given, writes


@writes("Split")
def split(g: Given) -> None:
    """Left out: in ONNX a value may be read several times."""
    for t in range(len(g.y)):
        g.pass_on(t)


@writes("Softmax")
def softmax(g: Given) -> None:
    """Softmax."""
    g.node("Softmax", g.x, g.y, axis=g.param.axis)
