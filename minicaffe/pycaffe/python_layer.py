"""The base class of layers that scripts write for pycaffe."""

from minicaffe.layer import Layer

__all__ = ["Layer"]
