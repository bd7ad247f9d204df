"""The data layer of a net as a source of samples, for `minicaffe data`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicaffe import passes
from minicaffe.analysis.data_tops import held_samples
from minicaffe.cli.show import stages
from minicaffe.data.batches import Sample
from minicaffe.data.opened import RUN, Opened
from minicaffe.data.preprocess import Preprocessing, of_layer
from minicaffe.errors import DataError, MinicaffeError, NetError, near_names
from minicaffe.io.sniff import sniff
from minicaffe.layer import DataSource, layer_class, source_of
from minicaffe.net import Net, location
from minicaffe.proto import NetParameter, Phase
from minicaffe.rng import SampleDraws

NETS = (".prototxt", ".pbtxt", ".yaml", ".yml")  # how a net's file ends


See = Callable[[Sample, int], np.ndarray]  # a sample and its number -> what the net sees (C, H, W)


@dataclass
class DataLayer:
    """A net's data layer of images.

    preprocessing   what it does at TEST
    see             what it does to a sample in the phase that was asked for; random crops and mirrors are those of the
                    first epoch
    """

    preprocessing: Preprocessing
    see: See


def is_net(path: str) -> bool:
    """Return whether a file is a net's definition, by its name or, for other names, by its content."""
    if path.lower().endswith(NETS):
        return True
    try:
        return sniff(path) == "prototxt"
    except MinicaffeError:  # whoever opens it says what is wrong
        return False


def data_layers(param: Any) -> list[Any]:
    """Return the data layers of a definition, and layers of a user's own type that have no bottom."""
    kinds = [(layer, layer_class(layer.type)) for layer in param.layer if not layer.bottom]
    return [layer for layer, kind in kinds if (issubclass(kind, DataSource) or kind.users_code) and not kind.is_input]


def open_layer(args: argparse.Namespace) -> tuple[Opened, DataLayer | None]:
    """Return the samples of a net's data layer, and the layer; None in its place if it has no images.

    Only this layer of the net is made. A layer whose samples cannot be asked for by number is run, batch after batch,
    and its samples are what it puts out.
    """
    given, place = location.read(args.source, location.outside(Phase.Value(args.phase), args.level, stages(args)))
    location.set_state(given, Phase.Value(args.phase), args.level, stages(args))
    with place.in_errors(given):
        filtered = passes.apply(given, "filter")
        chosen, others = _chosen(filtered, args)
        alone = NetParameter(name=filtered.name, layer=[chosen])
        alone.state.CopyFrom(filtered.state)
        net = Net(alone, None, allow_python=not args.no_python)
    layer: Any = net.layers[0]
    remarks = [f"The {args.phase} layer {layer.name!r} ({layer.type}) reads it."]
    if others:
        remarks.append(f"--layer chooses another: {', '.join(others)}.")
    path = getattr(source_of(layer), "source_path", "") or getattr(layer.param, "source", "")
    kind = str(path) or f"what {layer.type} makes"
    samples = held_samples(layer)
    if samples is None:
        remarks.append("The numbers are those that the layer puts out.")
        return Opened(Tops(net, args.samples), kind, remarks=tuple(remarks)), None
    layer.close()  # its thread must not read while the survey does
    transformer = layer.batches.transformer

    def see(sample: Sample, number: int) -> np.ndarray:
        out: np.ndarray = np.empty((1, *transformer.shape(sample.image, sample.name)), np.float32)
        transformer.apply([sample.image], [sample.name], out, SampleDraws(0, [0], [number]))
        return out[0]

    classes = getattr(samples, "classes", ())
    return Opened(samples, kind, RUN, classes, remarks=tuple(remarks)), DataLayer(of_layer(chosen), see)


def _chosen(param: Any, args: argparse.Namespace) -> tuple[Any, list[str]]:
    """Return the data layer that --layer names, or the first one, and the names of others that it could name.

    Raise NetError where there is none.
    """
    found = data_layers(param)
    if not found:
        other = "TEST" if args.phase == "TRAIN" else "TRAIN"
        raise NetError(f"the net has no data layer in phase {args.phase}",
                       hint=f"--phase {other} looks at the other phase")
    if not args.layer:
        return found[0], [layer.name for layer in found[1:]]
    names = [layer.name for layer in found]
    if args.layer not in names:
        raise NetError(f"--layer: the net has no data layer {args.layer!r} in phase {args.phase}",
                       hint=near_names(args.layer, names) or f"it has {', '.join(names)}")
    return found[names.index(args.layer)], []


class Tops:
    """The samples that a data layer puts out, in their order, as if they were a source.

    most    how many there are where the layer does not know the size of its source
    """

    def __init__(self, net: Net, most: int) -> None:
        self.net = net
        source = source_of(net.layers[0])
        self.count = (source.epoch_size if source else None) or most
        self._read: list[Sample] = []
        self._first = 0  # the number of the first of them

    def __len__(self) -> int:
        return self.count

    def load(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Return the samples with these numbers; the layer runs until they have come."""
        return [self._load(number) for number in numbers]

    def _load(self, number: int) -> Sample | DataError:
        if number < self._first:
            return DataError(f"sample {number} has passed already")
        while number >= self._first + len(self._read):
            self._first += len(self._read)
            self._read = self._batch()
        return self._read[number - self._first]

    def _batch(self) -> list[Sample]:
        """Run the layer forward, and return its batch."""
        self.net.forward()
        layer, (data, *rest) = self.net.layers[0], self.net.tops[0]
        source = source_of(layer)
        keys = list(source.keys) if source else []
        labels = rest[0].data.reshape(len(data.data), -1) if rest else None
        found = []
        for i, image in enumerate(data.data.copy()):
            key = str(keys[i]) if i < len(keys) else f"sample {self._first + i}"
            label = 0.0 if labels is None else labels[i].tolist() if labels.shape[1] != 1 else float(labels[i, 0])
            found.append(Sample(key, key, image, label))
        return found
