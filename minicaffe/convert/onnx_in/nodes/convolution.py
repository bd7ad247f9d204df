"""Conv and ConvTranspose."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.nodes._windows import numbers, paddings


@reads("Conv")
def conv(g: Given) -> None:
    """Convolution. Where the paddings of the two sides differ, it gets a larger equal one, and a Slice cuts off what
    is too much.
    """
    w, blobs = _weights(g, 0)
    sizes, wanted = g.shape()[2:], g.y_shape()[2:]
    kernel = list(w.shape[2:])
    stride = g.ints("strides") or [1] * len(kernel)
    dilation = g.ints("dilations") or [1] * len(kernel)
    begins, _ = paddings(g, kernel, stride, dilation)
    pads, firsts, made = [], [], []
    for n, k, s, d, begin, want in zip(sizes, kernel, stride, dilation, begins, wanted, strict=True):
        extent, first = d * (k - 1) + 1, 0
        while (n + 2 * (begin + first * s) - extent) // s + 1 < first + want:
            first += 1
        pads.append(begin + first * s)
        firsts.append(first)
        made.append((n + 2 * pads[-1] - extent) // s + 1)
    y = g.layer("Convolution", g.bottom(), blobs, convolution_param={
        "num_output": w.shape[0], **numbers("kernel_size", kernel, 0), **numbers("stride", stride, 1),
        **numbers("pad", pads, 0), **numbers("dilation", dilation, 1), **_others(g, blobs)})
    for i, (first, want, size) in enumerate(zip(firsts, wanted, made, strict=True)):
        y = g.cut(y, i + 2, first, first + want, size)
    g.give(y)


@reads("ConvTranspose")
def conv_transpose(g: Given) -> None:
    """Deconvolution. Where the paddings of the two sides differ, a Slice cuts off what is too much."""
    w, blobs = _weights(g, 1)
    kernel = list(w.shape[2:])
    stride = g.ints("strides") or [1] * len(kernel)
    dilation = g.ints("dilations") or [1] * len(kernel)
    sizes, wanted = g.shape()[2:], g.y_shape()[2:]
    whole = [s * (n - 1) + d * (k - 1) + 1 for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)]
    begins = _cut_off_before(g, whole, wanted)
    pads, firsts, made = [], [], []
    for i, (full, begin, want) in enumerate(zip(whole, begins, wanted, strict=True)):
        end = full - want - begin
        g.refuse_if(end < 0, f"has an output that reaches {-end} pixels farther than its filter along axis {i + 2} "
                    "(output_padding)", "export the model with output_padding=0 and stride dividing the sizes")
        pads.append(min(begin, end))
        firsts.append(begin - pads[-1])
        made.append(full - 2 * pads[-1])
    y = g.layer("Deconvolution", g.bottom(), blobs, convolution_param={
        "num_output": w.shape[1] * g.attribute("group", 1), **numbers("kernel_size", kernel, 0),
        **numbers("stride", stride, 1), **numbers("pad", pads, 0), **numbers("dilation", dilation, 1),
        **_others(g, blobs)})
    for i, (first, want, size) in enumerate(zip(firsts, wanted, made, strict=True)):
        y = g.cut(y, i + 2, first, first + want, size)
    g.give(y)


def _cut_off_before(g: Given, whole: list[int], wanted: tuple[int, ...]) -> list[int]:
    """Return how much a ConvTranspose cuts off before the first pixel of each axis."""
    axes, mode = len(whole), g.attribute("auto_pad", "NOTSET")
    if mode in ("NOTSET", "") and not g.ints("output_shape"):
        return (g.ints("pads") or [0] * 2 * axes)[:axes]
    if mode == "VALID":
        return [0] * axes
    off = [max(full - want, 0) for full, want in zip(whole, wanted, strict=True)]
    return [n // 2 if mode == "SAME_UPPER" else n - n // 2 for n in off]


def _weights(g: Given, outputs_axis: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the filters of a node, and the learnable blobs of its layer."""
    w = g.constant(1, "filters")
    blobs = [w]
    if g.has(2) and np.any(b := g.constant(2, "a bias")):
        blobs.append(b)
    return w, blobs


def _others(g: Given, blobs: list[np.ndarray]) -> dict[str, object]:
    """Return group and bias_term, where they are not the defaults."""
    group = g.attribute("group", 1)
    return {**({"group": group} if group != 1 else {}), **({"bias_term": False} if len(blobs) == 1 else {})}
