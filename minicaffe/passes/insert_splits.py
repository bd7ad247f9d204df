"""Put a Split layer behind every blob that has more than one reader, so that its gradients are summed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from minicaffe.errors import MinicaffeError, NetError, near_names
from minicaffe.proto import NetParameter

Located = TypeVar("Located", bound=MinicaffeError)
SHOWN = 12  # blobs that an error lists
Top = tuple[int, int]  # (layer index, top index): in-place layers make several tops of one name


def insert_splits(net: Any) -> Any:
    """Return the net with Split layers, named as Caffe names them: `ip2_ip2_0_split` with tops `ip2_ip2_0_split_0`, ...

    A top with a loss_weight counts as read by its own loss, and gets a Split where a layer reads it too. NetError for
    a bottom that no earlier layer makes.
    """
    sources = find_sources(net)
    readers = Counter(top for bottoms in sources for top in bottoms)
    losses = _losses(net)
    readers.update(losses.keys())
    split = NetParameter()
    split.CopyFrom(net)
    del split.layer[:]
    used = Counter(losses.keys())  # Caffe: the loss takes the split's first top, readers the next ones
    for i, layer in enumerate(net.layer):
        copy = split.layer.add()
        copy.CopyFrom(layer)
        for j, top in enumerate(sources[i]):
            if readers[top] > 1:
                copy.bottom[j] = f"{_split_name(net, top)}_{used[top]}"
                used[top] += 1
        for j in range(len(layer.top)):
            if readers[i, j] > 1:
                _add_split(split, net, (i, j), readers[i, j], losses.get((i, j)))
                if (i, j) in losses:  # the split's first top has the weight now
                    copy.loss_weight[j] = 0
    return split


def find_sources(net: Any) -> list[list[Top]]:
    """For every bottom of every layer, the top that it reads."""
    latest: dict[str, Top] = {}
    sources = []
    for i, layer in enumerate(net.layer):
        for j, name in enumerate(layer.bottom):
            if name not in latest:
                raise unknown_bottom(net, i, j, list(latest))
        sources.append([latest[name] for name in layer.bottom])
        # After the bottoms: a layer that runs in place reads the top of the layer before, not its own.
        latest.update((name, (i, j)) for j, name in enumerate(layer.top))
    return sources


def is_split(layer: Any) -> bool:
    """Return whether a layer is a Split. The net's author seldom wrote it, and so does not know its name."""
    return bool(layer.type == "Split")


def unknown_bottom(net: Any, layer_index: int, bottom_index: int, available: list[str]) -> NetError:
    """Return the error for a bottom that no layer before this one makes."""
    layer = net.layer[layer_index]
    name = layer.bottom[bottom_index]
    later = [other.name for other in net.layer[layer_index:] if name in other.top and other is not layer]
    hint = near_names(name, available)
    if later:
        hint = f"layer {later[0]!r} makes it, but stands after this layer: move that layer up"
    elif not hint:
        last = list(available)[-SHOWN:]
        hint = ("blobs made so far: " + "..., " * (len(last) < len(available))
                + (", ".join(last) or "none; a net begins with a data or Input layer"))
    return of_layer(net.layer, layer_index, NetError(
        f"layer {layer.name!r} ({layer.type}): unknown bottom blob {name!r} (bottom {bottom_index})",
        hint=hint, missing=name))


def of_layer(layers: Sequence[Any], index: int, error: Located) -> Located:
    """Return the error after noting which layer it is about, since several may have the same name."""
    error.rank = rank(layers, index)
    return error


def rank(layers: Sequence[Any], index: int) -> int:
    """Return how many layers before this one have its name."""
    return sum(layer.name == layers[index].name for layer in layers[:index])


def _losses(net: Any) -> dict[Top, float]:
    return {(i, j): weight for i, layer in enumerate(net.layer)
            for j, weight in enumerate(layer.loss_weight[:len(layer.top)]) if weight}


def _split_name(net: Any, top: Top) -> str:
    layer = net.layer[top[0]]
    return f"{layer.top[top[1]]}_{layer.name}_{top[1]}_split"


def _add_split(split: Any, net: Any, top: Top, readers: int, loss_weight: float | None) -> None:
    name = _split_name(net, top)
    layer = split.layer.add(name=name, type="Split", bottom=[net.layer[top[0]].top[top[1]]],
                            top=[f"{name}_{k}" for k in range(readers)])
    if loss_weight:
        layer.loss_weight.extend([loss_weight] + [0.0] * (readers - 1))
