"""Layers: the contract they keep, the types by name, and the bases that many share."""

from minicaffe.layer.bases import Elementwise, LossLayer
from minicaffe.layer.contract import Layer
from minicaffe.layer.data_source import DataSource, source_of, warn_of_undeclared
from minicaffe.layer.registry import (
    create,
    is_known,
    layer_class,
    limits,
    module_name,
    register,
    registered_types,
    type_hint,
    unknown_type_hint,
)
from minicaffe.layer.script_layer import ScriptLayer

__all__ = ["DataSource", "Elementwise", "Layer", "LossLayer", "ScriptLayer", "create", "is_known", "layer_class",
           "limits", "module_name", "register", "registered_types", "source_of", "type_hint", "unknown_type_hint",
           "warn_of_undeclared"]
