"""minicaffe: Caffe again, in Python that can be read.

    from minicaffe import Net, TEST
    net = Net("lenet.prototxt", TEST, weights="lenet_iter_10000.caffemodel")
    net.blobs["data"].data[...] = images
    net.forward()
    print(net.blobs["prob"].data)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minicaffe import layers
    from minicaffe.blob import Blob
    from minicaffe.errors import (
        DataError,
        EngineError,
        LayerError,
        MinicaffeError,
        NetError,
        ProtoError,
        SolverError,
    )
    from minicaffe.filler import register_filler
    from minicaffe.kernels import use_engine
    from minicaffe.layer import DataSource, Layer, register
    from minicaffe.net import Net
    from minicaffe.proto import TEST, TRAIN

__version__ = "0.1.0"

__all__ = ["TEST", "TRAIN", "Blob", "DataError", "DataSource", "EngineError", "Layer", "LayerError", "MinicaffeError",
           "Net", "NetError", "ProtoError", "SolverError", "__version__", "layers", "register", "register_filler",
           "use_engine"]

_HOMES = {"Blob": "blob", "DataSource": "layer", "Layer": "layer", "register": "layer", "Net": "net", "TEST": "proto",
          "TRAIN": "proto", "register_filler": "filler", "use_engine": "kernels"}  # all others are errors


def __getattr__(name: str) -> Any:
    """Return a public name, imported when it is first asked for: `minicaffe --help` needs no numpy."""
    if name == "layers":
        return import_module("minicaffe.layers")
    if name not in __all__:
        raise AttributeError(f"module 'minicaffe' has no attribute {name!r}")
    return getattr(import_module(f"minicaffe.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    """Return all public names, also those that have not been imported yet, so that a prompt completes them."""
    return sorted({*globals(), *__all__})
