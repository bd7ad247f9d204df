"""Fill a net's inputs: from arrays that the user gives, else with random numbers that fit what the layers expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.layer import Layer
from minicaffe.net import Net
from minicaffe.proto import LayerParameter


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
        if missing and layer.type != "Input":
            raise DataError(f"--data brings {given[0]!r}, but not {missing[0]!r}, which layer {layer.name!r} "
                            f"({layer.type}) puts out with it", where=where)
        _become_input(layer, arrays)


def _become_input(layer: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Make a layer an Input whose tops have the shapes of the arrays; a top without one keeps its shape."""
    old = list(layer.input_param.shape) if layer.type == "Input" else []
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
    generator, drawn = np.random.default_rng(seed), []
    for name in net.inputs:
        blob = net.blobs[name]
        if name in arrays:
            blob.data[...] = arrays[name]
        else:
            blob.data[...] = _random(net, net.wiring.blob_names.index(name), generator)
            drawn.append(name)
    if not drawn:
        return []
    names = f"blob {drawn[0]}" if len(drawn) == 1 else f"blobs {', '.join(drawn[:-1])} and {drawn[-1]}"
    return [f"The input {names} {'holds' if len(drawn) == 1 else 'hold'} random numbers, drawn with seed {seed}, "
            "because no --data was given."]


def _random(net: Net, b: int, generator: np.random.Generator) -> np.ndarray:
    """Return random numbers for blob b: classes for labels, indices for Embed, else a normal distribution."""
    shape = net.blobs[net.wiring.blob_names[b]].shape
    for layer, j in _readers(net, b):
        classes = int(getattr(layer, "classes", 0) or 0)
        if j in layer.label_bottoms:
            return generator.integers(0, classes or 2, shape).astype(np.float32)
        if j == 0 and "input_dim" in _fields(layer):
            return generator.integers(0, layer.param.input_dim, shape).astype(np.float32)
        if layer.recurrent and j == 1:  # whether a sequence goes on: all begin at the first step
            goes_on = np.ones(shape, np.float32)
            goes_on[:1] = 0
            return goes_on
    return generator.standard_normal(shape).astype(np.float32)


def _readers(net: Net, b: int) -> Iterator[tuple[Layer, int]]:
    """Yield each layer that reads blob b, also through a layer that hands on the same numbers, and at which bottom."""
    for i, ids in enumerate(net.wiring.bottoms):
        for j, other in enumerate(ids):
            if other != b:
                continue
            if net.layers[i].shares_data:
                for top in net.wiring.tops[i]:
                    yield from _readers(net, top)
            else:
                yield net.layers[i], j


def _fields(layer: Layer) -> set[str]:
    return {field.name for field in layer.param.DESCRIPTOR.fields} if layer.param is not None else set()
