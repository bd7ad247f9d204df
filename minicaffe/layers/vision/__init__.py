"""Layers over images: windows that slide over the spatial axes."""
