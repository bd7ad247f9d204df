"""Common layers as ONNX nodes."""

from minicaffe.convert.onnx_out.given import Given, writes


@writes("InnerProduct")
def inner_product(g: Given) -> None:
    """Gemm where each row is a vector already; else MatMul and Add, behind a Reshape where the features have several axes.
    """
    p, shape = g.param, g.x_shapes[0]
    axis = p.axis % len(shape)
    D, w = g.layer.D, g.blob(0)
    x = g.x[0]
    if len(shape) != axis + 1:
        rows = [-1 if a in g.x_open[0] else n for a, n in enumerate(shape[:axis])]
        x = g.node("Reshape", [x, g.ints("rows", [*rows, D])])
    if axis == 1:
        bias = [g.blob(1)] if p.bias_term else []
        g.node("Gemm", [x, w, *bias], g.y, transB=0 if p.transpose else 1)
        return
    if not p.transpose:
        w = g.floats("w", g.numbers(0).T)
    y = g.node("MatMul", [x, w], 1 if p.bias_term else g.y)
    if p.bias_term:
        g.node("Add", [y, g.blob(1)], g.y)


@writes("Dropout")
def dropout(g: Given) -> None:
    """Left out: in the phase TEST it changes nothing."""
    g.pass_on()
