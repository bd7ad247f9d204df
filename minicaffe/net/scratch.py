"""Memory for the layers' scratch arrays: their own where backward reads them, else one memory for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minicaffe.net.net import Net


def hand_out(net: Net) -> None:
    """Let layers take their scratch memory, once it is known which of them run backward.

    What a layer keeps for its backward pass is its own. The others keep nothing between two passes, so they use one
    memory, each while it runs.
    """
    shared: list[np.ndarray] = []
    for i, layer in enumerate(net.layers):
        wants = bool(layer.scratch_arrays)
        layer.take_scratch([] if layer.runs_backward else shared)
        if wants:
            layer.Reshape(net.bottoms[i], net.tops[i])
