"""Drawings of nets: each layer is a box with its settings and costs, each blob a line with its shape."""

from minicaffe.drawing.drawing import ENDINGS, Drawing, draw, draw_versions

__all__ = ["ENDINGS", "Drawing", "draw", "draw_versions"]
