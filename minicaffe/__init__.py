"""minicaffe: Caffe again, in Python that can be read.

    from minicaffe import Net, TEST
    net = Net("lenet.prototxt", TEST, weights="lenet_iter_10000.caffemodel")
    net.blobs["data"].data[...] = images
    net.forward()
    print(net.blobs["prob"].data)
"""

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
from minicaffe.kernels import use_engine
from minicaffe.layer import Layer, register
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN

__version__ = "0.1.0"

__all__ = ["TEST", "TRAIN", "Blob", "DataError", "EngineError", "Layer", "LayerError", "MinicaffeError", "Net",
           "NetError", "ProtoError", "SolverError", "__version__", "layers", "register", "use_engine"]
