"""Weights as named arrays, for formats that have no layers: the array conv1/0 is blob 0 of the layer conv1.

The last slash of a name counts, for a layer may have slashes in its own name. A blob that another layer owns has no
array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.binary import LayerWeights

MOST_BLOBS = 1000  # of a layer; no layer of Caffe's has more than a few


def from_layers(layers: Iterable[LayerWeights]) -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) of every blob. Raise DataError where two layers have one name."""
    seen = set()
    for layer in layers:
        if layer.blobs and layer.name in seen:
            raise DataError(f"two layers of the name {layer.name!r} have blobs, and this format tells layers apart "
                            "by name alone", hint="only a .caffemodel can hold both")
        seen.add(layer.name if layer.blobs else "")
        yield from ((f"{layer.name}/{k}", blob) for k, blob in enumerate(layer.blobs) if is_stored(blob))


def to_layers(arrays: Mapping[str, np.ndarray], types: Mapping[str, str], where: str) -> list[LayerWeights]:
    """Return the layers in the order of their first arrays. Raise DataError for a name that is not LAYER/INDEX."""
    numbered: dict[str, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, slash, index = name.rpartition("/")
        if not slash or not index.isascii() or not index.isdigit() or int(index) >= MOST_BLOBS:
            raise DataError(f"the array {name!r} is not named LAYER/INDEX, such as 'conv1/0' for conv1's first blob",
                            where=where, hint="rename the arrays after the layers of the net that is to have them")
        blobs = numbered.setdefault(layer, {})
        if int(index) in blobs:  # 'conv1/0' and 'conv1/00'
            raise DataError(f"two arrays are blob {int(index)} of layer {layer!r}, one of them named {name!r}",
                            where=where)
        blobs[int(index)] = as_blob(array)
    return [LayerWeights(layer, types.get(layer, ""), in_a_row(blobs)) for layer, blobs in numbered.items()]


def in_a_row(blobs: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Return the blobs 0, 1, … of a layer; where one is left out, because another layer owns it, an array of size 0."""
    absent = np.empty(0, np.float32)
    return [blobs.get(k, absent) for k in range(1 + max(blobs, default=-1))]


def is_stored(blob: np.ndarray) -> bool:
    """Return whether a file stores this array. It does not where its size is 0, because another layer owns the blob."""
    return blob.size > 0


def as_blob(array: np.ndarray) -> np.ndarray:
    """The numbers in the types that blobs have: float64 stays, everything else becomes float32."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
