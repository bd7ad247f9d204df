"""Layers that move, join, split and reduce blobs."""
