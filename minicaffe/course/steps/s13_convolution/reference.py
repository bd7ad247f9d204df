"""What minicaffe's own layers compute, for the checks of steps 13 to 16."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer import Layer


def of_minicaffe(layer: Layer, x: np.ndarray, dy: np.ndarray, weights: Sequence[np.ndarray] = ()) -> dict[str, list]:
    """Return y, dx, and the data and diffs of the blobs of a layer of float64 after one pass each way."""
    os.environ["MINICAFFE_ENGINE"] = "plain"  # a compiler would take seconds to load, for small arrays
    bottom, top = [Blob(x.shape, np.float64)], [Blob((), np.float64)]
    bottom[0].data[...] = x
    layer.SetUp(bottom, top)
    for blob, values in zip(layer.blobs, weights, strict=bool(weights)):
        blob.data[...] = values
    layer.Forward(bottom, top)
    top[0].diff[...] = dy
    layer.Backward(top, [True], bottom)
    return {"y": [np.array(top[0].data)], "dx": [np.array(bottom[0].diff)],
            "data": [np.array(blob.data) for blob in layer.blobs],
            "diff": [np.array(blob.diff) for blob in layer.blobs]}
