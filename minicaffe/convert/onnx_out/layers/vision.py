"""Convolutions, and layers that cut images or lay them out anew, as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.convert.onnx_out.given import ONE_BATCH, Given, writes
from minicaffe.convert.onnx_out.nodes import needs_fixed


@writes("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", "DepthwiseConv")
def convolution(g: Given) -> None:
    """Conv, one for each bottom, all with the same weights; behind a Pad where filters of one pixel have padding."""
    _filter_images(g, "Conv", _learned(g), group=g.layer.group, pads=_pads(g))


@writes("Deconvolution")
def deconvolution(g: Given) -> None:
    """ConvTranspose, one for each bottom, with the weights as they are."""
    pads = g.layer.window.pad or (0,)
    _filter_images(g, "ConvTranspose", _learned(g), group=g.layer.group, pads=[*pads, *pads])


@writes("Im2col")
def im2col(g: Given) -> None:
    """Conv whose filters each hold a single 1, at the place of the window that they copy."""
    kernel, C = g.layer.window.kernel, g.x_shapes[0][g.layer.axis]
    places = math.prod(kernel)
    filters = np.tile(np.eye(places), (C, 1)).reshape(C * places, 1, *kernel)
    _filter_images(g, "Conv", [g.floats("places", filters)], group=C, pads=_pads(g))


def _filter_images(g: Given, op: str, constants: Sequence[str], **attributes: Any) -> None:
    """Add a Conv or ConvTranspose for each bottom, between two Reshapes where ONNX wants other axes.

    ONNX wants one axis before the channels and at least one after them. Caffe takes any number of both.
    """
    axis, window = g.layer.axis, g.layer.window
    axes_fit = axis == 1 and window.kernel
    needs_fixed(g, [axis] if axes_fit else range(axis, len(g.x_shapes[0])))
    attributes.update(kernel_shape=window.kernel or (1,), strides=window.stride or (1,),
                      dilations=window.dilation or (1,))
    pads = attributes["pads"]
    if pad_first := op == "Conv" and any(pads) and all(n == 1 for n in (*window.kernel, *window.stride)):
        # OpenCV 5.0 reads numbers from outside the image where filters of one pixel have padding and no stride
        attributes["pads"] = [0] * len(pads)
    for j, (x, y) in enumerate(zip(g.x, g.y, strict=True)):
        images = x
        if not axes_fit:
            image = g.x_shapes[j][axis:] if window.kernel else (*g.x_shapes[j][axis:], 1)
            images = g.node("Reshape", [x, g.ints("images", (-1, *image))])
        if pad_first:
            sides = len(pads) // 2
            images = g.node("Pad", [images, g.ints("pads", [0, 0, *pads[:sides], 0, 0, *pads[sides:]])])
        filtered = g.node(op, [images, *constants], [y] if axes_fit else 1, **attributes)
        if not axes_fit:
            g.node("Reshape", [filtered, g.ints("shape", g.sizes(j))], [y])


def _learned(g: Given) -> list[str]:
    """Add the filters and biases. Filters without a spatial axis get one."""
    shape = g.layer.blobs[0].shape
    return [g.blob(k, (*shape, 1) if k == 0 and len(shape) == 2 else None) for k in range(len(g.layer.blobs))]


def _pads(g: Given) -> list[int]:
    """Return the pads of a Conv, first those at the beginning of each spatial axis and then those at the end."""
    window, first = g.layer.window, g.layer.axis + 1
    if not window.kernel:
        return [0, 0]
    # Caffe: a window that reaches less than a stride over the padded image still counts; for ONNX, the pad is longer
    missing = [max(0, extent - n - 2 * p)
               for n, extent, p in zip(g.x_shapes[0][first:], window.extents, window.pad, strict=True)]
    needs_fixed(g, [first + i for i, more in enumerate(missing) if more])
    return [*window.pad, *(p + more for p, more in zip(window.pad, missing, strict=True))]


@writes("Crop")
def crop(g: Given) -> None:
    """Slice with the sizes of the reference."""
    shape, made, start = g.x_shapes[0], g.y_shapes[0], g.layer.offsets
    cut = [axis for axis in range(len(shape)) if made[axis] != shape[axis] or g.is_open(0, axis) != _grows(g, axis)]
    for axis in cut:
        g.refuse_if(_grows(g, axis), f"cuts axis {axis} to a size that grows with the batch",
                    ONE_BATCH)
    _slice(g, {axis: (start[axis], start[axis] + made[axis]) for axis in cut})


@writes("CropCenter")
def crop_center(g: Given) -> None:
    """Slice, with ends that are counted from the end."""
    _slice(g, {axis: (cut, -cut) for axis, cut in enumerate(g.layer.start) if cut})


@writes("Reorg")
def reorg(g: Given) -> None:
    """Transpose between two Reshapes."""
    needs_fixed(g, (1, 2, 3))
    wide, deep = ([-1, *sizes[1:]] for sizes in (g.layer.wide, g.layer.deep))
    spread = g.param.reverse
    x = g.node("Reshape", [g.x[0], g.ints("deep" if spread else "wide", deep if spread else wide)])
    y = g.node("Transpose", [x], perm=(0, 3, 4, 1, 5, 2) if spread else (0, 3, 5, 1, 2, 4))
    g.node("Reshape", [y, g.ints("shape", g.sizes())], g.y)


def _grows(g: Given, axis: int) -> bool:
    """Return whether the size of an axis of the top grows with the batch."""
    return axis in g.y_open[0]


def _slice(g: Given, parts: dict[int, tuple[int, int]]) -> None:
    """Keep a part of bottom 0: axis -> its first number, and the number behind its last."""
    if not parts:
        g.pass_on()
        return
    starts, ends = zip(*parts.values(), strict=True)
    g.node("Slice", [g.x[0], g.ints("starts", starts), g.ints("ends", ends), g.ints("axes", [*parts])], g.y)
