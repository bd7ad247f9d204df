"""Which blob of a net holds its answers, which holds the labels, and how scores become probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.errors import NetError, near_names
from minicaffe.layer import Layer, LossLayer, layer_class
from minicaffe.passes.insert_splits import is_split

ONE_CLASS, YES_OR_NO = "one class", "yes or no"  # the values of the trait `decides`


@dataclass(frozen=True)
class Answers:
    """Where a net's answers are.

    scores, label   names of blobs; label is '' where the net has none
    decides         what the scores decide, as the trait of that name says
    plain           whether the scores are not probabilities yet
    axis            along which the scores of the classes lie; None: all axes after the first
    ignore_label    the label of cells that do not count, or None
    layer           the name of the layer that says so, '' where no layer does
    others          the names of other blobs with scores
    """

    scores: str
    label: str = ""
    decides: str = ONE_CLASS
    plain: bool = True
    axis: int | None = 1
    ignore_label: int | None = None
    layer: str = ""
    others: tuple[str, ...] = ()

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Return the probabilities (cells, K) in the scores (N, …) of a batch.

        For one class there are K classes and a cell for each place beside the axis: N for most nets. For yes or no each
        sample is a cell with K questions.
        """
        x = scores
        if self.decides == YES_OR_NO or self.axis is None:
            x = x.reshape(len(x), -1)
        else:
            x = np.moveaxis(x, self.axis, -1).reshape(-1, x.shape[self.axis])
        if not self.plain:
            return x.copy()
        x = np.ascontiguousarray(x)
        if self.decides == ONE_CLASS:
            return kernels.softmax(x, 1, out=np.empty_like(x))
        out = np.empty_like(x)
        kernels.sigmoid(x, out)
        return out


def find(param: Any, output: str = "", label: str = "") -> Answers:
    """Return where the answers of a net are. `param` is its definition, filtered by phase, with or without Splits.

    The last loss that decides between classes reads them. Without a loss, the last measure such as Accuracy does.
    Without either, the net's only output holds them. `output` and `label` name the blobs instead. Raise NetError where
    the net has several outputs and nothing says which, or has no blob of a given name.
    """
    whose = _makers(param)
    for flag, name in (("--output", output), ("--label", label)):
        if name and name not in whose:
            raise NetError(f"{flag}: the net has no blob {name!r}", hint=near_names(name, list(whose)))
    found = list(_judges(param))
    judges = [one for one in found if not output or one.scores == output]
    if not judges:
        judges = [_unjudged(param, whose, output, found[-1].label if found else "")]
    chosen = judges[-1]
    others = tuple(dict.fromkeys(one.scores for one in found if one.scores != chosen.scores))
    plain = chosen.plain and not _activates(whose[chosen.scores], chosen.decides)
    return Answers(chosen.scores, label or chosen.label, chosen.decides, plain, chosen.axis, chosen.ignore_label,
                   chosen.layer, others)


def _judges(param: Any) -> Iterator[Answers]:
    """Yield the answers that each layer compares with labels: first those of the measures, then of the losses."""
    names = _without_splits(param)
    for losses in (False, True):
        for layer in param.layer:
            kind = layer_class(layer.type)
            at = kind.label_bottoms[0] if kind.label_bottoms else len(layer.bottom)
            if kind.decides and at < len(layer.bottom) and issubclass(kind, LossLayer) == losses:
                scores, label = layer.bottom[0], layer.bottom[at]
                yield Answers(names.get(scores, scores), names.get(label, label), kind.decides, _plain(kind),
                              _field(layer, kind, "axis"), _field(layer, kind, "ignore_label"), layer.name)


def _unjudged(param: Any, whose: dict[str, Any], output: str, label: str) -> Answers:
    """Return the answers in `output`, or in the only output, of a net in which no layer compares them with labels."""
    names = _without_splits(param)
    read = {names.get(b, b) for layer in param.layer for b in layer.bottom if b not in layer.top}
    outputs = [name for name, maker in whose.items()
               if name not in read and not issubclass(layer_class(maker.type), LossLayer)]
    if not output and len(outputs) != 1:
        which = f"{len(outputs)} outputs: {', '.join(outputs)}" if outputs else "no output that is not a loss"
        raise NetError(f"no layer of the net compares scores of classes with labels, and it has {which}",
                       hint="name the blob with the scores: --output BLOB")
    chosen = output or outputs[0]
    decides = layer_class(whose[chosen].type).decides or ONE_CLASS
    return Answers(chosen, label, decides)


def _plain(kind: type[Layer]) -> bool:
    """Return whether a layer reads scores rather than probabilities.

    A loss that takes logarithms, and computes no softmax or sigmoid itself, reads probabilities.
    """
    return not (issubclass(kind, LossLayer) and kind.least_probability is not None and not kind.contains)


def _activates(maker: Any, decides: str) -> bool:
    """Return whether a layer turns scores into probabilities."""
    kind = layer_class(maker.type)
    return not issubclass(kind, LossLayer) and not kind.label_bottoms and kind.decides == decides


def _field(layer: Any, kind: type[Layer], name: str) -> int | None:
    """Return the value of a field of a layer's messages; None where no message has it, or where it has no value."""
    for message in filter(None, (kind.message, *kind.also_reads)):
        held = getattr(layer, message)
        known = held.DESCRIPTOR.fields_by_name.get(name)
        if known is not None:
            return int(getattr(held, name)) if known.has_default_value or held.HasField(name) else None
    return None


def _makers(param: Any) -> dict[str, Any]:
    """Return for each blob the layer that writes it last."""
    return {top: layer for layer in param.layer for top in layer.top if not is_split(layer)}


def _without_splits(param: Any) -> dict[str, str]:
    """Return for each top of a Split the blob that it repeats, whose name the user knows."""
    return {top: layer.bottom[0] for layer in param.layer if is_split(layer) for top in layer.top}
