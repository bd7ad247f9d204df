"""Pad."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads


@reads("Pad")
def pad(g: Given) -> None:
    """Convolution with a filter of one pixel that is 1, and with padding. With the mode edge or reflect, or along
    other axes than height and width: Slice and Concat.
    """
    shape, mode = list(g.shape()), g.attribute("mode", "constant")
    given = g.ints("pads", 1) or g.ints("paddings") or []
    axes = g.ints("axes", 3) or list(range(len(shape)))
    begins, ends = [0] * len(shape), [0] * len(shape)
    for k, axis in enumerate(axes):
        begins[axis], ends[axis] = given[k], given[k + len(axes)]
    value = g.number("value", 2, 0.0)
    x = g.bottom()
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):  # what is negative is cut off
        if min(begin, end) < 0:
            x = g.cut(x, axis, max(-begin, 0), shape[axis] - max(-end, 0), shape[axis])
            shape[axis] += min(begin, 0) + min(end, 0)
    begins, ends = ([max(n, 0) for n in pads] for pads in (begins, ends))
    if not any(begins + ends):
        g.give(x)
    elif mode in ("edge", "reflect"):
        for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            x = repeated(g, x, axis, shape[axis], begin, end, mode)
            shape[axis] += begin + end
        g.give(x)
    else:
        g.refuse_if(mode != "constant", f"has the mode {mode}, which no layer of Caffe has")
        g.refuse_if(not math.isfinite(value), f"pads with {value}",
                    "let the pooling behind it do it: MaxPool with pads counts them as endless")
        g.give(with_numbers(g, x, shape, begins, ends, value))


def with_numbers(g: Given, x: str, shape: list[int], begins: list[int], ends: list[int], value: float) -> str:
    """Pad with a number."""
    g.refuse_if(len(shape) != 4 or any(begins[:2] + ends[:2]),
                f"pads a blob of {len(shape)} axes by {begins} and {ends}, and Caffe pads only height and width")
    channels, pads = shape[1], [max(begins[2], ends[2]), max(begins[3], ends[3])]
    x = g.power(x, shift=-value)  # the padding is 0 afterwards
    x = g.layer("Convolution", x, [np.ones((channels, 1, 1, 1))], convolution_param={
        "num_output": channels, "kernel_size": [1], "group": channels, "bias_term": False,
        **({"pad": [pads[0]]} if pads[0] == pads[1] else {"pad_h": pads[0], "pad_w": pads[1]})})
    for axis in (2, 3):
        both = pads[axis - 2]
        x = g.cut(x, axis, both - begins[axis], both + shape[axis] + ends[axis], shape[axis] + 2 * both)
    return g.power(x, shift=value)


def repeated(g: Given, x: str, axis: int, size: int, begin: int, end: int, mode: str) -> str:
    """Pad along an axis with the pixels at the edge, once each or mirrored: Slice and Concat."""
    if not begin + end:
        return x
    if mode == "edge":
        before, after = [0] * begin, [size - 1] * end
    else:
        g.refuse_if(max(begin, end) >= size, f"mirrors more than the {size} pixels of axis {axis}")
        before, after = list(range(begin, 0, -1)), [size - 2 - i for i in range(end)]
    wanted = {*before, *after}
    points = sorted({p for i in wanted for p in (i, i + 1)} - {0, size})
    parts = g.layers("Slice", x, len(points) + 1, slice_param={"axis": axis, "slice_point": points}) if points else [x]
    part_at = dict(zip([0, *points], parts, strict=True))
    return g.concat([*[part_at[i] for i in before], x, *[part_at[i] for i in after]], axis)
