"""Give the data of a net another batch or image size, and take the place of data that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minicaffe.analysis import data_tops
from minicaffe.errors import DataError, NetError
from minicaffe.layer import layer_class, registered_types
from minicaffe.log import one_line, shape_text
from minicaffe.passes.filter import is_included


def resize(definition: Any, batch: int, size: str) -> list[str]:
    """Give the data of an upgraded NetParameter another batch or image size. Return in words what had to be assumed."""
    layers = [layer for layer in definition.layer if is_included(layer, definition.state)]
    sequences = _sequences(layers)
    return [remark for layer in layers if (remark := _resize(layer, batch, _sizes(size), sequences))]


def _sizes(size: str) -> list[int]:
    """Return [C, H, W] or [H, W] from the text of --size, and [] if it is empty."""
    if not size:
        return []
    if not re.fullmatch(r"\d+x\d+(x\d+)?", size):
        raise NetError(f"--size must be HxW or CxHxW, such as 227x227 or 1x28x28, got {size!r}")
    return [int(n) for n in size.split("x")]


def _sequences(layers: list[Any]) -> list[int]:
    """Return [T, N], the time steps and sequences that an Input gives to a recurrent layer, or a layer that says where
    sequences begin; [] where there is none.
    """
    known = registered_types()  # an unknown type is not looked for in installed packages: --no-python may forbid that
    names = {layer.bottom[1] for layer in layers
             if len(layer.bottom) > 1 and layer.type in known and layer_class(layer.type).recurrent}
    for layer in layers:
        shapes = [list(shape.dim) for shape in _shapes(layer)]
        for top, shape in zip(layer.top, shapes * len(layer.top) if len(shapes) == 1 else shapes, strict=False):
            if top in names and len(shape) == 2:
                return shape
        if names.intersection(layer.top):
            for data in _params(layer):
                if hasattr(data, "time_step"):
                    return [data.time_step, data.batch_size]
    return []


def _params(layer: Any) -> list[Any]:
    """Return the parameter messages of a layer without bottoms, which say what it puts out; [] for other layers."""
    return [] if layer.bottom else [value for field, value in layer.ListFields() if field.name.endswith("_param")]


def _shapes(layer: Any) -> list[Any]:
    """Return the shapes in the definition of a layer such as Input or DummyData: one for all of its tops, or one each.

    A Parameter layer's shape is left out: it is a single message, not a list, and what it learns has no batch axis.
    """
    given = [getattr(param, "shape", None) for param in _params(layer)]
    return [shape for shapes in given if shapes is not None and hasattr(shapes, "extend") for shape in shapes]


def takes_batch(definition: Any) -> bool:
    """Return whether a layer of an upgraded NetParameter says how many samples it puts out, so that --batch can."""
    layers = [layer for layer in definition.layer if is_included(layer, definition.state)]
    return any(any(shape.dim for shape in _shapes(layer)) or any(hasattr(data, "batch_size") for data in _params(layer))
               for layer in layers)


def _resize(layer: Any, batch: int, size: list[int], sequences: list[int]) -> str:
    """Give a layer without bottoms another batch or image size, and return in words what had to be assumed.

    A data layer whose source is not there becomes an Input layer, and so does one for which --size is given.
    """
    for shape in _shapes(layer):
        if batch and shape.dim:
            # What a recurrent layer reads is (T, N, ...): its first axis is time, and the batch is the second. States
            # before the first step are (1, N, D).
            begin = list(shape.dim[:2])
            states = len(shape.dim) == 3 and begin == [1, *sequences[1:]]
            shape.dim[1 if sequences and (states or begin == sequences) else 0] = batch
        if len(shape.dim) == 4:  # images; an empty size leaves them as they are
            shape.dim[4 - len(size):] = size
    for data in _params(layer):
        if batch and hasattr(data, "batch_size"):
            data.batch_size = batch
        if hasattr(data, "source") and (size or not Path(data.source).exists()):
            return _become_input(layer, data, size)
    return ""


def _become_input(layer: Any, data: Any, size: list[int]) -> str:
    """Make a data layer an Input that puts out images (N, C, H, W), and a number per sample in each further top."""
    size = size or list(data_tops.image_size(layer))
    if not size:
        raise DataError(f"layer {layer.name!r} ({layer.type}): its source {one_line(data.source)} is not there, so the "
                        f"size of its images is not known", hint="give it: --size HxW, or CxHxW")
    if not data.batch_size:
        raise DataError(f"layer {layer.name!r} ({layer.type}) has no batch_size", hint="give it: --batch N")
    gray = layer.transform_param.force_gray or not getattr(data, "is_color", True)
    shape = [data.batch_size, *([1 if gray else 3] if len(size) == 2 else []), *size]
    name, kind, tops = layer.name, layer.type, list(layer.top)
    layer.Clear()
    layer.name, layer.type = name, "Input"
    layer.top.extend(tops)
    for i in range(len(tops)):
        layer.input_param.shape.add(dim=shape if i == 0 else shape[:1])
    return f"Layer {name!r} is counted as a {kind} layer that puts out {shape_text(shape)}; its source was not read."
