"""docs/layers.html: all layer types, with drawings that the layers themselves compute. docs/generate.py writes it."""

import importlib

from gallery import layers_page
from gallery.registry import DRAWINGS, DrawingError, check_complete, svg

FAMILIES = ("data", "vision", "recurrent", "common", "normalization", "activation", "utility",
            "detection", "loss")

for _family in FAMILIES:
    importlib.import_module(f"gallery.{_family}")

__all__ = ["DRAWINGS", "DrawingError", "check_complete", "layers_page", "svg"]
