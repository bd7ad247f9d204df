"""What the rules examine: a net in one phase, a solver with its nets, and two nets that share weights.

A net can be examined without its data. If a source does not exist, the sizes of images are taken from fields such as
crop_size. If there are no such fields, the sizes are a guess, and the rules about sizes do not apply.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from minicaffe import log, passes
from minicaffe.analysis import data_tops
from minicaffe.errors import LayerError, MinicaffeError
from minicaffe.layer import DataSource, Layer, LossLayer, class_of
from minicaffe.lint.registry import Finding
from minicaffe.net import Net
from minicaffe.net.location import Location
from minicaffe.passes.filter import filter_layers
from minicaffe.passes.insert_splits import is_split, rank
from minicaffe.proto import TEST, TRAIN, LayerParameter, NetParameter, Phase

Top = tuple[int, int]  # (index of the layer, index of its top)


@contextmanager
def caught() -> Iterator[list[str]]:
    """Collect the warnings that arise within the block, and do not show them."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, before = Keep(logging.WARNING), (list(log.logger.handlers), log.logger.propagate)
    log.logger.handlers, log.logger.propagate = [handler], False
    try:
        with warnings.catch_warnings(record=True) as recorded:
            warnings.simplefilter("always")
            yield found
            found += [str(one.message) for one in recorded]
    finally:
        log.logger.handlers, log.logger.propagate = before


