"""The patterns, one family a file."""

from minicaffe.convert.onnx_in.joins import activations, chains, choices, moves, normalizations, pools, steps, windows

__all__ = ["activations", "chains", "choices", "moves", "normalizations", "pools", "steps", "windows"]
