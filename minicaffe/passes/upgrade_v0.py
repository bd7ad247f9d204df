"""Caffe's first format (2013): `layers { layer { name type ... } bottom top }`, every parameter in one flat message."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import NetError, near_names
from minicaffe.log import At, warn
from minicaffe.proto import NetParameter, V1LayerParameter

# old type -> (V1 type, the message that took over its parameters)
TYPES = {
    "accuracy": ("ACCURACY", ""),
    "bnll": ("BNLL", ""),
    "concat": ("CONCAT", "concat_param"),
    "conv": ("CONVOLUTION", "convolution_param"),
    "data": ("DATA", "data_param"),
    "dropout": ("DROPOUT", "dropout_param"),
    "euclidean_loss": ("EUCLIDEAN_LOSS", ""),
    "flatten": ("FLATTEN", ""),
    "hdf5_data": ("HDF5_DATA", "hdf5_data_param"),
    "hdf5_output": ("HDF5_OUTPUT", "hdf5_output_param"),
    "im2col": ("IM2COL", ""),
    "images": ("IMAGE_DATA", "image_data_param"),
    "infogain_loss": ("INFOGAIN_LOSS", "infogain_loss_param"),
    "innerproduct": ("INNER_PRODUCT", "inner_product_param"),
    "lrn": ("LRN", "lrn_param"),
    "multinomial_logistic_loss": ("MULTINOMIAL_LOGISTIC_LOSS", ""),
    "pool": ("POOLING", "pooling_param"),
    "relu": ("RELU", ""),
    "sigmoid": ("SIGMOID", ""),
    "softmax": ("SOFTMAX", ""),
    "softmax_loss": ("SOFTMAX_LOSS", ""),
    "split": ("SPLIT", ""),
    "tanh": ("TANH", ""),
    "window_data": ("WINDOW_DATA", "window_data_param"),
}
LAYER_FIELDS = ("blobs", "blobs_lr", "weight_decay")  # those that stayed fields of the layer
TRANSFORM_FIELDS = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
RENAMED = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "shuffle_images": "shuffle",
    "det_fg_threshold": "fg_threshold",
    "det_bg_threshold": "bg_threshold",
    "det_fg_fraction": "fg_fraction",
    "det_context_pad": "context_pad",
    "det_crop_mode": "crop_mode",
}


def upgrade_v0(net: Any) -> Any:
    """Return the net with every V0 layer as a V1 layer; padding layers become `pad` of the layer that reads them."""
    if not any(layer.HasField("layer") for layer in net.layers):
        return net
    upgraded = NetParameter()
    upgraded.CopyFrom(net)
    del upgraded.layers[:]
    padding: dict[str, Any] = {}  # top of a padding layer -> the layer
    for layer in net.layers:
        if layer.layer.type == "padding":
            padding[layer.top[0]] = layer
            continue
        new = _upgrade_layer(layer)
        for j, name in enumerate(layer.bottom):
            if name in padding:
                _take_padding(new, j, layer, padding[name])
        for name in layer.top:  # from here on the name means this layer's top, no longer the padded blob
            padding.pop(name, None)
        upgraded.layers.append(new)
    return upgraded


def _take_padding(new: Any, j: int, layer: Any, padding: Any) -> None:
    """Let the new layer pad its bottom j itself, and read what the padding layer reads."""
    if layer.layer.type not in ("conv", "pool") or len(layer.bottom) != 1 or len(padding.bottom) != 1:
        raise NetError(f"layer {layer.layer.name!r} ({layer.layer.type}) reads the padding layer "
                       f"{padding.layer.name!r}: only a conv or pool layer with that one bottom can")
    new.bottom[j] = padding.bottom[0]
    if layer.layer.type == "conv":
        new.convolution_param.ClearField("pad")
        new.convolution_param.pad.append(padding.layer.pad)
    else:
        new.pooling_param.pad = padding.layer.pad


def _upgrade_layer(layer: Any) -> Any:
    old = layer.layer
    new = V1LayerParameter(bottom=layer.bottom, top=layer.top)
    if old.HasField("name"):
        new.name = old.name
    if old.type not in TYPES:
        raise NetError(f"layer {old.name!r} has the unknown V0 type {old.type!r}",
                       hint=near_names(old.type, list(TYPES)))
    for field, _ in layer.ListFields():
        if field.name not in ("layer", "bottom", "top"):
            warn(At.V0_FIELD_BESIDE_LAYER, f"layer {old.name!r}: {field.name} stands beside a V0 layer, where only "
                                           "bottom and top have a use; it is dropped")
    type_name, message = TYPES[old.type]
    new.type = V1LayerParameter.LayerType.Value(type_name)
    for field, value in old.ListFields():
        if field.name in ("name", "type"):
            continue
        if field.name in LAYER_FIELDS:
            getattr(new, field.name).extend(value)
        elif field.name in TRANSFORM_FIELDS:
            setattr(new.transform_param, TRANSFORM_FIELDS[field.name], value)
        else:
            _move(old, field, value, new, message)
    return new


def _move(old: Any, field: Any, value: Any, new: Any, message: str) -> None:
    """Put a field of the flat V0 message where it stands today: into the message of the layer's type."""
    if field.name == message:  # hdf5_output_param was a message of its own from the start
        getattr(new, message).CopyFrom(value)
        return
    target = getattr(new, message) if message else None
    name = RENAMED.get(field.name, field.name)
    if target is None or name not in target.DESCRIPTOR.fields_by_name:
        warn(At.V0_FIELD_UNUSED,
             f"layer {old.name!r}: a V0 layer of type {old.type!r} has no use for {field.name}, which is dropped")
        return
    kind = target.DESCRIPTOR.fields_by_name[name]
    if kind.message_type is not None:
        getattr(target, name).CopyFrom(value)
    elif hasattr(getattr(target, name), "append"):
        getattr(target, name).append(value)
    else:
        setattr(target, name, value)  # pool: both enums number MAX, AVE and STOCHASTIC alike
