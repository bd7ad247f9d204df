"""Drawings of nets: boxes with what layers are and cost, lines with the shapes of blobs."""

from minicaffe.drawing.drawing import Drawing, draw

__all__ = ["Drawing", "draw"]
