"""Run one layer without a net: arrays in, blobs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer import Layer


def filled(values: Any, dtype: type = np.float64) -> Blob:
    """A blob with the shape and the values of an array."""
    values = np.asarray(values)
    blob = Blob(values.shape, dtype)
    blob.data[...] = values
    return blob


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers, the same for the same shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def run_forward(layer: Layer, *arrays: Any, tops: int = 1, in_place: bool = False) -> tuple[list[Blob], list[Blob]]:
    """Set a layer up on blobs of these values and run it forward: (bottom, top)."""
    bottom = [filled(a, layer.dtype) for a in arrays]
    top = bottom[:1] if in_place else [Blob((), layer.dtype) for _ in range(tops)]
    layer.SetUp(bottom, top)
    layer.Forward(bottom, top)
    return bottom, top


def run_backward(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], *top_diffs: Any,
                 asked: Sequence[bool] | None = None) -> list[np.ndarray]:
    """Run it backward from these top diffs; the bottoms' diffs, copied."""
    for blob, diff in zip(top, top_diffs, strict=True):
        blob.diff[...] = diff
    layer.Backward(top, [True] * len(bottom) if asked is None else asked, bottom)
    return [b.diff.copy() for b in bottom]
