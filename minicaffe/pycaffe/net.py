"""pycaffe's Net: forward and backward take and return arrays by blob name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np

from minicaffe import net as core
from minicaffe.blob import Blob
from minicaffe.errors import NetError, near_names
from minicaffe.io import caffemodel
from minicaffe.io import weights as weight_files
from minicaffe.io.files import PathLike
from minicaffe.log import At, warn
from minicaffe.proto import MemoryDataParameter
from minicaffe.pycaffe import alias, stderr_log
from minicaffe.pycaffe.errors import ArrayShapeError, BlobNameError, LayerNameError
from minicaffe.pycaffe.fixed_names import FixedNames
from minicaffe.pycaffe.list_types import BlobVec, DtypeVec, Hooks, IntVec, LayerVec, StringVec
from minicaffe.pycaffe.net_arguments import check_weights, decoded, in_older_order, in_order, is_path, kind
from minicaffe.pycaffe.python_layer import OriginalErrors

Arrays = dict[str, np.ndarray]


def _with_caffe(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a net, changed so that Python layers can `import caffe` in it and raise errors of their own.

    A net without such layers does not pay for that.
    """

    @wraps(method)
    def run(self: Net, *args: Any, **named: Any) -> Any:
        if not self._users_code:
            return method(self, *args, **named)
        with OriginalErrors(), alias.installed():
            return method(self, *args, **named)

    return run


