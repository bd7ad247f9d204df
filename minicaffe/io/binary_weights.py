"""Weights and solver states in Caffe's binary format: arrays are read and written as fast as the disk allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minicaffe import proto
from minicaffe.errors import DataError
from minicaffe.io.blobs import damaged, decode_blob, encode_blob
from minicaffe.io.file_bytes import FileBytes
from minicaffe.io.files import PathLike, replace_file, unreadable
from minicaffe.io.sniff import sniff
from minicaffe.io.wire import LENGTH, VARINT, DamagedError, next_field, put_tag, signed, text
from minicaffe.io.wrong_file import wrong_file

LARGEST = 2**31 - 1  # bytes of a message that protobuf, and so Caffe, reads

_LAYERS, _LAYER = 2, 100  # of NetParameter
_BLOBS = 7  # of LayerParameter
_V0 = 1  # of V1LayerParameter
# name, type and blobs in the three generations of a layer
_LAYER_FIELDS = {_LAYER: (1, 2, _BLOBS), _LAYERS: (4, 5, 6), _V0: (1, 2, 50)}

T = TypeVar("T")
Blobs = Mapping[str, Sequence[np.ndarray]] | Sequence[Sequence[np.ndarray]]


class LayerWeights(NamedTuple):
    """One layer of a caffemodel; the type is a V1 name (`CONVOLUTION`) or a V0 one (`conv`) in old files."""

    name: str
    type: str
    blobs: list[np.ndarray]


class SolverSnapshot(NamedTuple):
    """A solver state: the iteration, the weights' file, the learning rate step, the history blobs."""

    iter: int
    learned_net: str
    current_step: int
    history: list[np.ndarray]


def read_weights(path: PathLike) -> list[LayerWeights]:
    """Return the layers of a caffemodel in the order of the file, also those without blobs.

    Blobs are float32, or float64 where the file holds that.
    Raise ProtoError when the file is missing, of another kind, or damaged; DataError, with layer and blob, when a
    blob's values do not fill its shape.
    """
    return _read(path, "caffemodel", lambda buffer: list(_layers(buffer, path)))


def read_solverstate(path: PathLike) -> SolverSnapshot:
    """Return a .solverstate file; errors as for `read_weights`."""
    return _read(path, "solverstate", lambda buffer: _solverstate(buffer, path))


def read_blob(path: PathLike) -> np.ndarray:
    """Return the array of a .binaryproto file, such as a mean image (1, C, H, W); errors as for `read_weights`."""
    return _read(path, "blob", lambda buffer: _blob(buffer, 0, len(buffer), "this blob", path))


def write_weights(path: PathLike, net: Any, blobs: Blobs, diffs: Blobs | None = None) -> None:
    """Write a caffemodel: `net` (a NetParameter) with these blobs in it, and these diffs if they are given.

    Blobs and diffs are lists, one for each layer of the net in its order, or a dict of lists by the layer's name.
    The bytes are those that Caffe writes. Raise DataError when a name is no layer of the net, or when the file
    would exceed the 2 GB that Caffe can read.
    """
    each, each_diff = _by_layer(net, blobs), _by_layer(net, diffs or {})
    head = type(net)()
    head.CopyFrom(net)
    head.ClearField("layer")
    pieces = [head.SerializePartialToString()]
    for layer, data, diff in zip(net.layer, each, each_diff, strict=True):
        pieces += _layer_pieces(layer, data, diff)
    _write(path, pieces)


def write_solverstate(path: PathLike, iter: int, learned_net: str, current_step: int,
                      history: Sequence[np.ndarray]) -> None:
    """Write a .solverstate file, with the bytes that Caffe writes."""
    name = learned_net.encode()
    pieces: list[Any] = [put_tag(1, VARINT, iter) + put_tag(2, LENGTH, len(name)) + name]
    for array in history:
        pieces += _length_first(3, encode_blob(array))
    _write(path, [*pieces, put_tag(4, VARINT, current_step)])


def write_blob(path: PathLike, array: np.ndarray) -> None:
    """Write one array as a .binaryproto file."""
    _write(path, encode_blob(array))


