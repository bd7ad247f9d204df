"""Copy learned blobs from files into a net, layer by layer, and report what became of each layer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe.errors import DataError, near_names
from minicaffe.io import weights as files
from minicaffe.io.binary import LayerWeights, blob_to_array
from minicaffe.io.files import PathLike
from minicaffe.log import At, log, one_line

if TYPE_CHECKING:
    from minicaffe.layer import Layer
    from minicaffe.net.net import Net
    from minicaffe.net.param_sharing import Param

LOADED, DIFFERS, ONLY_IN_FILE, ONLY_IN_NET = "loaded", "shape differs", "only in the file", "only in the net"
LEARN_ANEW = "to learn such a layer anew, give it another name in the net"  # the cure in a training


@dataclass
class Row:
    """The result for one layer: whether its blobs were copied, their shapes, and a remark."""

    layer: str
    what: str
    shapes: list[tuple[int, ...]]
    remark: str = ""


@dataclass
class Report:
    """The result of copying weights: one row for each layer. `str(report)` is a table."""

    source: str
    rows: list[Row] = field(default_factory=list)

    @property
    def loaded(self) -> list[str]:
        """The names of the layers that got their blobs."""
        return self._names(LOADED)

    @property
    def differing(self) -> list[str]:
        """The names of the layers whose blobs in the file differ from those in the net, in shape or number."""
        return self._names(DIFFERS)

    @property
    def only_in_file(self) -> list[str]:
        """The names of the layers with blobs that the net lacks."""
        return self._names(ONLY_IN_FILE)

    @property
    def only_in_net(self) -> list[str]:
        """The names of the layers with blobs that no file has: they keep the values of their fillers."""
        return self._names(ONLY_IN_NET)

    def _names(self, what: str) -> list[str]:
        return [row.layer for row in self.rows if row.what == what]

    def __str__(self) -> str:
        return "\n".join([f"weights from {self.source}:", *self._lines()])

    def log(self) -> None:
        """Report it as information."""
        log(At.WEIGHTS_COPIED, f"weights from {self.source}:", lambda: "\n".join(self._lines()))

    def _lines(self) -> list[str]:
        names = [one_line(row.layer) for row in self.rows]
        width = max(map(len, names), default=0)
        return [f"  {name:{width}}  {row.what:16}  {row.remark or ' '.join(map(str, row.shapes))}"
                for name, row in zip(names, self.rows, strict=True)]


@dataclass(frozen=True)
class Stored:
    """The content of weight files: each file's name, "" for a NetParameter, with its layers."""

    names: list[str]
    files: list[tuple[str, list[LayerWeights]]]

    @property
    def layers(self) -> dict[str, int]:
        """The names of the layers that have blobs in some file, with the number of their blobs."""
        return {layer.name: len(layer.blobs) for _, layers in self.files for layer in layers if layer.blobs}


def read(source: Any) -> Stored:
    """Read weight files: one path, several in a list or with commas between them; or take a NetParameter's blobs."""
    if hasattr(source, "DESCRIPTOR"):
        layers = [LayerWeights(layer.name, layer.type, [blob_to_array(b) for b in layer.blobs])
                  for layer in source.layer]
        return Stored(["a NetParameter"], [("", layers)])
    names = _names(source)
    return Stored(names, [(path, files.read(path)) for path in names])


class _Target:
    """A layer of the net that has blobs, with their Params."""

    def __init__(self, layer: Layer, params: Sequence[Param]) -> None:
        self.layer, self.name, self.params = layer, layer.name, params
        self.shapes = [param.blob.shape for param in params]
        self.new: list[np.ndarray | None] = []  # what the files hold for its blobs
        self.remark = ""


def copy_trained_from(net: Net, source: PathLike | Sequence[PathLike] | Any, *, strict: bool = False) -> Report:
    """Copy the blobs of weight files, or of a NetParameter that holds blobs, into the layers of the same names.

    source    one path, several in a list or with commas between them (a later file overwrites), a NetParameter, or
              what `read` made of them

    The table has every layer with blobs of the net and of the files. DataError, and nothing copied, where a layer's
    number of blobs or a shape differs, and with `strict` where either side has a layer that the other lacks.
    """
    stored = source if isinstance(source, Stored) else read(source)
    report = Report(" and ".join(stored.names))
    targets = list(_targets(net))
    foreign: list[Row] = []
    for path, layers in stored.files:
        foreign += _match(net, targets, layers, path if len(stored.files) > 1 else "")
    report.rows = [_row(target) for target in targets] + foreign
    _hint_near_names(report)
    if report.differing:
        raise DataError(f"the weights of {_listed(report.differing)} do not fit the net\n{report}",
                        hint=LEARN_ANEW)
    if strict and (report.only_in_file or report.only_in_net):
        raise DataError(f"the weights do not fit the net exactly, which strict demands\n{report}")
    for target in targets:  # before anything is copied: it may go into memory that a layer to be filled shares
        if not target.new:
            target.layer.fill_blobs([k for k, param in enumerate(target.params) if param.owner is None])
    for target in targets:
        for param, values in zip(target.params, target.new, strict=False):
            if values is not None:
                param.blob.data[...] = values.reshape(param.blob.shape)
    return report


