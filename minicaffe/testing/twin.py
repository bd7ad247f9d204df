"""A float64 copy of a net as it stands before one pass: its weights, its batch, and what its layers carry along."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicaffe import log, rng
from minicaffe.layer import Layer
from minicaffe.net import Net
from minicaffe.proto import NetParameter


class PassStart:
    """What a pass of a net depends on. It is kept so that the same pass can be run again in a copy of the net.

    The arrays are copies. Weights are not kept: `twin` takes them from the net when it is called.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.statistics = [statistics_of(layer) for layer in net.layers]
        self.carried = [copy.deepcopy(layer.resume_state()) if layer.layer_param.bottom else {} for layer in net.layers]
        self.batch: dict[int, list[np.ndarray]] = {}

    def take_batch(self, i: int) -> None:
        """Keep what layer i put out, if it brings data in. It is called when the layer has run forward."""
        if brings_data(self.net, i):
            self.batch[i] = [top.data.copy() for top in self.net.tops[i]]

    def twin(self, *, force_backward: bool | None = None) -> Net:
        """Return a float64 net with the same layers at the same indices, ready to run the same pass.

        Input layers that hold the batch stand in place of the layers that bring data in. So no source is read again.
        The random numbers of the process go on as if no net had been made.

        force_backward    replaces that of the definition, unless it is None
        """
        given = self._definition()
        if force_backward is not None:
            given.force_backward = force_backward
        random = rng.state()
        try:
            with log.silent():
                twin = Net(given, None, dtype=np.float64, permissive=True, allow_python=self.net.allow_python)
        finally:
            rng.restore(random)
        twin._location = self.net._location
        self._fill(twin)
        return twin

    def _definition(self) -> Any:
        """Return the net's definition with Input layers in place of those that bring data in."""
        given = NetParameter()
        given.CopyFrom(self.net.param)
        for i, arrays in self.batch.items():
            name, tops = given.layer[i].name, list(given.layer[i].top)
            given.layer[i].Clear()
            given.layer[i].name, given.layer[i].type = name, "Input"
            given.layer[i].top.extend(tops)
            for array in arrays:
                given.layer[i].input_param.shape.add(dim=array.shape)
        return given

    def _fill(self, twin: Net) -> None:
        """Give the twin the net's weights, the batch, and what the layers carried along."""
        for i, (mine, theirs) in enumerate(zip(twin.layers, self.net.layers, strict=True)):
            for k, (blob, source) in enumerate(zip(mine.blobs, theirs.blobs, strict=True)):
                blob.data[...] = self.statistics[i].get(k, source.data)
            if self.carried[i]:
                mine.resume_from(self.carried[i])
        for i, arrays in self.batch.items():
            for top, array in zip(twin.tops[i], arrays, strict=True):
                top.data[...] = array


@contextmanager
def pass_start(net: Net) -> Iterator[PassStart]:
    """Within the block one forward pass of the net runs; the PassStart that is yielded keeps what the pass began with.

        with pass_start(net) as start:
            net.forward()
        slopes = NetSlopes(start.twin())
    """
    start = PassStart(net)
    net.after_layer.append(start.take_batch)
    try:
        yield start
    finally:
        net.after_layer.remove(start.take_batch)


def brings_data(net: Net, i: int) -> bool:
    """Return whether layer i is a source of data. One that learns what it puts out, as Parameter does, is not."""
    return not net.bottoms[i] and bool(net.tops[i]) and not net.layers[i].blobs


def is_statistic(layer: Layer, k: int) -> bool:
    """Return whether blob k of a layer is kept by its forward pass, as BatchNorm's averages are, and never learned."""
    specs = layer.layer_param.param  # the layer's own: BatchNorm writes lr_mult 0 there
    return layer.side_effects and k < len(specs) and specs[k].lr_mult == 0


def statistics_of(layer: Layer) -> dict[int, np.ndarray]:
    """Return copies of the blobs that a forward pass may change, by their index."""
    return {k: blob.data.copy() for k, blob in enumerate(layer.blobs) if is_statistic(layer, k)}
