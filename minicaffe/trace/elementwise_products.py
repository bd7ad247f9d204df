"""The products that a number of dx is the sum of, for ReLU and SoftmaxWithLoss: one product for each element.

Nearly every gradient passes these two. SoftmaxWithLoss is where it begins, and ReLU passes each number of dy on or
stops it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layers.activation.relu import ReLULayer
from minicaffe.layers.loss.softmax_with_loss import SoftmaxWithLossLayer
from minicaffe.trace.sums import Factor, Indices, Sum

WHAT_IS_Z = {"VALID": "the number of labels that count", "FULL": "the number of all labels",
             "BATCH_SIZE": "the number of samples in the batch", "NONE": "which is 1"}


def _relu_backward(layer: Any, bottoms: Sequence[Blob], dys: Sequence[np.ndarray],
                   before: Sequence[np.ndarray | None]) -> list[Sum]:
    positive = layer.positive.reshape(-1)

    def pairs(flat: int) -> tuple[Indices, list[float], list[tuple[str, float]]]:
        return [flat], [1.0 if positive[flat] else float(layer.alpha)], []

    return [Sum("bottom", 0, "diff", Factor("dy", dys[0]), None, pairs,
                note=f"The factor is 1 where x > 0, and elsewhere α = {layer.alpha:g}.")]


def _softmax_loss_backward(layer: Any, bottoms: Sequence[Blob], dys: Sequence[np.ndarray],
                           before: Sequence[np.ndarray | None]) -> list[Sum]:
    if layer.param.focal_gamma or len(bottoms) > 2 or layer.cells.w is not None or layer.cells.silent is not None:
        return []  # the weights would be factors of their own
    scale = float(dys[0]) / layer.cells.Z * layer.share
    p, labels = layer.p, bottoms[1].data.reshape(-1).astype(int)

    def pairs(flat: int) -> tuple[Indices, list[float], list[tuple[str, float]]]:
        outer, at = divmod(flat, layer.classes * layer.inner)
        c, inner = divmod(at, layer.inner)
        is_label = labels[outer * layer.inner + inner] == c
        return [flat], [scale], [(f"−1 · {scale:g}, for the label is class {c}", -scale)] if is_label else []

    share = f", and the share {layer.share:g} of this pass in the update" if layer.share != 1 else ""
    note = (f"p is the probability that softmax gives to each class. The factor is λ / Z = {float(dys[0]):g} / "
            f"{layer.cells.Z:g}{share}: λ is the diff of the loss, its loss_weight; the losses of all labels "
            f"are summed and divided by Z, {WHAT_IS_Z[layer.normalization]} (normalization: {layer.normalization}).")
    return [Sum("bottom", 0, "diff", Factor("p", p), None, pairs, note=note)]


BACKWARD: dict[type, Callable[..., list[Sum]]] = {ReLULayer: _relu_backward,
                                                  SoftmaxWithLossLayer: _softmax_loss_backward}
