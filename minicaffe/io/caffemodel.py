"""The two formats in which Caffe writes weights: binary, with the net's definition, and HDF5."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.binary import LayerWeights, write_weights
from minicaffe.io.files import PathLike, is_hdf5_name
from minicaffe.io.tensors import MOST_BLOBS, as_blob, in_a_row, is_stored
from minicaffe.io.wrong_file import right_file_hint, wrong_file
from minicaffe.log import At, warn
from minicaffe.proto import NetParameter

Layers = Sequence[tuple[str, Sequence[tuple[int, np.ndarray]]]]  # names, and the blobs that are stored by number


def write(path: PathLike, net: Any, write_diff: bool = False) -> None:
    """Write a Net's definition and learned blobs, as HDF5 where `is_hdf5_name` says so, and else in binary."""
    if is_hdf5_name(path):
        write_net_hdf5(path, net, write_diff)
        return
    blobs = [[blob.data for blob in layer.blobs] for layer in net.layers]
    diffs = [[blob.diff for blob in layer.blobs] for layer in net.layers]
    write_weights(path, definition(net), blobs, diffs if write_diff else None)


def write_net_hdf5(path: PathLike, net: Any, write_diff: bool = False) -> None:
    """Write a Net's learned blobs as HDF5, whatever the file's name."""
    hdf5.write_file(path, lambda file: _write_net_hdf5(file, net, write_diff))


def definition(net: Any) -> Any:
    """Return a Net's definition as a snapshot holds it: after all passes, without blobs."""
    given = NetParameter(name=net.name)
    for layer in net.layers:
        param = given.layer.add()
        param.CopyFrom(layer.layer_param)
        param.ClearField("blobs")
        if layer.default_loss_weight and not param.loss_weight:  # Caffe: a loss stores the weight that it assumed
            param.loss_weight.append(layer.default_loss_weight)
    return given


def read_hdf5(path: PathLike) -> list[LayerWeights]:
    """Return the layers of a .caffemodel.h5 file; a name such as inception/1x1 is a group in a group."""
    return hdf5.read_file(path, lambda file: _read_hdf5(file, path))


def write_hdf5(path: PathLike, layers: Iterable[LayerWeights]) -> None:
    """Write layers as a .caffemodel.h5 file. Raise DataError where two of them have one name, or none."""
    stored: Layers = [(name, [(k, blob) for k, blob in enumerate(blobs) if is_stored(blob)])
                      for name, _, blobs in layers]
    hdf5.write_file(path, lambda file: _write_section(file.create_group("data"), stored, path))


def _read_hdf5(file: Any, path: PathLike) -> list[LayerWeights]:
    if not hdf5.has(file, "data") or not hdf5.is_group(hdf5.member(file, "data")):
        if hdf5.has(file, "iter") and hdf5.has(file, "history"):
            raise wrong_file(path, "solverstate", "caffemodel")
        raise DataError("this HDF5 file has no group 'data', so it holds no weights of Caffe's", where=str(path),
                        hint=right_file_hint(path, "caffemodel"))
    found = []
    for name, datasets in hdf5.walk(hdf5.member(file, "data")):
        numbers = _blob_numbers(name, datasets, path)
        if name:  # the first group is the file's `data` itself
            arrays = {k: as_blob(hdf5.array(datasets[key])) for k, key in numbers.items()}
            found.append(LayerWeights(name, "", in_a_row(arrays)))
    names = [layer.name for layer in found]
    # An empty group is no layer where it only holds the groups of others: inception, of inception/1x1.
    return [layer for layer in found if layer.blobs or not any(n.startswith(f"{layer.name}/") for n in names)]


def _blob_numbers(layer: str, datasets: Iterable[str], path: PathLike) -> dict[int, str]:
    """Return each blob's number with the name of its dataset. Raise DataError where a name is no number of a blob."""
    names = list(datasets)
    numbers = {int(name): name for name in names if name.isascii() and name.isdigit()}
    if len(numbers) < len(names) or max(numbers, default=0) >= MOST_BLOBS:
        raise DataError(f"the datasets of layer {layer!r} are not called 0, 1, …: {', '.join(sorted(names))}",
                        where=str(path))
    return numbers


def _write_net_hdf5(file: Any, net: Any, write_diff: bool) -> None:
    owned = {id(param.blob) for param in net.all_params if param.owner is None}
    # Caffe: a shared blob's values are stored by its owner alone, its diff by every layer
    data: Layers = [(layer.name, [(k, blob.data) for k, blob in enumerate(layer.blobs) if id(blob) in owned])
                    for layer in net.layers]
    _write_section(file.create_group("data"), data, file.filename)
    if write_diff:
        diffs: Layers = [(layer.name, [(k, blob.diff) for k, blob in enumerate(layer.blobs)]) for layer in net.layers]
        _write_section(file.create_group("diff"), diffs, file.filename)


def _write_section(group: Any, layers: Layers, path: PathLike) -> None:
    nested = [name for name, blobs in layers if blobs and "/" in name]
    if nested:
        warn(At.HDF5_WEIGHTS, f"{path}: layer {nested[0]!r} has a slash in its name: HDF5 makes groups in "
                              f"groups of it, "
                              "which minicaffe reads, but BVLC Caffe passes over")
    for name, blobs in layers:
        parts = name.split("/")
        if not blobs and len(parts) > 1:  # a group in the group of a layer would keep Caffe from reading that one
            continue
        if blobs and ("" in parts or "." in parts):
            raise DataError(f"HDF5 cannot hold a layer of the name {name!r}", where=str(path),
                            hint="give the layer another name, or set snapshot_format: BINARYPROTO")
        within = group.require_group(name) if name.strip("/.") else group
        for k, blob in blobs:
            if str(k) in within:
                raise DataError(f"two layers of the name {name!r} have blobs, and HDF5 can hold only one",
                                where=str(path), hint="rename one of them, or set snapshot_format: BINARYPROTO")
            within.create_dataset(str(k), data=blob)
