"""All layer types, one file each, in nine families; importing the package registers them.

`from minicaffe.layers import SigmoidCrossEntropyLossLayer` works for every class.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from minicaffe.layer import Layer

FAMILIES = ("data", "vision", "recurrent", "common", "normalization", "activation", "utility",
            "detection", "loss")

__all__ = ["FAMILIES"]

if TYPE_CHECKING:  # the names come from the files, so a type checker does not know them

    def __getattr__(name: str) -> Any: ...

for _family in FAMILIES:
    _folder = importlib.import_module(f"minicaffe.layers.{_family}")
    for _found in pkgutil.iter_modules(_folder.__path__):
        _module = importlib.import_module(f"{_folder.__name__}.{_found.name}")
        for _name, _value in vars(_module).copy().items():
            if isinstance(_value, type) and issubclass(_value, Layer) and _value.__module__ == _module.__name__:
                globals()[_name] = _value
                __all__ += [_name]
