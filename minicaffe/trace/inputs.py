"""What a traced net reads: arrays from a file that the user gives, else random numbers that suit the layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.io import npz
from minicaffe.io.files import read_bytes
from minicaffe.net import Net
from minicaffe.proto import LayerParameter
from minicaffe.testing.random_numbers import random_inputs

Prepare = Callable[[str, str, Sequence[int]], tuple[np.ndarray, list[str]]]


def read(definition: Any, path: str, prepare: Prepare) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays of an .npz, .npy or image file by the names of the blobs that they are for, and remarks.

    definition    the NetParameter of the layers that run
    prepare       makes of an image file what a blob of this name and shape reads, and remarks about how

    Raises DataError where a file is damaged, and where an .npy or an image may be for several blobs or for none.
    """
    if path.endswith(".npz"):
        return {name: values.astype(np.float32) for name, values in npz.read(path).items()}, []
    if path.endswith(".npy"):
        tops = [top for layer in definition.layer if not layer.bottom for top in layer.top]
        if len(tops) != 1:
            raise DataError(f"--data {path}: an .npy is for a net that reads one blob, and this one reads "
                            f"{', '.join(tops) or 'none'}", hint="an .npz holds arrays by name")
        return {tops[0]: _array(path)}, []
    return _image(definition, path, prepare)


def _array(path: str) -> np.ndarray:
    """Return the numbers of an .npy file."""
    read_bytes(path, 1)  # for its errors: no such file, not to be read
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"this .npy is damaged: {error}", where=path) from error
    if values.dtype.kind not in "fiub":
        raise DataError(f"this file holds {values.dtype}, not numbers", where=path)
    return np.asarray(values, np.float32)


def _image(definition: Any, path: str, prepare: Prepare) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return an image file as the array of the only input that holds images, with remarks."""
    shapes = {top: list((layer.input_param.shape[i] if len(layer.input_param.shape) > 1 else
                         layer.input_param.shape[0]).dim)
              for layer in definition.layer if layer.input_param.shape
              for i, top in enumerate(layer.top)}
    found = {top: shape for top, shape in shapes.items() if len(shape) == 4 and shape[1] in (1, 3)}
    if len(found) != 1:
        raise DataError(f"--data {path}: an image is for a net with one Input of images (N, 1 or 3, H, W), and this "
                        f"one has {len(found)}", hint="an .npz holds arrays by the names of the blobs")
    (top, shape), = found.items()
    values, remarks = prepare(path, top, shape)
    return {top: values}, remarks


def take_over(definition: Any, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Let the layers of a definition that put out the blobs of these names be Input layers of the arrays' shapes.

    Raise DataError for a name that no layer without bottoms puts out, and where a layer's other blobs are missing.
    """
    sources = [layer for layer in definition.layer if layer.top and not layer.bottom]
    known = [top for layer in sources for top in layer.top]
    for name in arrays:
        if name not in known:
            raise DataError(f"--data brings an array {name!r}, but the net reads no such blob", where=where,
                            hint=near_names(name, known) or f"the net reads {', '.join(known) or 'no data'}")
    for layer in sources:
        given = [top for top in layer.top if top in arrays]
        if not given:
            continue
        missing = [top for top in layer.top if top not in arrays]
        if missing and not layer.input_param.shape:
            raise DataError(f"--data brings {given[0]!r}, but not {missing[0]!r}, which layer {layer.name!r} "
                            f"({layer.type}) puts out with it", where=where)
        _become_input(layer, arrays)


def _become_input(layer: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Make a layer an Input whose tops have the shapes of the arrays; a top without one keeps its shape."""
    old = list(layer.input_param.shape)
    made = LayerParameter(name=layer.name, type="Input", top=layer.top, include=layer.include)
    for i, top in enumerate(layer.top):
        shape = made.input_param.shape.add()
        if top in arrays:
            shape.dim.extend(arrays[top].shape)
        elif old:
            shape.CopyFrom(old[i] if len(old) > 1 else old[0])
    layer.CopyFrom(made)


def fill(net: Net, arrays: Mapping[str, np.ndarray], seed: int) -> list[str]:
    """Write the arrays into the net's inputs, and random numbers into the others. Return sentences that say so."""
    random_inputs(net, np.random.default_rng(seed))  # all of them: what is drawn for one must not depend on the others
    for name in set(net.inputs) & set(arrays):
        net.blobs[name].data[...] = arrays[name]
    drawn = [name for name in net.inputs if name not in arrays]
    if not drawn:
        return []
    names = f"blob {drawn[0]}" if len(drawn) == 1 else f"blobs {', '.join(drawn[:-1])} and {drawn[-1]}"
    return [f"The input {names} {'holds' if len(drawn) == 1 else 'hold'} random numbers, drawn with seed {seed}, "
            "because no --data was given."]
