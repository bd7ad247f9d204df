"""Find the class of a Python layer: import its module, and say what is wrong where that fails."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from minicaffe import plugins
from minicaffe.errors import LayerError, near_names
from minicaffe.layer import DataSource, Elementwise, Layer, LossLayer, ScriptLayer
from minicaffe.layers.utility._users_code import layer_error, users_code

BASES = (Layer, DataSource, Elementwise, LossLayer, ScriptLayer)
OUR_CAFFE = "write 'from minicaffe import pycaffe as caffe' there, or run the whole program by 'python -m " \
            "minicaffe.pycaffe PROGRAM.py'"


class MissingModuleError(LayerError, ModuleNotFoundError):
    """The module that python_param names is not there. pycaffe raises an ImportError then, and scripts catch it."""


class MissingClassError(LayerError, AttributeError):
    """The module has no such class. pycaffe raises an AttributeError then."""


def user_class(param: Any, *bases: type) -> Any:
    """Return the class that a LayerParameter's python_param names, a subclass of Layer or of ScriptLayer.

    `bases` are further classes that are no layers themselves.
    """
    p, where = param.python_param, f"layer {param.name!r} (Python): "
    for field in ("module", "layer"):
        if not getattr(p, field):
            raise LayerError(f"{where}python_param.{field} must be set", hint="module names a Python file without .py, "
                             "layer a class in it")
    module = _import(p.module, param.name)
    with users_code(param.name, f"looking for {p.layer} in {p.module} raised "):
        found: Any = getattr(module, p.layer, None)
        known = [name for name, value in vars(module).items() if _is_layer_class(value) and value not in bases]
    others = near_names(p.layer, known) or f"its layers are {', '.join(known) or 'none'}"
    if found is None:
        raise MissingClassError(f"{where}the module {p.module!r} has no class {p.layer!r}", hint=others)
    if any(found is base for base in (*BASES, *bases)):
        raise LayerError(f"{where}{p.module}.{p.layer} is a base class for layers, not a layer", hint=others)
    if not _is_layer_class(found):
        raise LayerError(f"{where}{p.module}.{p.layer} must be a subclass of minicaffe.layer.Layer or of "
                         f"minicaffe.pycaffe.Layer, got {found!r}", hint=_other_caffe(found))
    for name in ("bottoms", "tops") if issubclass(found, Layer) else ():
        if not _is_arity(getattr(found, name)):
            raise LayerError(f"{where}{p.module}.{p.layer}.{name} must be a number of blobs, or the least and the "
                             f"greatest number (None for no greatest), got {getattr(found, name)!r:.100}")
    return found


def _is_layer_class(value: Any) -> bool:
    """Return whether a value is a class of layers, and not one of our base classes."""
    return isinstance(value, type) and issubclass(value, (Layer, ScriptLayer)) and value not in BASES


def _other_caffe(found: Any) -> str:
    """Return a hint where a class is derived from the Layer of another Caffe, which is loaded in this process."""
    bases = found.__mro__ if isinstance(found, type) else ()
    if not any(base.__name__ == "Layer" and base.__module__.split(".")[0] == "caffe" for base in bases):
        return ""
    file = getattr(sys.modules.get("caffe"), "__file__", None)
    return f"its caffe.Layer is that of another Caffe ({file}), which minicaffe cannot run; {OUR_CAFFE}"


def _is_arity(value: Any) -> bool:
    """Return whether a value says how many blobs there may be: one number, or a pair of the least and the greatest."""
    if isinstance(value, tuple) and len(value) == 2:
        return isinstance(value[0], int) and (value[1] is None or isinstance(value[1], int))
    return isinstance(value, int)


def _import(name: str, layer_name: str) -> ModuleType:
    """Return the user's module of this name; raise a LayerError where there is none, or where importing it fails."""
    if name.endswith(".py") or not all(name.split(".")) or set(name) & set("/\\\0"):
        raise LayerError(f"layer {layer_name!r} (Python): python_param.module {name!r} is no module's name",
                         hint="write 'my_layers' for a file my_layers.py in the current directory or along PYTHONPATH, "
                              "'package.my_layers' for one in a package")
    try:
        with plugins.importable_here():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # the module itself may be missing, or one that it imports; only the first is a mistake in the prototxt
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise MissingModuleError(f"layer {layer_name!r} (Python): there is no module {name!r}",
                                     hint="it must lie in the current directory or along PYTHONPATH") from None
        hint = OUR_CAFFE if missing == "caffe" else ""
        raise layer_error(layer_name, f"importing {name} raised ", error, hint) from error
