"""Read a net's definition, and find the line of a layer in it for an error."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minicaffe import passes
from minicaffe.errors import LayerError, MinicaffeError, NetError
from minicaffe.io import prototxt
from minicaffe.io.files import PathLike
from minicaffe.log import silent
from minicaffe.passes.filter import is_included
from minicaffe.proto import TRAIN, NetParameter, Phase
from minicaffe.proto import text as proto_text
from minicaffe.proto.foreign import LeaveOut
from minicaffe.proto.other_pb2 import as_ours
from minicaffe.proto.source import Source

LONGEST_TYPE = 100  # letters of a layer type that a Python class and its file are named after
SHOWN = 3  # layers of one name that an error points at


class Location:
    """The file and the line of each layer of a definition; unknown where it was not read from a text."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._definition: Any = None

    @property
    def file(self) -> str:
        """The name of the file, or ''."""
        return self._source.filename if self._source else ""

    @contextmanager
    def in_errors(self, definition: Any) -> Iterator[None]:
        """Within the block, add the layer's file and line to each error whose message begins with a layer's name."""
        self._definition = definition
        try:
            yield
        except MinicaffeError as error:
            self.blame(error)
            raise

    def blame(self, error: MinicaffeError) -> None:
        """Add a place to an error. It is the line of the layer whose name begins the message, else the file's name.

        Where the net has more layers of that name, the message also says where those are: they are easily mixed up.
        """
        if isinstance(error, LayerError) and error.unknown_type and self.file:
            self._offer_stub(error)
        if error.where or self._source is None:
            return
        named = re.match(r"layer (['\"])(.*?)\1", error.message)
        places = self._of_all(named[2]) if named else []
        if not named or not places:
            error.where = self._source.filename
            return
        mine = min(error.rank, len(places) - 1)
        error.where = places[mine]
        others = [place for k, place in enumerate(places) if k != mine]
        if others:
            more = f" and {len(others) - SHOWN} more" if others[SHOWN:] else ""
            error.message += f" (another layer has this name too: {', '.join(others[:SHOWN])}{more})"

    def _offer_stub(self, error: LayerError) -> None:
        """Add to the hint the command that writes a Python layer to fill in, for the unknown type of a layer."""
        name, error.unknown_type = error.unknown_type, ""  # once: several may place the same error
        if not is_stub_name(name):
            return
        state = self._definition.state
        flags = [*(["--phase", "TRAIN"] if state.HasField("phase") and state.phase == TRAIN else []),
                 *(["--level", str(state.level)] if state.level else []),
                 *(["--stage", ",".join(state.stage)] if state.stage else [])]
        command = shlex.join(["minicaffe", "stub", name, self.file, *flags])
        error.hint += f"{' If not, ' if error.hint.endswith('?') else '; '}{command} writes a Python layer to fill in"

    def of_layer(self, name: str, rank: int = 0) -> str:
        """'net.prototxt:12', the line of the layer of this name that is in the net; '' where that is not known.

        Where several have the name, `rank` says which is meant, counted from 0 along the net.
        """
        places = self._of_all(name)
        return places[min(rank, len(places) - 1)] if places else ""

    def _of_all(self, name: str) -> list[str]:
        """The lines of all layers of this name that are in the net, in order; if none is, of the first left out."""
        if self._source is None:
            return []
        if name == "input" and self._definition.input:  # the Input layer that replaces the old fields
            return [self._source.where("input")]
        try:
            with silent():
                upgraded = passes.upgrade(self._definition)
            included = [is_included(layer, upgraded.state) for layer in upgraded.layer if layer.name == name]
        except MinicaffeError:
            included = []
        # The text has the layers of all phases, and those that the rules leave out count in it too.
        ranks = [rank for rank, taken in enumerate(included) if taken] or [0]
        return self._source.layers_where(name, ranks)


def is_stub_name(layer_type: str) -> bool:
    """Return whether minicaffe stub can write a class for a layer type: the class is called as the type."""
    return f"{layer_type}Layer".isidentifier() and len(layer_type) <= LONGEST_TYPE


def read(definition: PathLike | Any, leave_out: LeaveOut | None = None) -> tuple[Any, Location]:
    """Return a copy of the definition, which may be changed, and the Location of its layers.

    `leave_out` is as for `proto.text.parse`; `outside` makes one.
    """
    net = NetParameter()
    if isinstance(definition, (str, os.PathLike)):
        source = prototxt.read_source(definition)
        proto_text.parse(source.text, net, source.filename, leave_out)
        return net, Location(source)
    kind = getattr(getattr(definition, "DESCRIPTOR", None), "full_name", type(definition).__name__)
    if kind != net.DESCRIPTOR.full_name:
        raise NetError(f"a net is made from a file name or a NetParameter, not from {kind}")
    return as_ours(definition, NetParameter), Location(None)


def outside(phase: int | None, level: int = 0, stages: Sequence[str] = ()) -> LeaveOut:
    """Return a function that says whether a layer's rules leave it out of its net in this state."""

    def leaves_out(layer: Any, net: Any) -> bool:
        outline = NetParameter(state=net.state)
        set_state(outline, phase, level, stages)
        try:
            with silent():
                return not is_included(layer, outline.state)
        except NetError:  # of its rules; the pass that filters the layers raises it again
            return False

    return leaves_out


def set_state(definition: Any, phase: int | None, level: int, stages: Sequence[str]) -> None:
    """Write the phase, the level and the stages into the definition's state."""
    if phase is not None:
        definition.state.phase = phase
        definition.state.level = level  # Caffe: a level in the definition is overruled, its stages stay
        definition.state.stage.extend(stages)


def blame_rules(error: NetError, given: Any, filtered: Any) -> None:
    """If the rules leave out the layer that makes a missing blob, say so in a hint, with flags that include it."""
    state = filtered.state
    if any(error.missing in layer.top for layer in filtered.layer):
        return
    with silent():
        makers = [layer for layer in passes.upgrade(given).layer if error.missing in layer.top]
    if makers:
        cures = dict.fromkeys(words for layer in makers if (words := _what_includes(layer, state)))
        error.hint = (f"layer {makers[0].name!r} makes it, but its rules leave it out of this net "
                      f"({Phase.Name(state.phase)}, level {state.level}, stages: {', '.join(state.stage) or 'none'})"
                      + (f"; {' or '.join(cures)} takes it in" if cures else ""))


def _what_includes(layer: Any, state: Any) -> str:
    """Return the command line flags that make one of the layer's include rules hold; '' where none do."""
    for rule in layer.include:
        if set(rule.not_stage) & {*state.stage, *rule.stage}:  # no flag takes a stage away
            continue
        missing = [stage for stage in rule.stage if stage not in state.stage]
        flags = []
        if rule.HasField("phase") and rule.phase != state.phase:
            flags.append(f"--phase {Phase.Name(rule.phase)}")
        if rule.HasField("min_level") and state.level < rule.min_level:
            flags.append(f"--level {rule.min_level}")
        elif rule.HasField("max_level") and state.level > rule.max_level:
            flags.append(f"--level {rule.max_level}")
        if missing:
            flags.append(f"--stage {','.join([*state.stage, *missing])}")
        if flags:
            return " ".join(flags)
    return ""
