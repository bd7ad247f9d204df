"""Drawings of nets: each layer is a box with its settings and costs, each blob a line with its shape."""

from minicaffe.drawing.definition import draw_definition
from minicaffe.drawing.drawing import ENDINGS, Drawing, draw, draw_versions

__all__ = ["ENDINGS", "Drawing", "draw", "draw_definition", "draw_versions"]