def _read(path: PathLike, kind: str, read: Callable[[Any], T]) -> T:
    """Return the result of `read` for the content of a file, which must be of this kind."""
    found = sniff(path)
    if found != kind:
        raise wrong_file(path, found, kind)
    try:
        buffer = FileBytes(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        return read(buffer)
    except DamagedError as error:
        raise damaged(path, error, kind) from None


def _layers(buffer: Any, path: PathLike) -> Iterator[LayerWeights]:
    at, end = 0, len(buffer)
    while at < end:
        number, wire, first, at = next_field(buffer, at, end)
        if number in (_LAYER, _LAYERS) and wire == LENGTH:  # all else is passed over, what forks added too
            yield _layer(buffer, first, at, number, path)


def _layer(buffer: Any, at: int, end: int, form: int, path: PathLike) -> LayerWeights:
    name_field, type_field, blobs_field = _LAYER_FIELDS[form]
    name = kind = ""
    spans: list[tuple[int, int]] = []
    while at < end:
        number, wire, first, at = next_field(buffer, at, end)
        if number == name_field and wire == LENGTH:
            name = text(buffer, first, at)
        elif number == type_field:
            kind = text(buffer, first, at) if wire == LENGTH else _v1_type(first)
        elif number == blobs_field and wire == LENGTH:
            spans.append((first, at))
        elif form == _LAYERS and number == _V0 and wire == LENGTH:  # a V0 layer has all its fields in this one
            return _layer(buffer, first, at, _V0, path)
    blobs = [_blob(buffer, *span, f"layer {name!r}: blob {index}", path) for index, span in enumerate(spans)]
    return LayerWeights(name, kind, blobs)


def _v1_type(number: int) -> str:
    value = proto.V1LayerParameter.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_number.get(number)
    return value.name if value else str(number)


def _blob(buffer: Any, at: int, end: int, place: str, path: PathLike) -> np.ndarray:
    try:
        return decode_blob(buffer, at, end, place)
    except DataError as error:
        raise DataError(error.message, where=str(path), hint=error.hint) from None


def _solverstate(buffer: Any, path: PathLike) -> SolverSnapshot:
    iteration, step, learned_net = 0, 0, ""
    history: list[np.ndarray] = []
    at, end = 0, len(buffer)
    while at < end:
        number, wire, first, at = next_field(buffer, at, end)
        if (number, wire) == (1, VARINT):
            iteration = signed(first)
        elif (number, wire) == (2, LENGTH):
            learned_net = text(buffer, first, at)
        elif (number, wire) == (3, LENGTH):
            history.append(_blob(buffer, first, at, f"history blob {len(history)}", path))
        elif (number, wire) == (4, VARINT):
            step = signed(first)
    return SolverSnapshot(iteration, learned_net, step, history)


def _by_layer(net: Any, blobs: Blobs) -> Sequence[Sequence[np.ndarray]]:
    """Return the blobs of each layer of the net, in its order."""
    if not isinstance(blobs, Mapping):
        return blobs
    unknown = sorted(set(blobs) - {layer.name for layer in net.layer})
    if unknown:
        raise DataError(f"no layer {unknown[0]!r} in net {net.name!r} to write blobs into")
    return [blobs.get(layer.name, ()) for layer in net.layer]


def _layer_pieces(layer: Any, blobs: Sequence[np.ndarray], diffs: Sequence[np.ndarray]) -> list[Any]:
    """Return the bytes of a layer with its blobs.

    Caffe writes fields in the order of their numbers, so the blobs go behind the fields with smaller numbers and
    before those with larger ones.
    """
    if not blobs:
        return _length_first(_LAYER, [layer.SerializePartialToString()])
    bare = type(layer)()  # protobuf writes the fields without blobs; the blobs it would write number by number
    bare.CopyFrom(layer)
    bare.ClearField("blobs")
    body = bare.SerializePartialToString()
    cut = at = 0
    while at < len(body):
        number, _, _, at = next_field(body, at, len(body))
        if number > _BLOBS:
            break
        cut = at
    pieces: list[Any] = [body[:cut]]
    for index, array in enumerate(blobs):
        pieces += _length_first(_BLOBS, encode_blob(array, diffs[index] if diffs else None))
    return _length_first(_LAYER, [*pieces, body[cut:]])


def _length_first(number: int, pieces: list[Any]) -> list[Any]:
    """Return a field whose payload is made of pieces: its tag and length, then the pieces."""
    return [put_tag(number, LENGTH, sum(map(len, pieces))), *pieces]


def _write(path: PathLike, pieces: list[Any]) -> None:
    size = sum(map(len, pieces))
    if size > LARGEST:
        raise DataError(f"{path} would be {size / 1e9:.1f} GB, and Caffe reads at most 2 GB of a binary file",
                        hint="write HDF5 instead (snapshot_format: HDF5, or a name that ends in .h5)")
    replace_file(path, pieces)