def same_shape(stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether shapes agree. Old files store four sizes: (1, 1, 500, 800) for (500, 800)."""
    if stored == wanted:
        return True
    if len(wanted) == 4 and sorted(wanted)[:3] == [1, 1, 1]:  # BN's: other forks store (1, 10) or (10,)
        return max(wanted) == math.prod(stored) == max(stored, default=1)
    if len(stored) != 4 or len(wanted) >= 4:
        return False
    if len(wanted) == 1:  # (1, 10, 1, 1) is (10,) too: so the BatchNorm of some forks stores it
        return sorted(stored) == [1, 1, 1, *wanted]
    return stored == (1,) * (4 - len(wanted)) + wanted


def _names(source: PathLike | Sequence[PathLike]) -> list[str]:
    if isinstance(source, (str, os.PathLike)):
        whole = os.fspath(source)  # a file whose own name has a comma comes first
        return [whole] if os.path.exists(whole) else [part.strip() for part in whole.split(",") if part.strip()]
    return [os.fspath(path) for path in source]


def _targets(net: Net) -> Iterator[_Target]:
    params = iter(net.all_params)
    for layer in net.layers:
        if layer.blobs:
            yield _Target(layer, [next(params) for _ in layer.blobs])


def _match(net: Net, targets: Sequence[_Target], stored: Iterable[LayerWeights], path: str) -> list[Row]:
    """Give each target what the file has for it. Return a row for each layer that the net lacks."""
    foreign: list[Row] = []
    free = list(targets)  # of two layers of one name, in the file and in the net, each gets its own
    for name, _, blobs in stored:
        target = next((t for t in free if t.name == name), None)
        if target is not None:
            free.remove(target)
            _fill(target, blobs, path)
            continue
        shapes = [blob.shape for blob in blobs]
        again = [t for t in targets if t.name == name]
        if name not in net.layer_names:
            log(At.SOURCE_LAYER_IGNORED, f"Ignoring source layer {name}")
            foreign += [Row(name, ONLY_IN_FILE, shapes)] * bool(blobs)
        elif again and blobs:  # Caffe: of several in the file the last one counts
            _fill(again[-1], blobs, path)
            again[-1].remark = again[-1].remark or "stands twice in the file: the last one is taken"
        elif blobs:
            foreign.append(Row(name, DIFFERS, shapes, f"{len(blobs)} blobs in the file, none in the net"))
    return foreign


def _fill(target: _Target, blobs: Sequence[np.ndarray], path: str) -> None:
    """Give the target the file's blobs, or say in its remark why they do not fit."""
    blobs = target.layer.in_todays_order(blobs)
    # an HDF5 file leaves a shared blob to the layer that owns it
    new = [blobs[k] if k < len(blobs) and blobs[k].size else None for k in range(max(len(blobs), len(target.params)))]
    owned = [param.owner is None for param in target.params]
    if len(new) > len(owned) or any(mine and values is None for mine, values in zip(owned, new, strict=True)):
        target.remark = f"{len(blobs)} blobs in the file, {len(owned)} in the net"
    else:
        target.remark = "; ".join(f"blob {k} is {values.shape} in the file and {shape} in the net"
                                  for k, (values, shape) in enumerate(zip(new, target.shapes, strict=True))
                                  if values is not None and not same_shape(values.shape, shape))
    target.new = [] if target.remark else new
    if not target.remark and path:
        target.remark = f"from {path}"


def _row(target: _Target) -> Row:
    if target.new:
        return Row(target.name, LOADED, target.shapes, target.remark)
    return Row(target.name, DIFFERS if target.remark else ONLY_IN_NET, target.shapes, target.remark)


def _hint_near_names(report: Report) -> None:
    """Add to the row of each layer that one side lacks the similar names on the other side."""
    for row in report.rows:
        others = {ONLY_IN_FILE: report.only_in_net, ONLY_IN_NET: report.only_in_file}.get(row.what, [])
        near = near_names(row.layer, others)
        if near:
            row.remark = f"{' '.join(map(str, row.shapes))}  {near}"


def _listed(names: Sequence[str]) -> str:
    return f"layer {names[0]!r}" if len(names) == 1 else f"layers {', '.join(map(repr, names))}"
