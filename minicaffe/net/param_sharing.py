"""List the learnable blobs of a net, and let those of one name share the memory of the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minicaffe.blob import Blob
from minicaffe.errors import NetError
from minicaffe.layer import Layer
from minicaffe.log import At, log, warn
from minicaffe.passes.insert_splits import of_layer
from minicaffe.proto import ParamSpec

if TYPE_CHECKING:
    from minicaffe.net.net import Net


@dataclass
class Param:
    """One learnable blob of one layer.

    owner                  the Param whose memory it uses; None where it has its own
    lr_mult, decay_mult    of an owner: what the layers that share it say
    """

    blob: Blob
    layer: str
    index: int
    name: str
    owner: Param | None = None
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    _set: set[str] = field(default_factory=set)

    @property
    def display_name(self) -> str:
        """The name given in the definition, else the index within the layer."""
        return self.name or str(self.index)


def tie(layers: Sequence[Layer]) -> list[list[Param]]:
    """List the learnable blobs of each layer, and make those of one `param { name }` share data and diff.

    Raise NetError where tied shapes (or with share_mode PERMISSIVE, counts) differ or the multipliers contradict.
    """
    params: list[list[Param]] = []
    named: dict[str, Param] = {}
    for i, layer in enumerate(layers):
        try:
            params.append([_tied(layer, k, named) for k in range(len(layer.blobs))])
        except NetError as error:
            raise of_layer(layers, i, error) from None
    return params


def follow_layers(params: Sequence[list[Param]], layers: Sequence[Layer]) -> None:
    """Change each layer's Params where a program has changed its list of blobs: a blob put in place, added or removed.

    A blob that takes another's place keeps that one's multipliers. Blobs share one Param's update if they use the same
    memory, whatever made them do so.
    """
    if all([param.blob for param in mine] == layer.blobs for mine, layer in zip(params, layers, strict=True)):
        return
    for mine, layer in zip(params, layers, strict=True):
        del mine[len(layer.blobs):]
        for k, blob in enumerate(layer.blobs):
            if k == len(mine):
                mine.append(Param(blob, layer.name, k, ""))
            mine[k].blob = blob
        flags = layer.param_propagate_down
        flags[:] = flags[:len(mine)] + [True] * (len(mine) - len(flags))
    owners: dict[object, Param] = {}
    for param in (param for mine in params for param in mine):
        was, owner = param.owner, owners.setdefault(param.blob.storages, param)
        if was is not None and owner is param:
            param.lr_mult, param.decay_mult = was.lr_mult, was.decay_mult
        param.owner = None if owner is param else owner


def _tied(layer: Layer, k: int, named: dict[str, Param]) -> Param:
    """The Param of blob k of a layer. It shares the memory of the one in `named` with its name, or is added there."""
    specs = layer.layer_param.param
    spec = specs[k] if k < len(specs) else ParamSpec()
    param = Param(layer.blobs[k], layer.name, k, spec.name)
    _warn_of(spec, param)
    if spec.name and spec.name in named:
        param.owner = named[spec.name]
        _share(param, param.owner, spec)
        _reconcile(param.owner, spec, param)
    else:
        _reconcile(param, spec, param)
        if spec.name:
            named[spec.name] = param
    return param


def _share(param: Param, owner: Param, spec: Any) -> None:
    log(At.SHARED_PARAMS, f"Sharing parameters '{param.name}' owned by layer '{owner.layer}', param index "
                          f"{owner.index}")
    if spec.share_mode == spec.PERMISSIVE:
        fits, what = param.blob.count == owner.blob.count, "counts"
    else:
        fits, what = param.blob.shape == owner.blob.shape, "shapes"
    if not fits:
        raise NetError(f"layer {param.layer!r}: the shared parameter {param.name!r} has the shape {param.blob.shape} "
                       f"here and {owner.blob.shape} in layer {owner.layer!r}, which owns it: the {what} differ",
                       hint="" if what == "counts" else "share_mode: PERMISSIVE ties blobs of the same count")
    param.blob.share_data(owner.blob)
    param.blob.share_diff(owner.blob)


def _warn_of(spec: Any, param: Param) -> None:
    at = f"layer {param.layer!r}: param {param.index}"
    if spec.HasField("share_mode") and not spec.name:
        warn(At.SHARED_PARAMS, f"{at}: share_mode has no effect without a name, by which blobs are shared")
    if spec.decay_mult < 0 <= spec.lr_mult:  # with a negative lr_mult the signs cancel, and the weights shrink
        warn(At.SHARED_PARAMS, f"{at}: decay_mult is {spec.decay_mult:g}, so weight_decay lets the weights grow")


def _reconcile(owner: Param, spec: Any, param: Param) -> None:
    """Give the owner the multipliers that a spec sets. Raise NetError where another layer has set other ones."""
    for multiplier in ("lr_mult", "decay_mult"):
        if not spec.HasField(multiplier):
            continue
        value = getattr(spec, multiplier)
        if multiplier in owner._set and getattr(owner, multiplier) != value:
            raise NetError(f"layer {param.layer!r}: {multiplier} of the shared parameter {param.name!r} is {value:g} "
                           f"here, but {getattr(owner, multiplier):g} in a layer before",
                           hint="give the same value in both, or in one alone")
        setattr(owner, multiplier, value)
        owner._set.add(multiplier)


def follow(net: Net, other: Net) -> None:
    """Let the learned blobs of `net` use the data of those in `other`, by layer name.

    The effect is that of copying the weights of `other` by name, without the copy. Blobs of `net` that share one
    memory go on sharing it: all of them then use what `other` has for one of their layers. Where `other` has several
    of these layers, the last one counts, as the last copy would. NetError, and nothing changed, where shapes differ.
    """
    source: dict[int, Blob] = {}  # a blob of `net`, by identity -> that of `other`
    for mine, theirs in _same_names(net.layers, other.layers):
        if [b.shape for b in mine.blobs] != [b.shape for b in theirs.blobs]:
            raise NetError(f"layer {mine.name!r}: cannot share its weights: its blobs are "
                           f"{', '.join(str(b.shape) for b in mine.blobs)} here and "
                           f"{', '.join(str(b.shape) for b in theirs.blobs)} in net {other.name!r}")
        source.update((id(blob), their) for blob, their in zip(mine.blobs, theirs.blobs, strict=True))
    owned = {id(param.owner or param): source[id(param.blob)] for param in net.all_params if id(param.blob) in source}
    for param in net.all_params:
        if (blob := owned.get(id(param.owner or param))) is not None:
            param.blob.share_data(blob)


def _same_names(mine: Sequence[Layer], theirs: Sequence[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Pairs of layers with blobs and the same name. Several of one name pair in order; the last also with the last."""
    named: dict[str, tuple[list[Layer], list[Layer]]] = defaultdict(lambda: ([], []))
    for side, layers in enumerate((mine, theirs)):
        for layer in layers:
            if layer.blobs:
                named[layer.name][side].append(layer)
    for here, there in named.values():
        yield from zip(here, there, strict=False)
        if here and len(there) > len(here):
            yield here[-1], there[-1]
