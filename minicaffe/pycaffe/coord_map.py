"""How the coordinates of one top lie in those of another, and the Crop layer that makes both fit, as in pycaffe.

A map is (axis, scale, shift): the coordinate x in a layer's input is scale * x + shift in its output. Scale and shift
are arrays with a number for each spatial axis, or one for all. `axis` is the one before the first spatial axis, and
None where a layer leaves coordinates as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.pycaffe.net_spec import Function, Top
from minicaffe.pycaffe.net_spec import layers as L  # noqa: N812  (as scripts call it)

Map = tuple[Any, Any, Any]

IDENTITY: Map = (None, 1, 0)
PASS_THROUGH_LAYERS = ["AbsVal", "BatchNorm", "Bias", "BNLL", "Dropout", "Eltwise", "ELU", "Log", "LRN", "Exp", "MVN",
                       "Power", "ReLU", "PReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"]
LEGACY = {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"}


class UndefinedMapException(Exception):  # noqa: N818  (Caffe's name)
    """A layer has no map of coordinates."""


class AxisMismatchException(Exception):  # noqa: N818
    """Two maps begin at different axes."""


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return the axis, stride, size and pad of a Convolution, Deconvolution, Pooling or Im2col.

    The size is how many inputs the kernel spans, with its dilation. All but the axis are arrays. Raise AssertionError
    where kernel_h, stride_w or another field of that kind is used.
    """
    params = next((fn.params[key] for key in ("convolution_param", "pooling_param") if key in fn.params), fn.params)
    legacy = sorted(LEGACY & {*params, *fn.params})
    assert not legacy, f"cropping does not support {', '.join(legacy)}: give kernel_size, stride and pad"
    if "kernel_size" not in params:
        raise UndefinedMapException(f"the type {fn.type_name} has no map of coordinates without kernel_size")
    kernel, dilation, stride, pad = (np.array(params.get(name, default), ndmin=1) for name, default in
                                     (("kernel_size", None), ("dilation", 1), ("stride", 1), ("pad", 0)))
    return params.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """Return the first axis that a Crop layer crops, and its offsets."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """Return the map of a layer. Raise UndefinedMapException where it has none."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, size, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (size - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, size, pad = conv_params(fn)
        return axis, stride, (size - 1) / 2 - pad
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    if fn.type_name in PASS_THROUGH_LAYERS:
        return IDENTITY
    raise UndefinedMapException(f"the type {fn.type_name} has no map of coordinates")


def compose(base_map: Map, next_map: Map) -> Map:
    """Return x -> base_map(next_map(x)). Raise AxisMismatchException where they begin at different axes."""
    (axis, scale, shift), (next_axis, next_scale, next_shift) = base_map, next_map
    if axis is not None and next_axis is not None and axis != next_axis:
        raise AxisMismatchException(f"one map begins at axis {axis}, the other at axis {next_axis}")
    return next_axis if axis is None else axis, scale * next_scale, scale * next_shift + shift


def inverse(coord_map: Map) -> Map:
    """Return the map from the output to the input."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """Return the map from a top's coordinates to those of another, by way of a blob from which both come.

    Raise RuntimeError where there is none.
    """
    from_maps, to_maps = _maps_to_inputs(top_from), _maps_to_inputs(top_to)
    common = next((top for top in to_maps if top in from_maps), None)
    if common is None:
        raise RuntimeError(f"there is no map from the {top_from.fn.type_name} to the {top_to.fn.type_name}: spatial "
                           "layers do not connect them")
    return compose(to_maps[common], inverse(from_maps[common]))


def _maps_to_inputs(top: Top) -> dict[Top, Map]:
    """Return each top from which this one comes, with the map from there; the nearest first."""
    maps = {top: IDENTITY}
    waiting = [top]
    for above in waiting:
        function = above.fn
        # the second input of a Crop only gives a size
        inputs = function.inputs[:1] if function.type_name == "Crop" else function.inputs
        for bottom in inputs:
            if bottom not in maps:
                try:
                    maps[bottom] = compose(maps[above], coord_map(function))
                except UndefinedMapException:
                    break
                waiting.append(bottom)
    return maps


def crop(top_from: Top, top_to: Top) -> Top:
    """Return a Crop layer's top: `top_from`, cropped so that it lies on `top_to`.

    Raise AssertionError where no crop can do that: scales that differ, an offset that is negative or no whole number.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    shift = np.array(shift, ndmin=1)
    assert np.all(scale == 1), f"scale mismatch: a step in one top is {scale} steps in the other"
    assert np.all(shift <= 0), f"cannot crop by a negative offset: {-shift}"
    assert np.all(shift == np.round(shift)), f"cannot crop by an offset that is no whole number: {-shift}"
    axis = 1 if axis is None else axis
    cropped: Top = L.Crop(top_from, top_to, crop_param=dict(axis=axis + 1, offset=[int(-number) for number in shift]))
    return cropped