class Net(FixedNames, core.Net):
    """A Net with the calls of pycaffe.

    Net(network_file, phase, level, stages, weights)    all but the file may be left out, and given by name
    Net(network_file, weights, phase)                   the older order, which Caffe still takes

    network_file    a prototxt, or a NetParameter
    phase           caffe.TRAIN or caffe.TEST; TEST if it is left out
    level, stages   a number and a list of names, by which layers are included
    weights         a file from which learned blobs are copied by layer name
    options         those of minicaffe.Net. Parameters that a layer does not read are a warning here, as Caffe takes
                    them: `permissive=False` makes them an error

    In addition to what minicaffe.Net has
    layer_dict                layer name -> layer
    top_names, bottom_names   layer name -> the names of its tops, or of its bottoms
    blob_loss_weights         blob name -> the weight of its sum in the loss
    before_forward, after_forward, before_backward, after_backward
                              call one with a function, and this function is called with each layer's index
    The dictionaries, `blobs` and `params` too, are OrderedDicts in the order of the layers.
    """

    before_backward: Hooks
    after_backward: Hooks
    _users_code = True  # until the layers are known
    fixed: ClassVar = dict.fromkeys(
        ("blobs", "inputs", "layer_dict", "layers", "outputs", "params", "top_names", "bottom_names"),
        "write into the arrays, as in net.blobs[name].data[...] = values")

    def __init__(self, network_file: PathLike | Any, *args: Any, **options: Any) -> None:
        network_file, args = decoded(network_file), tuple(map(decoded, args))
        if not (is_path(network_file) or hasattr(network_file, "DESCRIPTOR")):
            raise TypeError(f"network_file must be a path or a NetParameter, got {kind(network_file)}")
        stderr_log.begin()
        order = in_older_order if args and is_path(args[0]) else in_order
        named = {name: decoded(options.pop(name)) for name in ("phase", "level", "stages", "weights")
                 if name in options}
        phase, level, stages, weights = order(*args, **named)
        if order is in_older_order:
            warn(At.OLDER_NET_CALL, "Net(network_file, weights, phase) is the order of old versions; write "
                                    f"Net({str(network_file)!r}, {phase}, weights={str(weights)!r})")
        options.setdefault("permissive", True)
        with OriginalErrors(), alias.installed():  # the files of Python layers may say `import caffe`
            super().__init__(network_file, phase, level=level, stages=stages, weights=weights, **options)
        self._complete = True

    def _name_everything(self) -> None:
        super()._name_everything()
        names, ids = self.wiring.blob_names, self.wiring
        self.layers = LayerVec(self.layers)
        self._users_code = any(layer.users_code for layer in self.layers)
        self._blobs = BlobVec(self._blobs, self.dtype)
        self.blobs, self.params = OrderedDict(self.blobs), OrderedDict(self.params)
        self.layer_dict = OrderedDict(zip(self.layer_names, self.layers, strict=True))
        self.top_names = OrderedDict((name, [names[t] for t in tops])
                                     for name, tops in zip(self.layer_names, ids.tops, strict=True))
        self.bottom_names = OrderedDict((name, [names[b] for b in bottoms])
                                        for name, bottoms in zip(self.layer_names, ids.bottoms, strict=True))
        self._blob_names, self._layer_names = StringVec(names), StringVec(self.layer_names)
        self._inputs, self._outputs = IntVec(ids.inputs), IntVec(ids.outputs)
        self._blob_loss_weights = DtypeVec([0.0] * len(names))
        for layer, tops in zip(self.layers, ids.tops, strict=True):
            for top, weight in zip(tops, layer.loss_weights, strict=True):
                self._blob_loss_weights[top] = weight
        self.blob_loss_weights = OrderedDict(zip(names, self._blob_loss_weights, strict=True))
        self.before_layer = self.before_forward = Hooks()
        self.after_layer = self.after_forward = Hooks()
        self.before_backward, self.after_backward = Hooks(), Hooks()

    def _top_ids(self, layer: int) -> IntVec:
        """Return the indices of a layer's tops among the blobs."""
        return IntVec(self.wiring.tops[self._index(layer, 0)])

    def _bottom_ids(self, layer: int) -> IntVec:
        """Return the indices of a layer's bottoms among the blobs."""
        return IntVec(self.wiring.bottoms[self._index(layer, 0)])

    # --- running -----------------------------------------------------------------------------------

    forward_pass = _with_caffe(core.Net.forward_pass)
    backward_pass = _with_caffe(core.Net.backward_pass)
    reshape = _with_caffe(core.Net.reshape)

    def _forward(self, start: int, end: int) -> float:
        """Run the layers of these indices forward. Return the loss."""
        return self.forward_pass(start, end)

    def _backward(self, start: int, end: int) -> None:
        """Run the layers of these indices backward."""
        self.backward_pass(start, end)

    def forward(self, blobs: Sequence[str] | None = None, start: str | None = None,  # type: ignore[override]
                end: str | None = None, **inputs: np.ndarray) -> Arrays:
        """Run forward from layer `start` to layer `end`, and return arrays by blob name.

        They are the data of the outputs, or of `end`'s tops where it is given, and of the blobs in `blobs`. They are
        the blobs' own memory, so the next pass overwrites them.

        inputs    an array for each of the net's inputs, by name, with as many rows as the blob has
        """
        first, last = self._index(start, 0), self._index(end, len(self.layers) - 1)
        wanted = self._wanted(self.wiring.outputs if end is None else self.wiring.tops[last], blobs, "blobs")
        if inputs:
            _check_names(inputs, self.inputs, "Input blob arguments do not match net inputs")
            self._fill([(name, self.blobs[name].data, np.asarray(inputs[name])) for name in inputs],
                       "Input is not batch sized")
        self.forward_pass(first, last)
        return {name: self.blobs[name].data for name in wanted}

    def backward(self, diffs: Sequence[str] | None = None, start: str | None = None,  # type: ignore[override]
                 end: str | None = None, **outputs: np.ndarray) -> Arrays:
        """Run backward from layer `start` to layer `end`, and return arrays by blob name.

        They are the diffs of the inputs, or of `end`'s bottoms where it is given, and of the blobs in `diffs`.

        outputs    an array for the diff of each of the net's outputs, by name; without them, the gradients of the loss
                   are computed
        """
        first, last = self._index(start, len(self.layers) - 1), self._index(end, 0)
        wanted = self._wanted(self.wiring.inputs if end is None else self.wiring.bottoms[last], diffs, "diffs")
        if outputs:
            _check_names(outputs, self.outputs, "Top diff arguments do not match net outputs")
            self._fill([(name, self.blobs[name].diff, np.asarray(outputs[name])) for name in outputs],
                       "Diff is not batch sized")
        self.backward_pass(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def forward_all(self, blobs: Sequence[str] | None = None, **inputs: np.ndarray) -> Arrays:
        """Run forward batch by batch, on arrays of any number of rows. Return new arrays of as many rows, by blob name.

        They are the data of the outputs and of `blobs`. A blob without a batch axis, such as a loss, gives one number
        for each batch; zeros fill the last batch.
        """
        _check_names(inputs, self.inputs, "Input blob arguments do not match net inputs")
        rows = _count_rows(inputs)
        outs = _Rows(self._wanted(self.wiring.outputs, blobs, "blobs"), self.blobs, rows, self._batch_size())
        for batch in self._batch(inputs):
            outs.add(self.forward(blobs, **batch))
        return outs.joined()

    def forward_backward_all(self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None,
                             **arrays: np.ndarray) -> tuple[Arrays, Arrays]:
        """Run forward and backward batch by batch. Return the data, as `forward_all` does, and the diffs likewise.

        arrays    for the inputs, and for the diffs of the outputs, by name. Without one kind, the blobs hold what the
                  net's own layers put there
        """
        for name in arrays:
            if name not in self.inputs and name not in self.outputs:
                known = [*self.inputs, *self.outputs]
                raise NetError(f"the net has no input and no output {name!r}: it has {', '.join(known)}",
                               hint=near_names(name, known))
        rows, size = _count_rows(arrays), self._batch_size()
        outs = _Rows(self._wanted(self.wiring.outputs, blobs, "blobs"), self.blobs, rows, size)
        gradients = _Rows(self._wanted(self.wiring.inputs, diffs, "diffs"), self.blobs, rows, size)
        nothing: dict[str, Any] = {}
        for given, top_diffs in zip_longest(
                self._batch({name: arrays[name] for name in self.inputs if name in arrays}),
                self._batch({name: arrays[name] for name in self.outputs if name in arrays}), fillvalue=nothing):
            outs.add(self.forward(blobs, **given))
            gradients.add(self.backward(diffs, **top_diffs))
        return outs.joined(), gradients.joined()

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Cut arrays of as many rows each into batches of the net's size; zeros fill the last one."""
        arrays, size = {name: np.asarray(values) for name, values in blobs.items()}, self._batch_size()
        for first in range(0, _count_rows(arrays) if arrays else 0, size):
            batch = {name: values[first:first + size] for name, values in arrays.items()}
            yield {name: np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
                   for name, part in batch.items()}

    def _batch_size(self) -> int:
        """Return the number of rows in a batch, which is that of the net's first blob."""
        size = self._blobs[0].shape[0] if self._blobs and self._blobs[0].shape else 0
        if not size:
            raise NetError(f"net {self.name!r} has no batches: its first blob has no rows",
                           hint="net.forward runs the net once")
        return size

    def clear_param_diffs(self) -> None:
        """Set the diffs of all learnable blobs to zero, also in diff arrays that the script already holds."""
        for param in self.learnable_params:
            _, diff = param.blob.storages
            diff.fill_with_zeros()

    # --- arrays that stay the caller's --------------------------------------------------------------

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Set the arrays that a MemoryData layer puts out batch by batch. It must be the net's first layer.

        data      (n, C, H, W) in the sizes of the layer, n a multiple of its batch_size
        labels    (n,) or (n, 1, 1, 1); with label_size: K in the layer (n, K)

        Both are float32 and in C order, except that labels (n,) may be in any. They are not copied, so the net sees
        later changes of their values. Raise NetError or LayerError for anything else.
        """
        layer = self.layers[0]
        if not isinstance(layer.param, MemoryDataParameter):
            later = [one.name for one in self.layers if isinstance(one.param, MemoryDataParameter)]
            raise NetError(f"set_input_arrays needs a MemoryData layer as the net's first layer, but layer "
                           f"{layer.name!r} is of type {layer.type}",
                           hint=f"call net.layers[net.layer_index({later[0]!r})].reset(data, labels)" if later else
                           "make it a MemoryData layer, or an Input layer and fill the net's blobs")
        for name, array in (("data", data), ("labels", labels)):
            if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                seen = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise NetError(f"{name} must be an array of float32, got {seen}", hint="np.asarray(array, np.float32)")
            if not array.flags.c_contiguous and array.ndim > 1:  # Caffe: labels of one axis are copied then
                raise NetError(f"{name} must be an array in C order without gaps", hint="np.ascontiguousarray(array)")
        if data.ndim != 4:
            raise NetError(f"data must have the shape (n, C, H, W), got {data.shape}")
        if labels.ndim not in (1, 4) and not layer.param.label_size:
            raise NetError(f"labels must have the shape (n,) or (n, 1, 1, 1), got {labels.shape}",
                           hint="label_size in the layer says how many numbers a label has")
        layer.reset(data, labels)  # type: ignore[attr-defined]

    _set_input_arrays = set_input_arrays

    # --- weights -----------------------------------------------------------------------------------

    def copy_from(self, path: PathLike) -> None:
        """Copy learned blobs from a weight file of any format, by layer name."""
        path = decoded(path)
        check_weights(path)
        self.copy_trained_from(path)

    load_hdf5 = copy_from  # the file's content decides how it is read

    def share_with(self, other: core.Net) -> None:
        """Use the memory of another net's learned blobs, by layer name."""
        self.share_trained_layers_with(other)

    def save(self, path: PathLike) -> None:
        """Write the learned blobs: .h5, .npz and .safetensors by the name, everything else as a .caffemodel."""
        weight_files.save(path, self)

    def save_hdf5(self, path: PathLike) -> None:
        """Write the learned blobs as HDF5, whatever the name."""
        caffemodel.write_net_hdf5(path, self)

    # --- helpers -----------------------------------------------------------------------------------

    def layer_index(self, name: str) -> int:
        """Return the index of a layer; LayerNameError with near names when there is none."""
        try:
            return super().layer_index(name)
        except NetError as error:
            raise LayerNameError(error.message, hint=error.hint) from None

    def _wanted(self, ids: Sequence[int], more: Sequence[str] | None, argument: str) -> list[str]:
        """Return the names of the blobs `ids` and those in `more`, each once. BlobNameError for an unknown one."""
        if isinstance(more, str):
            raise TypeError(f"{argument} must be a list of names, got the string {more!r}: write [{more!r}]")
        names = dict.fromkeys([*(self.wiring.blob_names[i] for i in ids), *(more or ())])
        for name in names:
            try:
                self.blobs[name]
            except KeyError:
                raise BlobNameError(f"net {self.name!r} has no blob {name!r}",
                                    hint=near_names(str(name), list(self.blobs))) from None
        return list(names)

    @staticmethod
    def _fill(given: Sequence[tuple[str, np.ndarray, np.ndarray]], unsized: str) -> None:
        """Write arrays into blobs, after all have been checked. Each is a blob's name, its memory and the array.

        NumPy repeats an array along the axes that it lacks, as in Caffe: one word, (1,), fills a blob (1, 20).
        """
        for name, memory, values in given:
            several = memory.shape[:1] > (1,)  # then an array that lacks the batch axis would be repeated for each row
            if memory.ndim and (values.shape[:1] != memory.shape[:1] or (several and values.ndim < memory.ndim)):
                raise ArrayShapeError(f"{unsized}: blob {name!r} is {memory.shape}, got an array of shape "
                                      f"{values.shape}", hint=_size_hint(name, memory.shape, values.shape))
        for name, memory, values in given:
            try:
                memory[...] = values
            except (TypeError, ValueError) as error:
                raise ArrayShapeError(f"blob {name!r} is {memory.shape}, and the array for it does not fit: {error}",
                                      hint=f"net.blobs[{name!r}].reshape(...) changes the blob") from None


class _Rows:
    """Collects what a net computes batch by batch, for some blobs. Rows that only fill the last batch are left out."""

    def __init__(self, names: Sequence[str], blobs: Mapping[str, Blob], rows: int, size: int) -> None:
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self._blobs, self._rows, self._size = blobs, rows, size

    def add(self, arrays: Arrays) -> None:
        """Copy the arrays of a batch."""
        for name, values in arrays.items():
            self._parts[name].append(np.array(values, ndmin=1))

    def joined(self) -> Arrays:
        """Return the arrays of all batches, one after another."""
        return {name: self._join(name, parts) for name, parts in self._parts.items()}

    def _join(self, name: str, parts: list[np.ndarray]) -> np.ndarray:
        if not parts:
            return np.zeros((0, *self._blobs[name].shape[1:]), self._blobs[name].dtype)
        of_each_row, rest = divmod(len(parts[0]), self._size)  # a blob may have several rows for each of the batch
        return np.concatenate(parts)[:None if rest else self._rows * of_each_row]


def _check_names(given: Mapping[str, Any], names: Sequence[str], mismatch: str) -> None:
    """Raise NetError unless arrays are given for exactly these blobs."""
    if set(given) != set(names):
        wrong = next((name for name in given if name not in names), "")
        raise NetError(f"{mismatch}: got {', '.join(given) or 'none'}, and the net has {', '.join(names) or 'none'}",
                       hint=near_names(wrong, list(names)))


def _count_rows(arrays: Mapping[str, Any]) -> int:
    """Return how many rows all the arrays have. Raise NetError where they differ, or where there is no array."""
    counts = {name: np.shape(values)[0] if np.ndim(values) else -1 for name, values in arrays.items()}
    if -1 in counts.values():
        name = next(name for name, count in counts.items() if count < 0)
        raise NetError(f"the array for blob {name!r} has no rows: got {kind(arrays[name])}")
    if len(set(counts.values())) != 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise NetError(f"all arrays must have the same number of rows, got {listed or 'no array'}")
    return next(iter(counts.values()))


def _size_hint(name: str, wanted: tuple[int, ...], got: tuple[int, ...]) -> str:
    """Say how an array of another number of rows, or of fewer axes, is given to a net."""
    cures, missing = [], len(wanted) - len(got)
    if got == (wanted[0], *wanted[2:]) and wanted[1] == 1:
        return f"{name}[:, np.newaxis] has the axis of the channel"
    if missing > 1 and got != wanted[missing:]:
        return f"the array needs all {len(wanted)} axes: array.reshape(...) adds them"
    if missing > 0:
        index = ", ".join(["np.newaxis"] * missing)
        cures.append(f"{name}[{index}] has the {'axis of the batch' if missing == 1 else 'axes that are missing'}")
        got = (*[1] * missing, *got)
    if got != wanted:
        cures.append(f"net.blobs[{name!r}].reshape({', '.join(map(str, got))}) gives the blob that size")
    return "; ".join(cures)
