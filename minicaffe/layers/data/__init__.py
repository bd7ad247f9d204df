"""Layers that bring data in, or write it out."""
