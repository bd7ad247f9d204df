"""The base class of layers that scripts write for pycaffe, and the errors that these layers raise."""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType

from minicaffe.errors import LayerError
from minicaffe.layer import ScriptLayer as Layer

__all__ = ["Layer", "OriginalErrors"]


class OriginalErrors(ContextDecorator):
    """Raise the error of a Python layer as the layer raised it, because scripts catch it by its type.

    minicaffe itself raises a LayerError instead, which names the layer, its lines and the place in the prototxt.
    pycaffe's nets and solvers run layers in a block `with OriginalErrors():`, or in a method that it decorates.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if isinstance(error, LayerError) and error.original is not None:
            original, context = error.original, error.original.__context__
            try:
                raise original
            finally:
                # otherwise Python would print our LayerError as well, and with it the user's lines twice
                original.__context__ = context
