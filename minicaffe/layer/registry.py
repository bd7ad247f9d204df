"""Find a layer type by the name that prototxts use, and make a layer from its definition."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe import plugins
from minicaffe.errors import LayerError, near_names
from minicaffe.layer.script_layer import ScriptLayer
from minicaffe.log import At, log
from minicaffe.proto.forks import fork_type_hint

if TYPE_CHECKING:
    from minicaffe.layer.contract import Layer

Arity = int | tuple[int, int | None]  # how many blobs: so many, or the least and the greatest number

_types: dict[str, type[Layer]] = {}
_built_in: dict[tuple[str, str], type[Layer]] = {}  # (module, class) of a Python layer of others -> our layer for it


def register(type_name: str) -> Callable[[type[Layer]], type[Layer]]:
    """Class decorator: make a layer class known under the type name that prototxts use.

    The class must be called `type_name` + 'Layer'. Raise LayerError when the type is already taken, or for a subclass
    of pycaffe's caffe.Layer.
    """

    def keep(cls: type[Layer]) -> type[Layer]:
        if issubclass(cls, ScriptLayer):
            raise LayerError(f"{cls.__name__} is a subclass of pycaffe's caffe.Layer, and no such class can be a layer "
                             "type", hint="make it a subclass of minicaffe.Layer, or name it with type: \"Python\"")
        if cls.__name__ != type_name + "Layer":
            raise LayerError(f"the class of layer type {type_name!r} must be called {type_name}Layer, "
                             f"not {cls.__name__}")
        if type_name in _types:
            raise LayerError(f"layer type {type_name!r} is registered twice: in {_types[type_name].__module__} "
                             f"and in {cls.__module__}")
        module = cls.__module__.rsplit(".", 1)
        if module[0].startswith("minicaffe.layers.") and module[1] != module_name(type_name):
            raise LayerError(f"layer type {type_name!r} must stand in {module_name(type_name)}.py, not {module[1]}.py")
        cls.type = type_name
        _types[type_name] = cls
        plugins.note(plugins.LAYER, type_name, cls.__module__)
        return cls

    return keep


def in_place_of(module: str, name: str) -> Callable[[type[Layer]], type[Layer]]:
    """Class decorator: make a layer class run where a net names a Python layer by this module and this class.

    A module of the user's own that has the name comes first.
    """

    def keep(cls: type[Layer]) -> type[Layer]:
        _built_in[module, name] = cls
        return cls

    return keep


def registered_types() -> list[str]:
    """All layer types that are known now, sorted; those of installed packages only once they have been loaded."""
    importlib.import_module("minicaffe.layers")
    return sorted(_types)


def layer_class(type_name: str, layer_name: str = "") -> type[Layer]:
    """Return the class of a layer type, also of one that an installed package brings.

    LayerError with near names when there is none, or where the code of that package must not run.
    """
    # First the registered types, then our own, which this imports, and only then code of other packages.
    if type_name not in _types and type_name not in registered_types():
        plugins.load_installed()
    if type_name not in _types:
        raise LayerError(f"layer {layer_name!r} has the unknown type {type_name!r}", hint=unknown_type_hint(type_name))
    plugins.check_permitted(plugins.LAYER, type_name, f"layer {layer_name!r} ({type_name})")
    return _types[type_name]


def class_of(param: Any) -> type[Layer]:
    """Return the class of the layer that a LayerParameter describes: that of its type, or a built-in Python layer.

    LayerError as `layer_class` raises it.
    """
    cls, built_in = layer_class(param.type, param.name), _built_in_for(param)
    return built_in if built_in and not plugins.find_file(param.python_param.module) else cls


def _built_in_for(param: Any) -> type[Layer] | None:
    """Return our layer for the Python layer that a LayerParameter names; None for any other layer."""
    p = param.python_param
    return _built_in.get((p.module, p.layer)) if layer_class(param.type, param.name).users_code else None


def is_known(type_name: str) -> bool:
    """Return whether a layer type is known, of those that have been loaded."""
    return type_name in _types


def unknown_type_hint(type_name: str) -> str:
    """Return the hint for an unknown type: a similar name, else how more types become known."""
    if near := type_hint(type_name):
        return near
    return "; ".join(["minicaffe layers lists all known types", *filter(None, [plugins.unknown_hint()])])


def type_hint(type_name: str) -> str:
    """Return a hint that names the type that was meant instead of an unknown one; '' where none is similar."""
    return fork_type_hint(type_name) or near_names(type_name, registered_types())


def create(param: Any, *, dtype: type = np.float32, permissive: bool = False) -> Layer:
    """Make the layer that a LayerParameter describes.

    `permissive` turns the error for a field that the layer does not read into a warning.
    """
    cls = class_of(param)
    if cls.users_code and _built_in_for(param):
        p = param.python_param
        log(At.TYPE_LOOKED_UP, f"layer {param.name!r} ({param.type}) runs {p.layer} of {plugins.find_file(p.module)}, "
                               f"and not the {p.module}.{p.layer} that is built in")
    layer = cls(param, dtype=dtype)
    layer.check_fields(permissive)
    return layer


def limits(arity: Arity) -> tuple[int, int | None]:
    """Return the least and the greatest number of blobs that an arity allows; None where there is no greatest."""
    return (arity, arity) if isinstance(arity, int) else arity


def arity_words(arity: Arity) -> str:
    """'2', '1 to 2', 'at least 1': an arity as error messages and datasheets say it."""
    low, high = limits(arity)
    if high is None:
        return f"at least {low}"
    return str(low) if low == high else f"{low} to {high}"


def module_name(type_name: str) -> str:
    """Return the module that must hold a layer type: snake case, acronyms kept whole (LSTMUnit -> lstm_unit)."""
    # the file lstm.py is LSTM's, which differs from Lstm in capitals alone
    for acronym, word in (("PReLU", "Prelu"), ("ReLU", "Relu"), ("TanH", "Tanh"), ("Lstm", "LstmOfForks")):
        type_name = type_name.replace(acronym, word)
    words = re.sub(r"(?<=[A-Z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", type_name)
    return words.lower()
