"""A failed pass in one file, with all that is needed to repeat it: the net, its weights, the batch, the random state.

It is a .npz file without pickled objects, with these arrays:

    info                            JSON as bytes: place and iteration of the failure; the net as prototxt, with an
                                    Input layer for each data layer; what the random numbers follow from (the place of
                                    the pass, and states of the process's generator); the states of the layers
    batch/BLOB                      the data
    weights/LAYER INDEX/BLOB INDEX  the parameters
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.errors import DataError, ProtoError
from minicaffe.io import json_arrays, npz
from minicaffe.io.sniff import describe, sniff
from minicaffe.net import Net, hooks
from minicaffe.proto import NetParameter, text
from minicaffe.solvers.doctor.watch import Place, Watch

FORMAT = "minicaffe failure 1"


class Found(NamedTuple):
    """The place of the first value that is not finite; `words` name the place and the value, as messages do."""

    key: list[Any]
    words: str


class Batch:
    """Stores, while a net runs, all that a forward pass depends on besides the weights.

    The tops of the data layers stay in their blobs until the next pass. Only those that a layer in place overwrites
    are copied. The place of the pass is stored, because the layers' random numbers follow from it. Without a place they
    come from the process's generator. Its state is stored before each layer that follows a data layer: a data layer
    may draw numbers, but the Input layer that replaces it does not. The state of a layer, such as a hidden
    state, is stored before the layer runs.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.place: tuple[int, ...] | None = None  # as in PassDraws
        self.random: dict[int, Any] = {}  # layer index -> the state of the generator before its forward
        self.carried: dict[int, Any] = {}  # layer index -> its resume_state before its forward
        self._copies: dict[str, np.ndarray] = {}
        self.sources = [i for i, layer in enumerate(net.layers)
                        if net.tops[i] and not net.bottoms[i] and not layer.blobs]
        self._behind_sources = [i for i in range(len(net.layers))
                                if i not in self.sources and (i == 0 or i - 1 in self.sources)]
        self._copied = [(i, name, blob) for i in self.sources for name, blob in self._tops(i)
                        if self._overwritten(blob)]
        self._carrying = [i for i, layer in enumerate(net.layers) if i not in self.sources and layer.resume_state()]

    def attach(self) -> None:
        """Begin to remember."""
        self._before_layer = hooks.at({0, *self._behind_sources, *self._carrying}, self._before)
        self._after_layer = hooks.at([i for i, _, _ in self._copied], self._after)
        self.net.before_layer.append(self._before_layer)
        self.net.after_layer.append(self._after_layer)

    def detach(self) -> None:
        """Stop remembering."""
        self.net.before_layer.remove(self._before_layer)
        self.net.after_layer.remove(self._after_layer)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the data that the data layers gave, by the names of the blobs."""
        now = {name: blob.data for i in self.sources for name, blob in self._tops(i)}
        return {**now, **self._copies}

    def _before(self, i: int) -> None:
        self.place = self.net.draws.place
        if i in self._behind_sources:
            self.random[i] = rng.state()
        if i in self._carrying:
            self.carried[i] = copy.deepcopy(self.net.layers[i].resume_state())

    def _after(self, i: int) -> None:
        for index, name, blob in self._copied:
            if index == i:
                self._copies[name] = blob.data.copy()

    def _tops(self, i: int) -> list[tuple[str, Any]]:
        return [(self.net.wiring.blob_names[t], top)
                for t, top in zip(self.net.wiring.tops[i], self.net.tops[i], strict=True)]

    def _overwritten(self, blob: Any) -> bool:
        return any(top.shares_data_with(blob) for bottoms, tops in zip(self.net.bottoms, self.net.tops, strict=True)
                   for top in tops if any(top is bottom for bottom in bottoms))


def save(path: str | Path, batch: Batch, place: Place, *, iteration: int, backward: bool) -> None:
    """Write all that is needed to repeat a pass. Raise DataError where that cannot be written.

    `place` is where its first value was found that is not finite.
    """
    net = batch.net
    info = {"format": FORMAT, "iteration": iteration, "backward": backward, "net": text.format(_definition(batch)),
            "found": _found(place), "dtype": np.dtype(net.dtype).name,
            "permissive": net.permissive, "random": batch.random, "pass": batch.place, "carried": batch.carried}
    arrays = {f"batch/{name}": values for name, values in batch.arrays().items()}
    arrays |= {f"weights/{i}/{k}": blob.data for i, layer in enumerate(net.layers)
               for k, blob in enumerate(layer.blobs)}
    arrays["info"] = np.frombuffer(json.dumps(info, default=json_arrays.to_json).encode(), np.uint8)
    npz.write(path, arrays.items())


# the errors that a damaged file leads to, because its JSON may hold anything in any place
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


class Replay:
    """A saved pass, ready to be repeated: `net` holds the weights and the batch.

    found   the place of the first value that was not finite, when the pass was saved
    info    iteration, backward and more, as `save` wrote them
    """

    def __init__(self, path: str | Path, allow_python: bool = True) -> None:
        self._path, arrays = str(path), _read(path)
        self.info = _info(arrays.pop("info", None), path)
        try:
            self._load(arrays, path, allow_python)
        except _BROKEN as error:
            raise DataError(f"this saved failure is damaged: {error}", where=str(path)) from error

    def _load(self, arrays: dict[str, np.ndarray], path: str | Path, allow_python: bool) -> None:
        definition = text.parse(self.info["net"], NetParameter(), f"the net in {path}")
        self.found = Found(*self.info["found"])
        self._backward, _ = bool(self.info["backward"]), self.info["iteration"]
        self._random = {int(i): state for i, state in self.info["random"].items()}
        self._carried = {int(i): state for i, state in self.info["carried"].items()}
        # a file of an older minicaffe has no place: there layers drew from the process's generator alone
        seed, *place = self.info.get("pass") or [None]
        self._seed, self._place = None if seed is None else int(seed), [int(number) for number in place]
        for state in self._random.values():
            np.random.PCG64().state = state  # an error now rather than in the middle of the pass
        self.net = Net(definition, None, dtype=np.dtype(self.info["dtype"]).type,
                       permissive=bool(self.info["permissive"]), allow_python=allow_python)
        self._batch = {name.removeprefix("batch/"): v for name, v in arrays.items() if name.startswith("batch/")}
        for name, values in self._batch.items():
            _put(values, self.net.blobs[name], name)
        for name in arrays:
            if name.startswith("weights/"):
                _, i, k = name.split("/")
                _put(arrays[name], self.net.layers[int(i)].blobs[int(k)], name)

    def run(self) -> Found | None:
        """Repeat the pass. Return the first place where a value is not finite; None where all values are."""
        places: list[Found] = []

        def note(place: Place) -> None:
            places.append(_found(place))

        for name, values in self._batch.items():
            self.net.blobs[name].data[...] = values
        watch = Watch(self.net, note)
        watch.attach()
        self.net.before_layer.append(self._before)
        try:
            self.net.clear_param_diffs()
            watch.weights()
            with self.net.draws.during(self._seed, *self._place):
                self.net.forward()
                if self._backward:
                    self.net.backward()
                    watch.gradients()
        finally:
            watch.detach()
            self.net.before_layer.remove(self._before)
        return places[0] if places else None

    def _before(self, i: int) -> None:
        if i in self._random:
            rng.restore(self._random[i])
        if i in self._carried:
            try:
                self.net.layers[i].resume_from(self._carried[i])
            except _BROKEN as error:
                raise DataError(f"the state of layer {self.net.layer_names[i]!r} is damaged in this saved failure: "
                                f"{error}", where=self._path) from error


def _found(place: Place) -> Found:
    return Found(list(place.key), f"{place}: {place.seen()}")


def _definition(batch: Batch) -> Any:
    """Return the net after its passes, without weights, and with an Input layer in place of each data layer."""
    given, arrays = NetParameter(), batch.arrays()
    given.CopyFrom(batch.net.param)
    for i, layer in enumerate(given.layer):
        del layer.blobs[:]
        if i in batch.sources:
            tops, phase = list(layer.top), layer.phase
            layer.ParseFromString(type(layer)(name=layer.name, type="Input", top=tops, phase=phase).SerializeToString())
            for name in tops:
                layer.input_param.shape.add(dim=arrays[name].shape)
    return given


def _put(values: np.ndarray, blob: Blob, name: str) -> None:
    if values.shape != blob.shape:
        raise ValueError(f"{name} has the shape {values.shape}, but the net makes it {blob.shape}")
    blob.data[...] = values


def _read(path: str | Path) -> dict[str, np.ndarray]:
    kind = sniff(path)
    if kind != "npz":
        raise ProtoError(f"this is {describe(kind)}, not a saved failure (.npz)", where=str(path))
    return npz.read(path)


def _info(stored: np.ndarray | None, path: str | Path) -> dict[str, Any]:
    try:
        info = json.loads(stored.tobytes(), object_hook=json_arrays.from_json) if stored is not None else {}
    except _BROKEN as error:
        raise DataError(f"the info in this file is damaged: {error}", where=str(path)) from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise DataError("this .npz holds no saved failure", where=str(path),
                        hint="minicaffe train writes one as PREFIX_iter_N_failure.npz when it meets a NaN")
    return info
