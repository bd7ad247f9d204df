"""Learned blobs from a file into a net, layer by layer, with an account of what went where."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.io import caffemodel
from minicaffe.log import log
from minicaffe.proto.binary import LayerWeights, blob_to_array

if TYPE_CHECKING:
    from minicaffe.net.net import Net


@dataclass
class Report:
    """What a copy of weights did: layer names by what became of them."""

    source: str
    loaded: list[str] = field(default_factory=list)
    only_in_file: list[str] = field(default_factory=list)
    only_in_net: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [("loaded", self.loaded), ("only in the file", self.only_in_file), ("only in the net", self.only_in_net)]
        table = [f"  {what:17}{len(names):5}  {', '.join(names)}" for what, names in rows if names]
        hints = [f"  {name!r} of the file: {near}" for name in self.only_in_file
                 if (near := near_names(name, self.only_in_net))]
        return "\n".join([f"weights from {self.source}:", *table, *hints])


def copy_trained_from(net: Net, source: str | os.PathLike[str] | Any, *, strict: bool = False) -> Report:
    """Copy the blobs of a weight file, or of a NetParameter that holds blobs, into the layers of the same names.

    DataError where the number of blobs or a shape differs, and with `strict` where either side has a layer with
    blobs that the other lacks.
    """
    if isinstance(source, (str, os.PathLike)):
        path, stored = str(source), caffemodel.read(source)
    else:
        path = "a NetParameter"
        stored = [LayerWeights(layer.name, layer.type, [blob_to_array(b) for b in layer.blobs])
                  for layer in source.layer]
    report = Report(path)
    for name, _, arrays in stored:
        if name in net.params or (arrays and name in net.layer_names):
            _copy_layer(net, name, arrays, path)
            report.loaded.append(name)
        elif arrays:
            log("net.cpp:746", f"Ignoring source layer {name}")
            report.only_in_file.append(name)
    report.only_in_net = [name for name in net.params if name not in report.loaded]
    if strict and (report.only_in_file or report.only_in_net):
        raise DataError(f"the weights do not fit the net exactly\n{report}", where=path)
    return report


def _copy_layer(net: Net, name: str, arrays: list[np.ndarray], path: str) -> None:
    params = [param for param in net.all_params if param.layer == name]
    # an HDF5 file leaves a shared blob to the layer that owns it
    left_out = [param.owner is not None and (k >= len(arrays) or not arrays[k].size) for k, param in enumerate(params)]
    if len(arrays) + sum(left_out[len(arrays):]) != len(params):
        raise DataError(f"layer {name!r} has {len(arrays)} blobs in the file, but {len(params)} in the net", where=path)
    for k, param in enumerate(params):
        if left_out[k]:
            continue
        blob, array = param.blob, arrays[k]
        if not same_shape(array.shape, blob.shape):
            raise DataError(f"cannot copy blob {k} of layer {name!r}: its shape is {array.shape} in the file and "
                            f"{blob.shape} in the net", where=path,
                            hint="to learn this layer anew, give it another name in the net")
        blob.data[...] = array.reshape(blob.shape)


def same_shape(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether shapes agree; old files store four sizes: (1, 1, 500, 800) is (500, 800), (1, 1, 1, 10) is (10,)."""
    if stored == wanted:
        return True
    return len(stored) == 4 and len(wanted) < 4 and stored == (1,) * (4 - len(wanted)) + wanted
