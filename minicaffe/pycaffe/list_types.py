"""Lists under the names of their classes in Caffe, which scripts compare: each is a Python list of one kind of item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from minicaffe.blob import Blob, BlobVec
from minicaffe.layer import Layer

__all__ = ["BlobVec", "BoolVec", "DtypeVec", "Hooks", "IntVec", "LayerVec", "NetVec", "RawBlobVec", "StringVec"]


T = TypeVar("T")


class Vector(list[T]):
    """A list whose slices are of its own class."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return type(self)(found) if isinstance(place, slice) else found


class RawBlobVec(Vector[Blob]):
    """The bottoms or the tops that a layer is given."""


class LayerVec(Vector[Layer]):
    """The layers of a net, in order."""


class NetVec(Vector[Any]):
    """The test nets of a solver."""


class StringVec(Vector[str]):
    """Names."""


class IntVec(Vector[int]):
    """Sizes or indices."""


class DtypeVec(Vector[float]):
    """Numbers, such as loss weights."""


class BoolVec(Vector[bool]):
    """Flags."""


class Hooks(list[Callable[[int], Any]]):
    """Functions that a net calls with the index of a layer: before or after the layer runs forward or backward.

    In pycaffe, `net.after_backward(run)` adds a function. In minicaffe, `net.after_backward` is the list of them. This
    list is both.
    """

    def __call__(self, run: Callable[[int], Any]) -> None:
        """Add a function."""
        if not callable(run):
            raise TypeError(f"a hook must be a function of a layer's index, got {type(run).__name__}")
        self.append(run)
