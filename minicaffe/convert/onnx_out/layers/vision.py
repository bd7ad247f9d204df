"""Layers for images as ONNX nodes."""

from minicaffe.convert.onnx_out.given import Given, writes


@writes("Convolution")
def convolution(g: Given) -> None:
    """Conv."""
    window = g.layer.window
    bias = [g.blob(1)] if g.param.bias_term else []
    for x, y in zip(g.x, g.y, strict=True):  # one layer may filter several bottoms with the same weights
        g.node("Conv", [x, g.blob(0), *bias], [y], kernel_shape=window.kernel, strides=window.stride,
               pads=[*window.pad, *window.pad], dilations=window.dilation, group=g.layer.group)


@writes("Pooling")
def pooling(g: Given) -> None:
    """MaxPool with the pads at the end written out."""
    p, layer = g.param, g.layer
    k, s, before = layer.kernel, layer.stride, layer.pad
    size, made = g.x_shapes[0][2:], g.y_shapes[0][2:]
    # ceil_mode was wrong in onnxruntime until 2026, so the number of windows follows from the pad at the end
    after = [(o - 1) * s + k - n - a for o, s, k, n, a in zip(made, s, k, size, before, strict=True)]
    g.refuse_if(p.pool != p.MAX, "is not written yet")
    g.node("MaxPool", g.x, g.y, kernel_shape=k, strides=s, pads=[*before, *after])
