"""Put a ReLU layer behind each layer in which a ReLU is set, so that a layer computes one thing alone."""

from __future__ import annotations

from typing import Any

from minicaffe.proto import NetParameter

MESSAGES = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param", "BatchNorm": "batch_norm_param"}


def separate_relu(net: Any) -> Any:
    """Return the net with a ReLU layer, in place, for each top of a layer with `relu: true`, a field of Intel's fork.

    The fork computes both in one layer, to save time. The layer `conv1` gets a ReLU layer `conv1_relu` behind it, with
    the `negative_slope` of the layer, and the two fields are cleared.
    """
    separated = NetParameter()
    separated.CopyFrom(net)
    del separated.layer[:]
    names = {layer.name for layer in net.layer}
    for layer in net.layer:
        copy = separated.layer.add()
        copy.CopyFrom(layer)
        message = MESSAGES.get(layer.type)
        if message and getattr(layer, message).relu:
            slope = _take(getattr(copy, message))
            for top in layer.top:
                names.add(name := _unused(f"{layer.name}_relu", names))
                relu = separated.layer.add(name=name, type="ReLU", bottom=[top], top=[top])
                if slope:
                    relu.relu_param.negative_slope = slope
    return separated


def _take(message: Any) -> float:
    """Clear relu and negative_slope, and return the slope; BatchNorm's message has none."""
    message.ClearField("relu")
    slope: float = getattr(message, "negative_slope", 0.0)
    if slope:
        message.ClearField("negative_slope")
    return slope


def _unused(name: str, names: set[str]) -> str:
    """Return a name that no layer has: this one, or this one with a number."""
    number, free = 2, name
    while free in names:
        free, number = f"{name}{number}", number + 1
    return free
