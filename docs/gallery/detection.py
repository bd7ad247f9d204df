"""Drawings of the layers of object detectors."""
