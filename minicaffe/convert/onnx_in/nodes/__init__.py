"""The functions of the operators, one family a file."""

from minicaffe.convert.onnx_in.nodes import (
    activation,
    arithmetic,
    convolution,
    normalization,
    padding,
    pooling,
    products,
    recurrent,
    reduce,
    resize,
    rows,
    shapes,
)

__all__ = ["activation", "arithmetic", "convolution", "normalization", "padding", "pooling", "products", "recurrent",
           "reduce", "resize", "rows", "shapes"]
