"""Turn a net for training into the net to use afterwards: Inputs replace data layers, probabilities replace losses.

`minicaffe deploy` runs this pass, and so does what uses a net without training it. A net that is trained or tested does
not go through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from minicaffe.errors import NetError
from minicaffe.log import shape_text
from minicaffe.passes.filter import filter_layers, is_included
from minicaffe.passes.insert_splits import Top, find_sources
from minicaffe.proto import TEST, TRAIN, LayerParameter, NetParameter, ParamSpec

LAYER, DATA, LOSS, MEASURE, SINK = "layer", "data", "loss", "measure", "sink"
RULES = ("phase", "include", "exclude")  # with one phase alone they say nothing
TRAINING = ("loss_weight", "propagate_down")  # fields of a layer that only training reads


class Role(NamedTuple):
    """What a layer is for.

    kind        DATA reads samples, LOSS is what training makes small, MEASURE compares scores with labels, SINK has no
                top, LAYER is any other
    becomes     for a loss: the type of the layer that gives the probabilities the loss computes inside, such as
                Softmax; "" if it computes none
    labels      for a loss or a measure: which bottoms hold labels
    moves       whether it passes the numbers of its bottom on and computes no new ones, as Flatten and Slice do
    """

    kind: str = LAYER
    becomes: str = ""
    labels: Sequence[int] = ()
    moves: bool = False


@dataclass
class Deployed:
    """The deploy net.

    net         the NetParameter
    tested      the net of the phase TEST with Inputs in place of its data layers, and with the layers that were added
                to `net`; it must give the same numbers as `net`
    remarks     what was done, one sentence for each change
    notes       what else there is to say of `net`: its outputs, and layers that are kept without need
    compared    the outputs of `net`, which `tested` has too
    """

    net: Any
    tested: Any
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)


def deploy(net: Any, roles: Mapping[str, Role], shapes: Mapping[str, Sequence[int]], *, keep: bool = False,
           all_outputs: bool = False) -> Deployed:
    """Return the deploy net of an upgraded NetParameter, which is not changed.

    roles       layer type -> Role
    shapes      name of a data layer's top -> its shape in the deploy net
    keep        keep what only training reads: learning rates and fillers
    all_outputs keep the outputs of auxiliary losses too

    Raise NetError if no layer gives a prediction.
    """
    return _Deployment(net, roles, shapes, all_outputs).run(keep)


def data_layers(net: Any, roles: Mapping[str, Role]) -> list[Any]:
    """Return the data layers of the phase TEST or, where there is none, of the phase TRAIN."""
    for phase in (TEST, TRAIN):
        found = [layer for layer in _filtered(net, phase).layer if roles.get(layer.type, Role()).kind == DATA]
        if found:
            return found
    return []


def _filtered(net: Any, phase: int) -> Any:
    """Return the net of a phase."""
    copy = NetParameter()
    copy.CopyFrom(net)
    copy.state.phase = phase
    return filter_layers(copy)


def _title(layer: Any) -> str:
    return f"layer {layer.name!r} ({layer.type})"


class _Deployment:
    """One run of the pass."""

    def __init__(self, net: Any, roles: Mapping[str, Role], shapes: Mapping[str, Sequence[int]],
                 all_outputs: bool) -> None:
        self.roles, self.shapes, self.all_outputs = roles, shapes, all_outputs
        self.remarks: list[str] = []
        self.notes: list[str] = []
        self.given = net
        self.test = self._with_data(_filtered(net, TEST))
        self.layers = list(self.test.layer)
        self.sources: list[list[Top]] = find_sources(self.test)
        self.readers: dict[Top, list[tuple[int, int]]] = {}
        for i, bottoms in enumerate(self.sources):
            for j, top in enumerate(bottoms):
                self.readers.setdefault(top, []).append((i, j))

    def role(self, layer: Any) -> Role:
        """Return what a layer is for. Only its type counts: a loss_weight does not make an Eltwise a loss."""
        return self.roles.get(layer.type, Role())

    def _with_data(self, test: Any) -> Any:
        """Return the test net. If it has no data layer, put the train net's in front."""
        for layer in self.given.layer:
            if not is_included(layer, test.state) and self.role(layer).kind != DATA:
                self.remarks.append(f"{_title(layer)} is left out: it is not part of the phase TEST")
        if any(self.role(layer).kind == DATA for layer in test.layer):
            return test
        new = NetParameter()
        new.CopyFrom(test)
        del new.layer[:]
        new.layer.extend([*data_layers(self.given, self.roles), *test.layer])
        return new

    # --- what stays ------------------------------------------------------------------------------------

    def run(self, keep: bool) -> Deployed:
        """Return the deploy net."""
        losses = self._losses() or self._losses_in_training()
        added, roots = self._ends(losses)
        live = self._live(roots)
        if not any(self.role(self.layers[i]).kind != DATA for i in live):
            raise NetError("no layer of this net gives a prediction: nothing would be left of it",
                           hint="is it a net for training, with a layer that gives scores to its loss?")
        self._remark_dead(live)
        name = self.given.name or None  # None leaves the field out
        new, tested = NetParameter(name=name), NetParameter(name=name)
        for i, layer in enumerate(self.layers):
            if self.role(layer).kind == DATA:
                self._add_inputs(new, tested, i, live)
                continue
            tested.layer.add().CopyFrom(layer)
            if i in live:
                new.layer.add().CopyFrom(layer)
        made = {name for layer in tested.layer for name in layer.top}
        for layer in added:
            new.layer.add().CopyFrom(layer)
            if layer.top[0] not in made:  # else the loss itself gives its probabilities in a second top
                tested.layer.add().CopyFrom(layer)
        self._strip(new, keep)
        outputs = _outputs(new)
        self.notes.append(f"the output is {', '.join(map(repr, outputs))}")
        return Deployed(new, tested, self.remarks, self.notes, outputs)

    def _losses(self) -> list[int]:
        """Return the losses of the test net, without those of loss_weight 0 beside others, which only show a value."""
        found = [i for i, layer in enumerate(self.layers) if self.role(layer).kind == LOSS]
        counting = [i for i in found if not self.layers[i].loss_weight or any(self.layers[i].loss_weight)]
        return counting or found

    def _losses_in_training(self) -> list[int]:
        """Append the losses of the phase TRAIN to the layers of a test net that has none. Return their indices.

        Only a loss says what the scores mean.
        """
        made = {name for layer in self.layers for name in layer.top}
        found = []
        for layer in _filtered(self.given, TRAIN).layer:
            if self.role(layer).kind == LOSS and layer.bottom and layer.bottom[0] in made:
                latest = {name: (i, j) for i, other in enumerate(self.layers) for j, name in enumerate(other.top)}
                known = [name for name in layer.bottom if name in latest]
                self.sources.append([latest[name] for name in known])
                layer.bottom[:] = known  # its labels may come from a layer of the phase TRAIN
                self.layers.append(layer)
                found.append(len(self.layers) - 1)
        return found

    def _ends(self, losses: Sequence[int]) -> tuple[list[Any], set[Top]]:
        """Return the layers that take the place of the losses, and the tops that must stay."""
        added: list[Any] = []
        auxiliary = set() if self.all_outputs else self._auxiliary(losses)
        roots = {top for i in losses if i not in auxiliary for top in self._scores(i)}
        for i in losses:
            if i in auxiliary:
                self.remarks.append(f"{_title(self.layers[i])} is left out: it is an auxiliary loss with a "
                                    "smaller loss_weight; so are the layers that only it needs")
                continue
            kind = self.role(self.layers[i]).becomes
            if (same := self._activation(i, kind)) is not None:
                roots.add((same, 0))
                self.remarks.append(f"{_title(self.layers[i])} is left out: {_title(self.layers[same])} already gives "
                                    "the probabilities")
            elif kind:
                added.append(self._in_place_of(i, kind, added))
            else:
                self.remarks.append(f"{_title(self.layers[i])} is left out: the blob {self._prediction(i)!r}, "
                                    "which it reads, is the prediction")
        dropped = {i for i, layer in enumerate(self.layers) if self.role(layer).kind in (LOSS, MEASURE, SINK, DATA)}
        labels = self._from_labels
        for i, layer in enumerate(self.layers):
            for j in range(len(layer.top)):
                unread = not self.readers.get((i, j))
                if i not in dropped and i not in labels and unread:
                    roots.add((i, j))
            if not losses and self.role(layer).kind == MEASURE:
                roots.update(self._scores(i))
        return added, roots

    def _scores(self, i: int) -> list[Top]:
        """Return the tops that loss or measure i reads, without the labels."""
        labels, from_labels = set(self.role(self.layers[i]).labels), self._from_labels
        tops = [top for j, top in enumerate(self.sources[i]) if j not in labels and top[0] not in from_labels]
        return [top for k, top in enumerate(tops) if k == 0 or not self._is_target(top)]

    def _prediction(self, i: int) -> str:
        """Return the first bottom of loss i that is computed. EuclideanLoss may have the target in front."""
        computed = [name for name, top in zip(self.layers[i].bottom, self.sources[i], strict=True)
                    if not self._is_target(top)]
        return computed[0] if computed else self.layers[i].bottom[0]

    def _is_target(self, top: Top) -> bool:
        """Return whether a top holds the numbers of a data layer, perhaps a part of them or in another shape."""
        while (role := self.role(self.layers[top[0]])).moves:
            top = self.sources[top[0]][0]
        return role.kind == DATA

    @cached_property
    def _from_labels(self) -> set[int]:
        """The layers whose bottoms are all labels, or were all computed from labels."""
        found: set[int] = set()
        labels = {top for i, layer in enumerate(self.layers) for j, top in enumerate(self.sources[i])
                  if self.role(layer).kind in (LOSS, MEASURE) and j in self.role(layer).labels}
        known = {top for top in labels if self.role(self.layers[top[0]]).kind == DATA}
        # A label may pass through other layers before a loss reads it. Go back from what the loss reads to the data
        # layer's tops first, then forward to every layer that reads only labels.
        todo = list(labels - known)
        while todo:
            i = todo.pop()[0]
            if self.role(self.layers[i]).kind != DATA:
                tops = [top for top in self.sources[i] if self.role(self.layers[top[0]]).kind == DATA and top[1] > 0]
                known.update(tops)
                todo += [top for top in self.sources[i] if self.role(self.layers[top[0]]).kind != DATA]
        for i, bottoms in enumerate(self.sources):
            if bottoms and all(top in known or top[0] in found for top in bottoms):
                found.add(i)
        return found

    def _auxiliary(self, losses: Sequence[int]) -> set[int]:
        """Return the losses that have a smaller loss_weight than another loss with the same labels."""
        weights = {i: (list(self.layers[i].loss_weight) or [1.0])[0] for i in losses}
        alike = {i: (self.layers[i].type, *self.layers[i].bottom[1:]) for i in losses}
        return {i for i in losses if any(weights[k] > weights[i] and alike[k] == alike[i] for k in losses)}

    def _activation(self, i: int, kind: str) -> int | None:
        """Return the layer of type `kind` that already reads the scores of loss i, or None."""
        loss = self.layers[i]
        return next((k for k, other in enumerate(self.layers[:len(self.test.layer)])
                     if kind and other.type == kind and other.bottom[0] == loss.bottom[0] != other.top[0]
                     and _axis(other) == _axis(loss)), None)

    def _in_place_of(self, i: int, kind: str, added: Sequence[Any]) -> Any:
        """Return a new layer that gives the probabilities that loss i computes inside."""
        loss = self.layers[i]
        others = [*(layer for layer in self.test.layer if self.role(layer).kind == LAYER), *added]
        top = loss.top[1] if loss.top[1:] and kind == "Softmax" else "prob"
        if any(top in (other.name, *other.top) for other in others):
            top = f"{loss.bottom[0]}_{top}"
        new = LayerParameter(name=top, type=kind, bottom=loss.bottom[:1], top=[top])
        if _axis(loss) != 1:
            new.softmax_param.axis = _axis(loss)
        self.remarks.append(f"{_title(loss)} becomes {_title(new)}")
        return new

    def _live(self, roots: set[Top]) -> set[int]:
        """Return the layers that the given tops depend on, and the layers that make these tops."""
        live = {top[0] for top in roots}
        for i in reversed(range(len(self.layers))):
            if i in live:
                live.update(top[0] for top in self.sources[i])
        return {i for i in live if self.role(self.layers[i]).kind not in (LOSS, MEASURE, SINK)}

    def _remark_dead(self, live: set[int]) -> None:
        from_labels = self._from_labels
        dead = [i for i, layer in enumerate(self.layers[:len(self.test.layer)])
                if i not in live and self.role(layer).kind not in (LOSS, DATA)]
        for i in dead:
            kind = self.role(self.layers[i]).kind
            why = "it compares with labels" if kind == MEASURE else "it has no top" if kind == SINK else \
                "it works on labels only" if i in from_labels else "no prediction depends on it"
            self.remarks.append(f"{_title(self.layers[i])} is left out: {why}")
        for i in sorted(live):
            if self.layers[i].type == "Dropout":
                self.notes.append(f"{_title(self.layers[i])} is kept: in the phase TEST it changes nothing")

    # --- the layers of the new net ------------------------------------------------------------------------

    def _add_inputs(self, new: Any, tested: Any, i: int, live: set[int]) -> None:
        """Add an Input for each top of data layer i that the deploy net needs, and for every top to the test net."""
        layer, gone = self.layers[i], []
        taken = {other.name for other in self.layers if self.role(other).kind != DATA}
        for j, top in enumerate(layer.top):
            needed = any(reader in live for reader, _ in self.readers.get((i, j), []))
            name = top if len(layer.top) > 1 else layer.name
            while name in taken:  # weights are given by name, and an Input takes none
                name += "_input"
            for net in (new, tested) if needed else (tested,):
                made = net.layer.add(name=name, type="Input", top=[top])
                made.input_param.shape.add(dim=self.shapes[top])
            if not needed:
                gone.append(repr(top))
            elif layer.type != "Input":
                self.remarks.append(f"{_title(layer)} becomes an Input that takes {top!r}, "
                                    f"{shape_text(self.shapes[top])}")
        if gone:
            self.remarks.append(f"{', '.join(gone)} of {_title(layer)} {'is' if len(gone) == 1 else 'are'} left out: "
                                "no layer of the deploy net reads " + ("it" if len(gone) == 1 else "them"))

    def _strip(self, new: Any, keep: bool) -> None:
        """Remove the fields that only training, or the choice of a phase, reads."""
        stripped = False
        for layer in new.layer:
            for name in (*RULES, *TRAINING):
                layer.ClearField(name)
            if keep or layer.type == "Input":
                continue
            named = [spec.name for spec in layer.param]
            stripped = stripped or bool(named)
            del layer.param[:]
            if any(named):  # a name makes layers share their blobs, in this net too
                layer.param.extend(ParamSpec(name=name) if name else ParamSpec() for name in named)
            stripped = _without_fillers(layer) or stripped
        if stripped:
            self.remarks.append("learning rates and fillers are left out: only training reads them (--keep keeps them)")


def _outputs(net: Any) -> list[str]:
    """Return the tops that no later layer reads. The last layer may be in place: then it reads its own top."""
    unread: dict[str, None] = {}
    for layer in net.layer:
        for name in layer.bottom:
            unread.pop(name, None)
        unread.update(dict.fromkeys(layer.top))
    return list(unread)


def _axis(layer: Any) -> int:
    """Return the axis of a Softmax, or of a loss that computes one."""
    return int(layer.softmax_param.axis)


def _without_fillers(layer: Any) -> bool:
    """Remove the fillers of a layer whose blobs come from a file. Return whether there were any."""
    found = False
    for holder, message in layer.ListFields():
        if not holder.name.endswith("_param") or not holder.message_type or not hasattr(message, "ListFields"):
            continue
        for inner, _ in message.ListFields():
            if inner.name.endswith("filler") and layer.bottom:  # without a bottom it makes numbers with its fillers
                message.ClearField(inner.name)
                found = True
    return found

