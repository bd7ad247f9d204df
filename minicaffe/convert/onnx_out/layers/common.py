"""Common layers as ONNX nodes."""

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.nodes import INT64, chain, linear, refuse_open


@writes("InnerProduct")
def inner_product(g: Given) -> None:
    """Gemm where axis is 1, behind a Flatten where the features have several axes. For another axis MatMul and Add."""
    p, shape = g.param, g.x_shapes[0]
    axis = p.axis % len(shape)
    refuse_open(g, range(axis, len(shape)), "weights")
    x, w, bias = g.x[0], g.blob(0), [g.blob(1)] if p.bias_term else []
    if axis == 1:
        if len(shape) > 2:
            x = g.node("Flatten", [x], axis=1)
        g.node("Gemm", [x, w, *bias], g.y, transB=0 if p.transpose else 1)
        return
    if len(shape) != axis + 1:
        rows = [0 if a in g.x_open[0] else n for a, n in enumerate(shape[:axis])]  # 0 keeps the size
        x = g.node("Reshape", [x, g.ints("rows", [*rows, g.layer.D])])
    if not p.transpose:
        w = g.floats("w", g.numbers(0).T)
    y = g.node("MatMul", [x, w], 1 if bias else g.y)
    if bias:
        g.node("Add", [y, *bias], g.y)


@writes("Embed")
def embed(g: Given) -> None:
    """Cast to whole numbers, Gather, and Add with bias_term."""
    index = g.node("Cast", g.x, to=INT64)  # cuts fractions off, as Caffe does
    bias = [g.blob(1)] if g.param.bias_term else []
    y = g.node("Gather", [g.blob(0), index], 1 if bias else g.y, axis=0)
    if bias:
        g.node("Add", [y, *bias], g.y)


@writes("Dropout")
def dropout(g: Given) -> None:
    """Left out: in the phase TEST it changes nothing. But with scale_train: false it is a Mul by 1 − dropout_ratio."""
    g.refuse_if(g.param.sample_weights_test, "has sample_weights_test, so that it drops numbers by chance in the phase "
                "TEST too, and a model gives the same answer each time", "remove sample_weights_test")
    chain(g, linear(g.layer.scale_all))
