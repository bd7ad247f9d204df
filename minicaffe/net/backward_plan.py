"""Decide which layers and which bottoms need a gradient. That is done once, from the wiring alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minicaffe.errors import NetError
from minicaffe.net.wiring import Wiring
from minicaffe.passes.insert_splits import of_layer


@dataclass
class BackwardPlan:
    """The layers that run in a backward pass, and the diffs that they compute.

    layers     whether each layer runs backward
    bottoms    for each layer its propagate_down flags, one for each bottom
    params     for each layer, one flag for each learnable blob: whether its diff is computed
    """

    layers: list[bool]
    bottoms: list[list[bool]]
    params: list[list[bool]]

    def nothing(self) -> BackwardPlan:
        """Return the plan of the same net in which no layer runs backward."""
        return BackwardPlan([False] * len(self.layers), *([[False] * len(flags) for flags in lists]
                                                          for lists in (self.bottoms, self.params)))


def plan(net: Any, wiring: Wiring, loss_weights: Sequence[Sequence[float]], num_blobs: Sequence[int],
         allow_force: Callable[[int, int], bool], stops: Sequence[bool] = ()) -> BackwardPlan:
    """Decide what runs backward.

    First, from the first layer to the last: a blob needs a gradient where it depends on a learnable blob with
    lr_mult ≠ 0, unless it does so only through layers for which `stops` is True. Then, from the last layer to the
    first: of those, only the ones on which a loss depends are kept. For a bottom, `propagate_down` in the definition
    overrules both. `force_backward` asks for the gradients of all bottoms for which `allow_force(layer, bottom)` is
    True.
    """
    params = [_param_flags(net, i, count) for i, count in enumerate(num_blobs)]
    made = _from_params(net, wiring, params, stops or [False] * len(params))
    _only_under_loss(made, wiring, loss_weights)
    if net.force_backward:
        for i, flags in enumerate(made.bottoms):
            made.layers[i] = True
            made.bottoms[i] = [flag or allow_force(i, j) for j, flag in enumerate(flags)]
            made.params[i] = [True] * len(made.params[i])
    return made


def _param_flags(net: Any, i: int, count: int) -> list[bool]:
    layer = net.layer[i]
    if len(layer.param) > count:
        raise of_layer(net.layer, i, NetError(f"layer {layer.name!r} ({layer.type}) has {count} learnable blobs, but "
                                              f"param is given {len(layer.param)} times"))
    return [layer.param[k].lr_mult != 0 if k < len(layer.param) else True for k in range(count)]


def _from_params(net: Any, wiring: Wiring, params: list[list[bool]], stops: Sequence[bool]) -> BackwardPlan:
    """From the first layer to the last: a blob's gradient is wanted where its layer or one before learns something."""
    wanted = [False] * len(wiring.blob_names)
    layers, bottoms = [], []
    for i, layer in enumerate(net.layer):
        if layer.propagate_down and len(layer.propagate_down) != len(layer.bottom):
            raise of_layer(net.layer, i, NetError(
                f"layer {layer.name!r} ({layer.type}) has {len(layer.bottom)} bottoms, but propagate_down is given "
                f"{len(layer.propagate_down)} times"))
        ids = wiring.bottoms[i]
        bottoms.append(list(layer.propagate_down) or [wanted[b] and not stops[i] for b in ids])
        # Caffe: a layer counts as needed by what its bottoms want, whatever propagate_down says
        layers.append((any(wanted[b] for b in ids) and not stops[i]) or any(params[i]))
        if layers[i]:
            for top in wiring.tops[i]:
                wanted[top] = True
    return BackwardPlan(layers, bottoms, params)


def _only_under_loss(made: BackwardPlan, wiring: Wiring, loss_weights: Sequence[Sequence[float]]) -> None:
    """From the last layer to the first: take out layers on which no loss depends, or whose tops get no gradient."""
    under_loss: set[str] = set()  # Caffe: blobs are told apart by their names here, so an in-place chain is one blob
    skipped: set[str] = set()     # blobs of which some reader computes no gradient
    for i in reversed(range(len(made.layers))):
        tops = [wiring.blob_names[t] for t in wiring.tops[i]]
        contributes = any(loss_weights[i]) or any(name in under_loss for name in tops)
        if made.layers[i] and all(name in skipped for name in tops):
            made.layers[i] = False
            made.bottoms[i] = [False] * len(made.bottoms[i])
        if not contributes:
            made.layers[i] = False
            made.bottoms[i] = [False] * len(made.bottoms[i])
        for flag, blob in zip(made.bottoms[i], wiring.bottoms[i], strict=True):
            name = wiring.blob_names[blob]
            if contributes:
                under_loss.add(name)
            if not flag:
                skipped.add(name)
