"""The patterns, one family a file."""

from minicaffe.convert.onnx_in.joins import activations, moves, normalizations, windows

__all__ = ["activations", "moves", "normalizations", "windows"]
