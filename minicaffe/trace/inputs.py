"""Fill a net's inputs: from arrays that the user gives, else with random numbers that fit what the layers expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.net import Net
from minicaffe.proto import LayerParameter
from minicaffe.testing.random_numbers import random_inputs


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
