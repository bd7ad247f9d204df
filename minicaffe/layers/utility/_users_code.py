"""Run the code of a Python layer: its errors name the layer, and what it does to its blobs is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from minicaffe import plugins
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.layer import Layer


def call(layer: Layer, named: str, method: Callable[..., Any], *given: Any) -> Any:
    """Return what a user's method returns. `named` is the method as messages call it, such as 'MyLayer.forward'.

    The method gets copies of the lists of bottoms and tops, for it may change the lists themselves.
    """
    own = [list(one) if isinstance(one, (list, tuple)) else one for one in given]
    with users_code(layer.name, f"{named} raised "):
        result = method(*own)
    lists = [(now, before) for now, before in zip(own, given, strict=True) if isinstance(before, (list, tuple))]
    _check_blobs(layer, lists, named)
    return result


class users_code:  # noqa: N801 - it is used like a function
    """Turn what the user's code raises into a LayerError, SystemExit too. Ctrl-C still ends the program.

    A class, because contextlib's decorator lets a StopIteration out where it was turned into a RuntimeError.
    """

    def __init__(self, layer_name: str, what: str) -> None:
        self.layer_name, self.what = layer_name, what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if error is None or isinstance(error, KeyboardInterrupt):
            return
        if isinstance(error, LayerError) and error.message.startswith(f"layer {self.layer_name!r} "):
            return  # the layer's own self.fail or self.check
        raise layer_error(self.layer_name, self.what, error) from error


def layer_error(layer_name: str, what: str, error: BaseException, hint: str = "") -> LayerError:
    """Return the LayerError for an error in the user's code, with that code's part of the traceback."""
    begin, hint = f"layer {layer_name!r} (Python): {what}", hint or plugins.cure_of(error)
    # An error of ours stays the one that names the layer. pycaffe raises any other one again, and then needs the rest.
    original = None if isinstance(error, LayerError) else error
    if original and hasattr(original, "add_note"):  # Python 3.11
        with suppress(Exception):  # a class of the user's may refuse it
            original.add_note(f"{begin}this error" + (f"\n  hint: {hint}" if hint else ""))
    return LayerError(f"{begin}{plugins.with_traceback(error)}", hint=hint, original=original)


def _check_blobs(layer: Layer, lists: Sequence[tuple[list[Any], Sequence[Any]]], named: str) -> None:
    """Raise a LayerError where the user's code has replaced a blob by something else.

    What the code computed would be lost, or the net would fail on it in a place that says nothing about the mistake.
    """
    for now, before in lists:
        if len(now) != len(before) or any(isinstance(blob, Blob) and value is not blob
                                          for value, blob in zip(now, before, strict=True)):
            kinds = ", ".join(type(value).__name__ for value in now)
            layer.fail(f"{named} has put other objects in the place of the blobs it was given: {kinds or 'none'}",
                       hint="write into them: top[0].reshape(*shape) in reshape, top[0].data[...] = y in forward")