@dataclass(eq=False)
class Definition:
    """A net in one phase.

    file        the name of the file, which messages give
    given       the NetParameter as it was read
    place       where its layers stand in the file
    phase, level, stages    the state that decides which layers take part
    alone       whether a solver trains the net, so that no program of the user's can fill its Inputs
    samples     how many samples of a source are read at most
    allow_python            whether the code of Python layers may run
    """

    file: str
    given: Any
    place: Location
    phase: int
    level: int = 0
    stages: list[str] = field(default_factory=list)
    alone: bool = False
    samples: int = 1000
    allow_python: bool = True

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.about_sources: set[str] = set()  # the first lines of those warnings that are about what a source holds
        self.read: dict[int, Any] = {}  # what data.py has read of each data layer's source, by the layer's index
        self.error: MinicaffeError | None = None  # why the net cannot be made
        self.given.state.phase, self.given.state.level = self.phase, self.level
        del self.given.state.stage[:]
        self.given.state.stage.extend(self.stages)
        with log.silent(), self.place.in_errors(self.given):
            self.whole = passes.upgrade(self.given)  # with the layers of all phases
            self.filtered = filter_layers(self.whole)
        self.layers: list[Any] = list(self.filtered.layer)
        self.classes = [_class(layer) for layer in self.layers]

    # --- places --------------------------------------------------------------------------------------

    def where(self, i: int | None = None) -> str:
        """Return the file and line of a layer, or the file alone."""
        if i is None:
            return self.file
        return self.place.of_layer(self.layers[i].name, rank(self.layers, i)) or self.file

    def found(self, severity: str, i: int | None, message: str, cure: str) -> Finding:
        """Return a Finding about the layer of this index, or about the whole net."""
        return Finding(severity, "" if i is None else self.layers[i].name, self.where(i), message, cure)

    def title(self, i: int) -> str:
        """Return what messages call a layer: layer 'conv1' (Convolution)."""
        return f"layer {self.layers[i].name!r} ({self.layers[i].type})"

    @property
    def phase_name(self) -> str:
        return str(Phase.Name(self.phase))

    # --- wiring --------------------------------------------------------------------------------------

    @cached_property
    def sources(self) -> list[list[Top | None]]:
        """For each bottom of each layer the top that it reads; None if no layer before makes that blob."""
        latest: dict[str, Top] = {}
        found: list[list[Top | None]] = []
        for i, layer in enumerate(self.layers):
            found.append([latest.get(name) for name in layer.bottom])
            latest.update((name, (i, j)) for j, name in enumerate(layer.top))
        return found

    @cached_property
    def readers(self) -> dict[Top, list[int]]:
        """For each top the layers that read it."""
        found: dict[Top, list[int]] = {(i, j): [] for i, layer in enumerate(self.layers) for j in range(len(layer.top))}
        for i, bottoms in enumerate(self.sources):
            for top in bottoms:
                if top is not None:
                    found[top].append(i)
        return found

    def origin(self, top: Top | None) -> Top | None:
        """Follow a top back over layers that only pass numbers on, such as Dropout."""
        while top is not None and (cls := self.classes[top[0]]) is not None and cls.passes_on:
            top = self.sources[top[0]][0] if self.sources[top[0]] else None
        return top

    def is_a(self, i: int, kind: type) -> bool:
        """Return whether layer i is of a class or of one derived from it."""
        cls = self.classes[i]
        return cls is not None and issubclass(cls, kind)

    def is_loss(self, i: int) -> bool:
        """Return whether layer i has a top that counts in the loss."""
        given = self.layers[i].loss_weight
        return any(given) if given else self.is_a(i, LossLayer)

    def is_measure(self, i: int) -> bool:
        """Return whether layer i compares scores with labels and is no loss, as Accuracy does."""
        cls = self.classes[i]
        return cls is not None and bool(cls.label_bottoms) and not issubclass(cls, LossLayer)

    @cached_property
    def trains(self) -> bool:
        """Whether the net is made for training: in its phase it has a loss, and the phase is TRAIN."""
        return self.phase == TRAIN and any(map(self.is_loss, range(len(self.layers))))

    @cached_property
    def tested(self) -> bool:
        """Whether the net is for tests: a solver says so, or one of its layers is in the phase TEST only."""
        rules = [rule for layer in self.whole.layer for rule in layer.include]
        return self.phase == TEST and (self.alone or any(rule.HasField("phase") and rule.phase == TEST
                                                         for rule in rules))

    @cached_property
    def has_data(self) -> bool:
        """Whether a layer reads or makes data."""
        return any(self.is_a(i, DataSource) for i in range(len(self.layers)))

    @cached_property
    def is_deploy(self) -> bool:
        """Whether the net takes its images from the caller, and has neither labels nor data layers."""
        inputs = any(cls is not None and cls.is_input for cls in self.classes)
        return inputs and not self.has_data and not any(
            self.is_loss(i) or self.is_measure(i) for i in range(len(self.layers)))

    # --- the made net --------------------------------------------------------------------------------

    @cached_property
    def data(self) -> dict[int, data_tops.Tops | None]:
        """The shapes that each data layer gives, by the layer's index; None for one whose source cannot be read."""
        found: dict[int, data_tops.Tops | None] = {}
        for i, layer in enumerate(self.layers):
            if self.is_a(i, DataSource):
                try:
                    with caught() as said:
                        found[i] = data_tops.tops(without_missing_mean(layer, self.phase)) or data_tops.guessed(layer)
                    self.warnings += said
                    self.about_sources.update(text.split("\n")[0] for text in said if "no effect" not in text)
                except MinicaffeError as error:
                    self._fail(error, i)
                    found[i] = None
        return found

    def _fail(self, error: MinicaffeError, i: int) -> None:
        """Keep the first error, with the place of the layer that it is about."""
        error.where = error.where or self.where(i)
        self.error = self.error or error

    @cached_property
    def net(self) -> Net | None:
        """The net with shapes but without memory, and with DummyData in place of its data layers.

        It is None if the net cannot be made. Then `error` says why, except where an assumed size may be the reason.
        """
        if any(top is None for bottoms in self.sources for top in bottoms):
            return None
        if any(tops is None for tops in self.data.values()):
            return None
        definition = NetParameter()
        definition.CopyFrom(self.filtered)
        for i, tops in self.data.items():
            assert tops is not None
            dummy = LayerParameter(name=self.layers[i].name, type="DummyData", top=self.layers[i].top)
            for shape in tops.shapes:
                dummy.dummy_data_param.shape.add(dim=shape)
            definition.layer[i].CopyFrom(dummy)
        try:
            with caught() as said, self.place.in_errors(self.given):
                net = Net(definition, self.phase, level=self.level, stages=self.stages, permissive=True,
                          allow_python=self.allow_python, shapes_only=True)
            self.warnings += said
            net._location = self.place
            return net
        except MinicaffeError as error:
            # If sizes are assumed, they may be the only reason for the error: it may not occur with the real data.
            if not (isinstance(error, LayerError) and self.assumed):
                self.error = self.error or error
            return None

    @cached_property
    def assumed(self) -> bool:
        """Whether the sizes of images are taken from fields, because a source does not exist."""
        return any(tops is not None and tops.assumed for tops in self.data.values())

    @cached_property
    def guessed(self) -> bool:
        """Whether not even a field gives the size of the images, so that the sizes in `net` mean nothing."""
        return any(tops is not None and tops.guessed for tops in self.data.values())

    @cached_property
    def _made(self) -> dict[int, int]:
        """For each layer its index in the made net, which also has Split layers."""
        assert self.net is not None
        found, k = {}, 0
        for i, layer in enumerate(self.layers):
            while is_split(self.net.param.layer[k]) and self.net.param.layer[k].name != layer.name:
                k += 1
            found[i] = k
            k += 1
        return found

    def made(self, i: int) -> Layer | None:
        """Return the made layer i, or None if the net cannot be made."""
        return self.net.layers[self._made[i]] if self.net is not None else None

    def made_index(self, i: int) -> int:
        """Return the index of layer i in `net`, which also has Split layers."""
        return self._made[i]

    def bottom_shape(self, i: int, j: int = 0) -> tuple[int, ...]:
        """Return the shape of a bottom. The net must have been made."""
        assert self.net is not None
        return self.net.bottoms[self._made[i]][j].shape

    def index_of(self, message: str) -> int | None:
        """Return the index of the layer that a message names at its beginning, or None."""
        named = re.match(r"layer (['\"])(.*?)\1", message)
        return next((i for i, layer in enumerate(self.layers) if named and layer.name == named[2]), None)


@dataclass(eq=False)
class Training:
    """A solver with its nets.

    file            the solver's file
    param           the SolverParameter
    train, tests    its nets; None and [] where they cannot be read
    error           why the solver or a net of it cannot be used
    """

    file: str
    param: Any
    train: Definition | None = None
    tests: list[Definition] = field(default_factory=list)
    error: MinicaffeError | None = None


@dataclass(eq=False)
class Pair:
    """A train net, and a net that is to use its weights: a test net or a deploy net."""

    first: Definition
    second: Definition


def without_missing_mean(layer: Any, phase: int) -> Any:
    """Return a copy of a data layer in this phase, without its mean_file if that file does not exist."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.phase = phase
    for holder in (copy.transform_param, *(m for m in data_tops.messages(copy) if hasattr(m, "mean_file"))):
        if holder.mean_file and not Path(holder.mean_file).exists():
            holder.ClearField("mean_file")
    return copy


def _class(layer: Any) -> type[Layer] | None:
    """Return the class of a layer, or None if its type is unknown, which is reported when the net is made."""
    try:
        return class_of(layer)
    except MinicaffeError:
        return None

