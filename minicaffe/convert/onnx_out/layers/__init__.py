"""How each layer type becomes ONNX nodes, in one file for each family. Importing the package registers them."""

from minicaffe.convert.onnx_out.layers import activation, common, normalization, pooling, resizing, utility, vision

__all__ = ["activation", "common", "normalization", "pooling", "resizing", "utility", "vision"]
