"""What the writers of several families share: axes whose sizes must be known."""

from __future__ import annotations

from collections.abc import Iterable

from minicaffe.convert.onnx_out.given import Given

ONE_BATCH = "--batch N writes the model for one batch size"


def needs_fixed(g: Given, axes: Iterable[int], j: int = 0) -> None:
    """Refuse the layer where one of these axes of bottom j grows with the batch, because its nodes hold that size."""
    for axis in axes:
        g.refuse_if(g.is_open(j, axis), f"needs a fixed size along axis {axis} of bottom[{j}] {g.x_shapes[j]}, which "
                                        "grows with the batch", ONE_BATCH)
