"""Layers that map each number by itself, or with one learned number."""
