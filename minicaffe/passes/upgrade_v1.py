"""Caffe's second format (2014): `layers { type: CONVOLUTION blobs_lr: 1 ... }`, with an enum for the type."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import NetError
from minicaffe.proto import LayerParameter, NetParameter, V1LayerParameter

# The rule is EUCLIDEAN_LOSS -> EuclideanLoss; these V1 types have another name today
TYPES = {"ABSVAL": "AbsVal", "ARGMAX": "ArgMax", "BNLL": "BNLL", "DICE_LOSS": "DiceCoefLoss", "HDF5_DATA": "HDF5Data",
         "HDF5_OUTPUT": "HDF5Output", "IM2COL": "Im2col", "LRN": "LRN", "LRN_MAP": "LRNMap", "MVN": "MVN", "NONE": "",
         "RELU": "ReLU", "RELU6": "ReLU6", "SELU": "SeLU", "SELU_DROPOUT": "SeLUDropout",
         "SOFTMAX_LOSS": "SoftmaxWithLoss", "TANH": "TanH"}
PARAM_FIELDS = {"param": "name", "blob_share_mode": "share_mode", "blobs_lr": "lr_mult", "weight_decay": "decay_mult"}
TRANSFORMED = {"Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param"}


def upgrade_v1(net: Any) -> Any:
    """Return the net with every `layers` as a `layer`; NetError where a definition mixes both."""
    if not net.layers:
        return net
    if net.layer:
        raise NetError("the definition mixes `layer` and the older `layers`",
                       hint="`layers { type: CONVOLUTION }` is today's `layer { type: \"Convolution\" }`; use one form")
    upgraded = NetParameter()
    upgraded.CopyFrom(net)
    del upgraded.layers[:]
    upgraded.layer.extend(_upgrade_layer(layer) for layer in net.layers)
    return upgraded


def type_name(number: int) -> str:
    """Return the present type name of a V1 layer type."""
    word = V1LayerParameter.LayerType.Name(number)
    return TYPES.get(word, word.title().replace("_", ""))


def _upgrade_layer(old: Any) -> Any:
    new = LayerParameter()
    for field, value in old.ListFields():
        if field.name == "type":
            new.type = type_name(value)
        elif field.name in PARAM_FIELDS:
            for i, item in enumerate(value):
                while len(new.param) <= i:
                    new.param.add()
                setattr(new.param[i], PARAM_FIELDS[field.name], item)
        elif hasattr(value, "extend"):
            getattr(new, field.name).extend(value)
        elif field.message_type is not None:
            getattr(new, field.name).CopyFrom(value)
        else:
            setattr(new, field.name, value)
    if new.type in TRANSFORMED:
        _move_transform(new, getattr(new, TRANSFORMED[new.type]))
    return new


def _move_transform(layer: Any, source: Any) -> None:
    """Move what once stood in the data layer's own message: scale, mean_file, crop_size, mirror, or transform_param."""
    for name in ("scale", "mean_file", "crop_size", "mirror"):
        if source.HasField(name):
            setattr(layer.transform_param, name, getattr(source, name))
            source.ClearField(name)
    if "transform_param" in source.DESCRIPTOR.fields_by_name and source.HasField("transform_param"):
        layer.transform_param.MergeFrom(source.transform_param)
        source.ClearField("transform_param")
