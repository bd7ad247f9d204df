"""pycaffe's Net: forward and backward take and return arrays by blob name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import net as core
from minicaffe.errors import NetError, near_names
from minicaffe.io import caffemodel
from minicaffe.io import weights as weight_files
from minicaffe.io.files import PathLike
from minicaffe.proto import TEST, MemoryDataParameter


class Net(core.Net):
    """A Net with the calls of pycaffe: `Net(model, TEST, weights=file)` or `Net(model, weights, TEST)`."""

    def __init__(self, definition: PathLike | Any, *args: Any, phase: int | None = TEST, level: int = 0,
                 stages: Sequence[str] | None = None, weights: str | Sequence[str] = (), **options: Any) -> None:
        for arg in args:  # pycaffe takes the weights and the phase in either order
            if isinstance(arg, (str, os.PathLike)):
                weights = os.fspath(arg)
            else:
                phase = arg
        super().__init__(definition, phase, level=level, stages=stages or (), weights=weights or (), **options)

    def forward(self, blobs: Sequence[str] | None = None, start: str | None = None,  # type: ignore[override]
                end: str | None = None, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run forward from layer `start` to layer `end`, and return arrays by blob name.

        They are the data of the outputs, or of `end`'s tops where it is given, and of the blobs in `blobs`.

        inputs    arrays for the Input layers' blobs, by name, in the blobs' shapes
        """
        if inputs:
            # A whole pass needs all inputs. One that starts later may be given any blob.
            if start is None and set(inputs) != set(self.inputs):
                raise NetError(f"the net's inputs are {', '.join(self.inputs)}, got {', '.join(inputs)}")
            for name, values in inputs.items():
                self._input(name).data[...] = values
        self.forward_pass(start, end)
        names = self._tops_of(end) if end is not None else self.outputs
        return {name: self.blobs[name].data for name in dict.fromkeys([*names, *(blobs or ())])}

    def backward(self, diffs: Sequence[str] | None = None, start: str | None = None,  # type: ignore[override]
                 end: str | None = None, **outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run backward from layer `start` to layer `end`, and return arrays by blob name.

        They are the diffs of the inputs, or of `end`'s bottoms where it is given, and of the blobs in `diffs`.

        outputs    arrays for the outputs' diffs, by name
        """
        for name, values in outputs.items():
            self._input(name).diff[...] = values
        self.backward_pass(start, end)
        names = self._bottoms_of(end) if end is not None else self.inputs
        return {name: self.blobs[name].diff for name in dict.fromkeys([*names, *(diffs or ())])}

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Hand over the arrays that a MemoryData layer gives out batch by batch; it must be the net's first layer.

        data      (n, C, H, W) in the sizes of the layer, n a multiple of its batch_size
        labels    (n,) or (n, 1, 1, 1); with label_size: K in the layer (n, K)

        Both are float32 and, but for labels (n,), in C order. They are not copied, so a later change of their values is
        seen. Raise NetError or LayerError for anything else.
        """
        layer = self.layers[0]
        if not isinstance(layer.param, MemoryDataParameter):
            later = [one.name for one in self.layers if isinstance(one.param, MemoryDataParameter)]
            raise NetError(f"set_input_arrays may only be called if the first layer reads data from memory, and layer "
                           f"{layer.name!r} is of type {layer.type}",
                           hint=f"call net.layers[net.layer_index({later[0]!r})].reset(data, labels)" if later else
                           "make it a MemoryData layer, or an Input layer and fill the net's blobs")
        for name, array in (("data", data), ("labels", labels)):
            if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                seen = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise NetError(f"the {name} array must be float32, got {seen}", hint="np.asarray(array, np.float32)")
            if not array.flags.c_contiguous and array.ndim > 1:  # Caffe: labels of one axis are copied then
                raise NetError(f"the {name} array must be C contiguous", hint="np.ascontiguousarray(array)")
        if data.ndim != 4:
            raise NetError(f"the data array must be 4-d, got the shape {data.shape}")
        if labels.ndim not in (1, 4) and not layer.param.label_size:
            raise NetError(f"the labels array must be 1-d or 4-d, got the shape {labels.shape}",
                           hint="label_size in the layer says how many numbers a label has")
        layer.reset(data, labels)  # type: ignore[attr-defined]

    def copy_from(self, path: PathLike) -> None:
        """Copy learned blobs from a weight file of any format, by layer name."""
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

    def _input(self, name: str) -> Any:
        if name not in self.blobs:
            raise NetError(f"net {self.name!r} has no blob {name!r}", hint=near_names(name, list(self.blobs)))
        return self.blobs[name]

    def _tops_of(self, layer: str) -> list[str]:
        return [self.wiring.blob_names[t] for t in self.wiring.tops[self.layer_index(layer)]]

    def _bottoms_of(self, layer: str) -> list[str]:
        return [self.wiring.blob_names[b] for b in self.wiring.bottoms[self.layer_index(layer)]]
