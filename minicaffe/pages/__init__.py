"""HTML pages that need nothing beside them: style, script, data and pictures are in the one file."""

from minicaffe.pages.page import asset, clean, page
from minicaffe.pages.picture import grey_levels, heat_map, image

__all__ = ["asset", "clean", "grey_levels", "heat_map", "image", "page"]
