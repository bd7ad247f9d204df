"""Weight files, binary and HDF5: read by content, written by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.errors import DataError, ProtoError
from minicaffe.io import hdf5
from minicaffe.io.beside import sibling_hint
from minicaffe.proto import NetParameter
from minicaffe.proto.binary import LayerWeights, describe, read_weights, sniff, write_weights

PathLike = hdf5.PathLike


def read(path: PathLike) -> list[LayerWeights]:
    """The layers of a .caffemodel or .caffemodel.h5 file, in its order; the content decides which it is.

    In HDF5 the blobs that another layer owns are not stored: each stands as an array of size 0.
    ProtoError or DataError where the file is missing, of another kind, or damaged; the message names the right
    file where it stands beside the wrong one.
    """
    kind = sniff(path)
    if kind == "hdf5":
        return hdf5.read_file(path, lambda file: _read_hdf5(file, path))
    if kind != "caffemodel":
        raise ProtoError(f"this is {describe(kind)}, not weights (a caffemodel)", where=str(path),
                         hint=sibling_hint(path, "caffemodel"))
    return read_weights(path)


def write(path: PathLike, net: Any, write_diff: bool = False) -> None:
    """Write a Net's definition and learned blobs, as HDF5 where the name ends in .h5 and else in binary."""
    if str(path).endswith(".h5"):
        hdf5.write_file(path, lambda file: _write_hdf5(file, net, write_diff))
        return
    definition = NetParameter(name=net.name)
    for layer in net.layers:
        param = definition.layer.add()
        param.CopyFrom(layer.layer_param)
        param.ClearField("blobs")
        if layer.default_loss_weight and not param.loss_weight:  # Caffe: a loss stores the weight that it assumed
            param.loss_weight.append(layer.default_loss_weight)
    blobs = {layer.name: [blob.data for blob in layer.blobs] for layer in net.layers if layer.blobs}
    diffs = {layer.name: [blob.diff for blob in layer.blobs] for layer in net.layers if layer.blobs}
    write_weights(path, definition, blobs, diffs if write_diff else None)


def _read_hdf5(file: Any, path: PathLike) -> list[LayerWeights]:
    if "data" not in file:
        if "iter" in file and "history" in file:
            raise ProtoError("this is a solver state, not weights (a caffemodel)", where=str(path),
                             hint=sibling_hint(path, "caffemodel"))
        raise DataError("this HDF5 file has no group 'data', so it holds no weights of Caffe's", where=str(path))
    found: list[LayerWeights] = []
    _collect(file["data"], "", found)
    return found


def _collect(group: Any, name: str, found: list[LayerWeights]) -> None:
    """The layers of a group, depth first: a name such as inception/1x1 is a group in a group."""
    numbered = {key: item for key, item in group.items() if hdf5.is_dataset(item)}
    if name and (numbered or not len(group)):
        count = 1 + max((int(key) for key in numbered), default=-1)
        absent = np.empty(0, np.float32)
        blobs = [np.asarray(numbered[str(k)]) if str(k) in numbered else absent for k in range(count)]
        found.append(LayerWeights(name, "", blobs))
    for key, item in group.items():
        if key not in numbered:
            _collect(item, f"{name}/{key}" if name else key, found)


def _write_hdf5(file: Any, net: Any, write_diff: bool) -> None:
    owned = {id(param.blob) for param in net.all_params if param.owner is None}
    for section in ("data", "diff") if write_diff else ("data",):
        top = file.create_group(section)
        for layer in net.layers:
            group = top.create_group(layer.name)
            for k, blob in enumerate(layer.blobs):
                # Caffe: a shared blob's values are stored by its owner alone, its diff by every layer
                if section == "diff" or id(blob) in owned:
                    group.create_dataset(str(k), data=getattr(blob, section))
