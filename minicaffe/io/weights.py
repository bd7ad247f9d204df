"""Weights in every format. A file's content decides how it is read, its name how it is written.

    .caffemodel                the net's definition and its blobs, as Caffe writes them
    .caffemodel.h5, .h5        the blobs, as Caffe writes them
    .npz                       arrays called LAYER/0, LAYER/1, …; np.load reads them
    .safetensors               arrays with the same names; the types of the layers stand in the metadata

The bits of a blob are the same in every format. Only a .caffemodel keeps the definition and the layers without blobs;
only it and .safetensors keep the types of the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicaffe.errors import DataError
from minicaffe.io import caffemodel, npz, safetensors, tensors
from minicaffe.io.binary import LayerWeights, read_weights, sniff, write_weights
from minicaffe.io.files import HDF5_SUFFIXES, PathLike, is_hdf5_name
from minicaffe.io.wrong_file import wrong_file
from minicaffe.proto import NetParameter

SUFFIXES = (".caffemodel", *HDF5_SUFFIXES, ".npz", ".safetensors")


def read(path: PathLike) -> list[LayerWeights]:
    """Return the layers of a weight file, in its order. The content decides which format it is.

    A blob that another layer owns, and that the file leaves out, becomes an array of size 0.
    Raise ProtoError or DataError where the file is missing, of another kind, or damaged. The message names the right
    file if it is in the same folder.
    """
    kind = sniff(path)
    if kind not in _READERS:
        raise wrong_file(path, kind, "caffemodel")
    return _READERS[kind](path)


def write(path: PathLike, layers: Sequence[LayerWeights], definition: Any = None) -> None:
    """Write layers in the format of the file's name; `path` is at every moment the old file or the whole new one.

    definition    a NetParameter for a .caffemodel to hold; without it each layer has only its name and its type there
    """
    name = str(path).lower()
    layers = [LayerWeights(layer, kind, [tensors.as_blob(blob) for blob in blobs]) for layer, kind, blobs in layers]
    if is_hdf5_name(path):
        caffemodel.write_hdf5(path, layers)
    elif name.endswith(".npz"):
        npz.write(path, tensors.from_layers(layers))
    elif name.endswith(".safetensors"):
        types = {layer.name: layer.type for layer in layers if layer.blobs and layer.type}
        safetensors.write(path, tensors.from_layers(layers), types)
    elif name.endswith(".caffemodel"):
        write_caffemodel(path, layers, definition)
    else:
        raise DataError(f"the name {path} is of no format for weights", hint=f"use one of {', '.join(SUFFIXES)}")


def save(path: PathLike, net: Any) -> None:
    """Write a Net's learned blobs in the format of the name. A name of no format is written as a .caffemodel."""
    if str(path).lower().endswith((".npz", ".safetensors")):
        write(path, [LayerWeights(layer.name, layer.type, [b.data for b in layer.blobs]) for layer in net.layers])
    else:
        caffemodel.write(path, net)


def write_caffemodel(path: PathLike, layers: Sequence[LayerWeights], definition: Any = None) -> None:
    """Write layers as a .caffemodel, whatever the file's name. The arguments are those of `write`."""
    for layer in layers:
        for k, blob in enumerate(layer.blobs):
            if not tensors.is_stored(blob):
                raise DataError(f"blob {k} of layer {layer.name!r} is another layer's, and the file it was read from "
                                "does not say which, but a .caffemodel holds it twice", where=str(path),
                                hint="give the net too: minicaffe convert A B --model NET.prototxt")
    if definition is None:
        definition = NetParameter()
        for layer in layers:
            definition.layer.add(name=layer.name, type=layer.type)
    write_weights(path, definition, [layer.blobs for layer in layers])


def _read_npz(path: PathLike) -> list[LayerWeights]:
    return tensors.to_layers(npz.read(path), {}, str(path))


def _read_safetensors(path: PathLike) -> list[LayerWeights]:
    arrays, types = safetensors.read(path)
    return tensors.to_layers(arrays, types, str(path))


_READERS: dict[str, Callable[[PathLike], list[LayerWeights]]] = {
    "caffemodel": read_weights,
    "hdf5": caffemodel.read_hdf5,
    "npz": _read_npz,
    "safetensors": _read_safetensors,
}
