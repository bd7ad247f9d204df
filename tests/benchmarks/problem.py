"""A net with its weights and inputs in a folder, so that every side computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minicaffe.proto import NetParameter


class Problem:
    """The definition, and the arrays by name: those of `inputs`, and of `weights` as lists by layer."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.definition = NetParameter.FromString((self.folder / "net.binary").read_bytes())
        with np.load(self.folder / "arrays.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.inputs = {name[6:]: values for name, values in arrays.items() if name.startswith("input|")}
        self.weights = {}
        for name, values in arrays.items():  # in the order in which they were written
            if name.startswith("weight|"):
                self.weights.setdefault(name.split("|")[1], []).append(values)

    def fill(self, net):
        """Copy weights and inputs into a net of ours."""
        for name, arrays in self.weights.items():
            for blob, values in zip(net.params[name], arrays, strict=True):
                blob.data[...] = values
        for name, values in self.inputs.items():
            net.blobs[name].data[...] = values
        return net


def write_problem(folder, definition, net, inputs):
    """Write a definition, the weights of a net that was made from it, and these inputs."""
    folder = Path(folder)
    (folder / "net.binary").write_bytes(definition.SerializeToString())
    arrays = {f"weight|{name}|{i}": blob.data for name, blobs in net.params.items() for i, blob in enumerate(blobs)}
    np.savez(folder / "arrays.npz", **arrays, **{f"input|{name}": values for name, values in inputs.items()})


def draws(net):
    """Random images and labels for the inputs of a net."""
    draw = np.random.default_rng(5)
    return {name: (draw.integers(0, 10, net.blobs[name].shape) if name == "label"
                   else draw.standard_normal(net.blobs[name].shape)).astype(np.float32) for name in net.inputs}


def without(definition, types):
    """The net without its layers of these types, which must work in place or end it."""
    made = NetParameter()
    made.CopyFrom(definition)
    del made.layer[:]
    made.layer.extend(layer for layer in definition.layer if layer.type not in types)
    return made
