"""Give layers the memory of their scratch arrays: each its own where backward reads them, else one for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from minicaffe.net.net import Net


def hand_out(net: Net) -> None:
    """Let layers take their scratch memory, when it is known which of them run backward.

    A layer that runs backward gets memory of its own. The others keep nothing from forward to backward, so they can all
    use the same memory, each while it runs.
    """
    shared: list[np.ndarray] = []
    for i, layer in enumerate(net.layers):
        wants = bool(layer.scratch_arrays)
        layer.take_scratch([] if layer.runs_backward else shared)
        if wants:
            layer.Reshape(net.bottoms[i], net.tops[i])
