"""The base class of layers that scripts write for pycaffe, and the errors that these layers raise."""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType

from minicaffe.errors import LayerError
from minicaffe.layer import ScriptLayer as Layer

__all__ = ["Layer", "UsersErrors"]


class UsersErrors(ContextDecorator):
    """Let the error of a Python layer out of the block as it was raised, for a script may want to catch it by its type.

    minicaffe itself raises a LayerError with the layer's name, the user's lines and the place in the prototxt.
    pycaffe's nets and solvers do what runs layers `with UsersErrors():`; it also decorates a method.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if isinstance(error, LayerError) and error.raised is not None:
            raised, context = error.raised, error.raised.__context__
            try:
                raise raised
            finally:
                raised.__context__ = context  # else Python would print our LayerError, too, and the user's lines twice
