"""What convolutions and poolings share: windows, paddings, and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicaffe.convert.onnx_in.given import Given


def pair(name: str, values: Sequence[int], default: int) -> dict[str, Any]:
    """Return a field that Caffe has once for both directions, or as *_h and *_w; nothing for the default."""
    if set(values) == {default}:
        return {}
    short = name.removesuffix("_size")
    return {name: values[0]} if values[0] == values[1] else {f"{short}_h": values[0], f"{short}_w": values[1]}


def numbers(name: str, values: Sequence[int], default: int) -> dict[str, Any]:
    """Return a field of convolution_param, which has a number for each axis or one for all; nothing for the default."""
    if set(values) == {default}:
        return {}
    if name == "dilation" or len(values) != 2:
        return {name: [values[0]] if len(set(values)) == 1 else list(values)}
    found = pair(name, values, default)
    return {key: [value] if key == name else value for key, value in found.items()}


def paddings(g: Given, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> tuple[list[int],
                                                                                                       list[int]]:
    """Return how much each axis is padded at its begin and at its end, by `pads` or by `auto_pad`."""
    axes, mode = len(kernel), g.attribute("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = g.ints("pads") or [0] * 2 * axes
        return pads[:axes], pads[axes:]
    begins, ends = [0] * axes, [0] * axes
    if mode != "VALID":
        for i, (n, k, s, d) in enumerate(zip(g.shape()[2:], kernel, stride, dilation, strict=True)):
            whole = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            begins[i] = (whole + (mode == "SAME_LOWER")) // 2
            ends[i] = whole - begins[i]
    return begins, ends
