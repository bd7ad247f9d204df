"""Layers: the contract they keep, the types by name, and the bases that many share."""

from minicaffe.layer.bases import Elementwise, LossLayer
from minicaffe.layer.contract import Layer
from minicaffe.layer.registry import (
    create,
    layer_class,
    limits,
    module_name,
    register,
    registered_types,
    type_hint,
    unknown_type_hint,
)

__all__ = ["Elementwise", "Layer", "LossLayer", "create", "layer_class", "limits", "module_name", "register",
           "registered_types", "type_hint", "unknown_type_hint"]
