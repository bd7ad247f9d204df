"""HTML pages that need nothing beside them: style, script, data and pictures are in the one file."""

from minicaffe.pages.page import page
from minicaffe.pages.picture import heat_map, image

__all__ = ["heat_map", "image", "page"]
