"""How each layer type becomes ONNX nodes, in one file for each family. Importing the package registers them."""

from minicaffe.convert.onnx_out.layers import (
    activation,
    common,
    data,
    detection,
    normalization,
    pooling,
    proposals,
    recurrent,
    regions,
    resizing,
    utility,
    vision,
    yolo,
)

__all__ = ["activation", "common", "data", "detection", "normalization", "pooling", "proposals", "recurrent", "regions",
           "resizing", "utility", "vision", "yolo"]
