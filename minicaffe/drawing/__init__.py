"""Drawings of nets: boxes with what layers are and cost, lines with the shapes of blobs."""

from minicaffe.drawing.drawing import ENDINGS, Drawing, draw, draw_versions

__all__ = ["ENDINGS", "Drawing", "draw", "draw_versions"]
