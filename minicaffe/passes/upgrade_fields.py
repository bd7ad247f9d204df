"""Replace fields that Caffe gave up: a net's inputs become an Input layer, and BatchNorm's blobs are not learned."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import NetError
from minicaffe.log import At, warn
from minicaffe.proto import NetParameter


def upgrade_fields(net: Any) -> Any:
    """Return the net with an Input layer for `input` and its shapes, and with lr_mult 0 for BatchNorm's three blobs."""
    upgraded = NetParameter()
    upgraded.CopyFrom(net)
    if net.input:
        _upgrade_input(upgraded)
    else:
        _warn_of_shapes(upgraded)
    for layer in upgraded.layer:
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            for spec in layer.param:  # Caffe: mean, variance and their factor are measured, not learned
                spec.lr_mult = spec.decay_mult = 0
    return upgraded


def _warn_of_shapes(net: Any) -> None:
    """Warn of shapes for inputs where there is no input, and remove them."""
    for field in ("input_dim", "input_shape"):
        if getattr(net, field):
            warn(At.INPUT_FIELDS, f"{field} has no effect without input, the name of the blob that it shapes")
            net.ClearField(field)


def _upgrade_input(net: Any) -> None:
    shapes = [list(shape.dim) for shape in net.input_shape]
    if not shapes:
        dims = list(net.input_dim)
        shapes = [dims[i:i + 4] for i in range(0, len(dims), 4)]
    if min(net.input_dim, default=0) < 0:
        raise NetError(f"input_dim must not be negative, got {list(net.input_dim)}")
    if shapes:  # Caffe: a caffemodel names its inputs without shapes; then the names are dropped
        if len(shapes) != len(net.input) or (not net.input_shape and len(net.input_dim) % 4):
            raise NetError(f"the net has {len(net.input)} input, but {len(net.input_shape)} input_shape and "
                           f"{len(net.input_dim)} input_dim (four for each input)")
        layers = list(net.layer)
        del net.layer[:]
        layer = net.layer.add(name="input", type="Input", top=net.input)
        for shape in shapes:
            layer.input_param.shape.add(dim=shape)
        net.layer.extend(layers)
    for field in ("input", "input_shape", "input_dim"):
        net.ClearField(field)
