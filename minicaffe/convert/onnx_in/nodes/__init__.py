"""The functions of the operators, one family a file."""

from minicaffe.convert.onnx_in.nodes import (
    activation,
    arithmetic,
    convolution,
    normalization,
    pooling,
    products,
    shapes,
)

__all__ = ["activation", "arithmetic", "convolution", "normalization", "pooling", "products", "shapes"]
